/** The bytes of a model as messages. A file is not trusted: what does not fit its lengths is refused. */
import { PbfReader } from 'pbf'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { kindOf } from '../file-kind.ts'

import { type GraphProto, type ModelProto, readModelProto } from './proto.ts'

/** Fields of all messages together: far more than a model has, far less than memory. */
const mostFields = 1 << 20

/** Graphs in nodes of graphs. */
const mostDepth = 16

/** Integers of lists that no double is, by their place. */
const exact: WeakMap<readonly number[], Map<number, bigint>> = new WeakMap()

/** A list of integers of the model without what they lost as doubles. */
export function exactIntegers(list: readonly number[]): bigint[] {
  const known = exact.get(list)
  return list.map((one, i) => known?.get(i) ?? BigInt(one))
}

/**
 * @param name what an error calls the file
 * @throws KerneletError `ERR_FORMAT` for bytes that are no ONNX model
 */
export function decodeModel(bytes: Uint8Array, name: string): ModelProto {
  let model: ModelProto
  try {
    model = readModelProto(new CheckedReader(bytes))
  } catch (cause) {
    throw otherFile(bytes, name, cause) ?? notOnnx(name, messageOf(cause), cause)
  }
  if (!model.graph) throw otherFile(bytes, name) ?? notOnnx(name, 'it has no graph')
  checkDepth(model, name)
  return model
}

/** Of bytes that were read in vain. */
function otherFile(bytes: Uint8Array, name: string, cause?: unknown): KerneletError | undefined {
  const kind = kindOf(bytes)
  return kind === undefined
    ? undefined
    : new KerneletError('ERR_FORMAT', `${name} is not an ONNX model but ${kind}`, { cause })
}

/** Whoever goes through graphs in graphs may do so by calling itself. */
function checkDepth(model: ModelProto, name: string): void {
  const inside = ({ node }: Pick<GraphProto, 'node'>) =>
    node.flatMap(({ attribute }) => attribute.flatMap(({ g }) => g ?? []))
  let graphs: Pick<GraphProto, 'node'>[] = [model.graph as GraphProto, ...model.functions]
  for (let depth = 0; graphs.length > 0; depth++) {
    if (depth > mostDepth) throw notOnnx(name, `its graphs lie in each other more than ${mostDepth} deep`)
    graphs = graphs.flatMap(inside)
  }
}

/** pbf's reader, which trusts lengths, made to check where every message and field ends. */
class CheckedReader extends PbfReader {
  #fields = 0

  override nextField(end: number = this.length): number {
    if (end > this.length) throw new Error(`a message would end at byte ${end} of ${this.length}`)
    const field = super.nextField(end)
    if (field === 0 && this.pos !== end) throw new Error('a field reaches over the end of its message')
    if (++this.#fields > mostFields) throw new Error(`it has more than ${mostFields} fields`)
    return field
  }

  override readPackedVarint(list: number[] = [], isSigned?: boolean): number[] {
    for (const end = this.readPackedEnd(); this.pos < end; ) {
      const start = this.pos
      const value = this.readVarint(isSigned)
      if (!Number.isSafeInteger(value)) {
        if (!exact.has(list)) exact.set(list, new Map())
        exact.get(list)?.set(list.length, wideVarint(this.buf.subarray(start, this.pos), isSigned === true))
      }
      list.push(value)
    }
    return list
  }
}

/** An integer of 64 bits, seven of them a byte. */
function wideVarint(bytes: Uint8Array, isSigned: boolean): bigint {
  const value = bytes.reduceRight((upper, byte) => (upper << 7n) | BigInt(byte & 0x7f), 0n)
  return isSigned ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)
}

export function notOnnx(name: string, reason: string, cause?: unknown): KerneletError {
  return new KerneletError('ERR_FORMAT', `${name} is not a valid ONNX model: ${reason}`, { cause })
}
