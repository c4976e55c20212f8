/**
 * The safetensors format (https://github.com/huggingface/safetensors): eight bytes with the length of a JSON
 * header, the header, the numbers. A file is not trusted: everything it says is checked before it is used.
 */

import { realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { types } from 'node:util'
import { attached } from '../graph/operation.ts'
import { formatShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError, messageOf } from '../util/errors.ts'
import { unreadable } from '../util/file.ts'
import { show } from '../util/show.ts'
import type { FilePath, FileSource } from '../util/source.ts'
import { writeAtomically } from './atomic-write.ts'
import { locateBelow } from './below.ts'
import { bits, type Dtype, mostDimensions, type StoredTensor, toTensors, type WeightsFile } from './dtype.ts'
import { readSource } from './source.ts'

/** The reference implementation's limit. */
const longestHeader = 100_000_000

/**
 * Reads a safetensors file, all element types, without converting anything.
 *
 * @param source the path of a file, or its bytes; or the path of a sharded model's index
 *   (`model.safetensors.index.json`), which names the files below its folder that hold the tensors
 * @throws KerneletError `ERR_IO` when a file cannot be read; `ERR_FORMAT` when one is damaged, or an index names
 *   what is not there or lies elsewhere; `ERR_DTYPE` for an element type that the format does not have
 * @example
 * saveSafetensors('w.safetensors', { weight: new Tensor(Float32Array.of(1, 2), [2]) })
 * readSafetensors('w.safetensors').tensors.get('weight').dtype // → 'F32'
 */
export function readSafetensors(source: FileSource): WeightsFile {
  const { bytes, name, path } = readSource('readSafetensors', source, 'safetensors')
  if (path?.endsWith('.json')) return readShards(path, bytes)
  return new Reader(bytes, name).read()
}

/**
 * Reads the weights of a model. The numbers are copied, and made float32 where they are not: rounded to the
 * nearest.
 *
 * @param source as for `readSafetensors`
 * @returns tensors by name, for `loadStateDict`
 * @throws KerneletError as `readSafetensors`; `ERR_SHAPE` for a dimension of 0
 * @example
 * saveSafetensors('w.safetensors', { weight: new Tensor(Float32Array.of(1, 2), [2]) })
 * loadSafetensors('w.safetensors').get('weight') // → [1, 2]
 */
export function loadSafetensors(source: FileSource): Map<string, Tensor> {
  return toTensors(readSafetensors(source).tensors)
}

/**
 * Writes tensors to a file, all or nothing: it is written beside, flushed to disk and renamed.
 *
 * @param state tensors by name, such as a `stateDict()`
 * @param metadata strings to keep with them
 * @throws KerneletError `ERR_IO` when the file cannot be written; the old one is then untouched
 * @example
 * saveSafetensors('lenet.safetensors', new LeNet5().stateDict(), { note: 'untrained' })
 * readSafetensors('lenet.safetensors').metadata.get('note') // → 'untrained'
 */
export function saveSafetensors(
  path: FilePath,
  state: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
  metadata: ReadonlyMap<string, string> | Readonly<Record<string, string>> = {},
): void {
  writeAtomically(path, encodeSafetensors(state, metadata))
}

/** The bytes `saveSafetensors` writes, in parts. */
export function encodeSafetensors(
  state: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
  metadata: ReadonlyMap<string, string> | Readonly<Record<string, string>> = {},
): Uint8Array[] {
  const notes = entriesOf(metadata, 'metadata')
  // By name, as the reference implementation orders tensors of one type, so that equal weights give equal files.
  const tensors = entriesOf(state, 'state').sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const fields: [string, unknown][] = notes.length > 0 ? [['__metadata__', metadataField(notes)]] : []
  const parts: Uint8Array[] = []
  let offset = 0
  for (const [name, tensor] of tensors) {
    if (!Tensor.is(tensor) || name === '__metadata__') {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `saveSafetensors: ${show(name)}: expected a Tensor and another name`,
      )
    }
    const data = attached(tensor, name)
    const part = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    const end = offset + part.length
    fields.push([name, JSON.stringify({ dtype: 'F32', shape: tensor.shape, data_offsets: [offset, end] })])
    parts.push(part)
    offset = end
  }
  // Put together by hand: as a key of an object literal "__proto__" would vanish.
  const json = Buffer.from(`{${fields.map(([name, field]) => `${JSON.stringify(name)}:${field}`).join(',')}}`)
  const header = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ')
  header.set(json)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return [length, header, ...parts]
}

function metadataField(notes: readonly [string, string][]): string {
  const fields = notes.map(([key, value]) => {
    if (typeof value === 'string') return `${JSON.stringify(key)}:${JSON.stringify(value)}`
    throw new KerneletError(
      'ERR_ARGUMENT',
      `saveSafetensors: metadata ${show(key)} must be a string but is ${show(value)}`,
    )
  })
  return `{${fields.join(',')}}`
}

function entriesOf<T>(
  dictionary: ReadonlyMap<string, T> | Readonly<Record<string, T>>,
  what: string,
): [string, T][] {
  const isObject = typeof dictionary === 'object' && dictionary !== null
  const entries: [unknown, T][] | undefined = types.isMap(dictionary)
    ? [...dictionary]
    : isObject
      ? Object.entries(dictionary)
      : undefined
  if (entries?.every((entry): entry is [string, T] => typeof entry[0] === 'string')) return entries
  throw new KerneletError(
    'ERR_ARGUMENT',
    `saveSafetensors: ${what} must be a Map or an object with names as keys but is ${show(dictionary)}`,
  )
}

/** A sharded model: `weight_map` says which file has which tensor. */
function readShards(path: string, bytes: Uint8Array): WeightsFile {
  const damaged = (reason: string) =>
    new KerneletError('ERR_FORMAT', `${path} is not a valid safetensors index: ${reason}`)
  const index = parseJson(bytes, (reason) => damaged(`it is ${reason}`))
  if (!isRecord(index) || !isRecord(index.weight_map)) throw damaged('it has no "weight_map"')
  // By the name and by the real path: a file of many names is read once.
  const places = new Map<string, string>()
  const shards = new Map<string, WeightsFile>()
  const tensors = new Map<string, StoredTensor>()
  for (const [name, file] of Object.entries(index.weight_map)) {
    const place = typeof file === 'string' ? (places.get(file) ?? locateShard(path, file)) : undefined
    if (typeof file !== 'string' || place === undefined) {
      throw damaged(
        `it looks for ${show(name)} in ${show(file)}, which is not the name of a file below its folder`,
      )
    }
    places.set(file, place)
    const shard = shards.get(place) ?? readSafetensors(place)
    shards.set(place, shard)
    const tensor = shard.tensors.get(name)
    if (tensor === undefined) throw damaged(`it looks for ${show(name)} in ${file}, which does not have it`)
    tensors.set(name, tensor)
  }
  const notes = isRecord(index.metadata) ? Object.entries(index.metadata) : []
  // Arrays and objects have no short form, and may be nested deeper than the stack is high.
  const plain = notes.filter(([, value]) => typeof value !== 'object')
  return { tensors, metadata: new Map(plain.map(([key, value]) => [key, String(value)])) }
}

/**
 * The real path of a shard; undefined where it is none. Where the index is a link the shards may be too, into the
 * same folder: so the caches of hubs keep models.
 */
function locateShard(index: string, file: string): string | undefined {
  if (!file.endsWith('.safetensors') || file.includes(':') || file.split(/[\\/]/).includes(''))
    return undefined
  try {
    return locateBelow(file, dirname(index), dirname(realpathSync(index)))
  } catch (cause) {
    throw unreadable(join(dirname(index), file), cause)
  }
}

function parseJson(bytes: Uint8Array, failure: (reason: string) => KerneletError): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (cause) {
    throw failure(`not JSON in UTF-8 (${messageOf(cause)})`)
  }
}

/** Checks a file and takes it apart. */
class Reader {
  readonly #bytes: Uint8Array
  readonly #name: string

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes
    this.#name = name
  }

  read(): WeightsFile {
    const [header, data] = this.#split()
    const tensors = new Map<string, StoredTensor>()
    let metadata = new Map<string, string>()
    const spans: [begin: number, end: number, name: string][] = []
    for (const [name, value] of Object.entries(header)) {
      if (name === '__metadata__') {
        metadata = this.#metadata(value)
      } else {
        const { begin, end, ...tensor } = this.#tensor(name, value, data)
        tensors.set(name, tensor)
        spans.push([begin, end, name])
      }
    }
    this.#checkCoverage(spans, data.length)
    return { tensors, metadata }
  }

  #split(): [header: object, data: Uint8Array] {
    const bytes = this.#bytes
    const short = bytes.length < 8
    const length = short ? 0n : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
    if (short || length > longestHeader || length > bytes.length - 8) {
      // no JSON follows: it may be another kind of file, whose first bytes are no length
      const kind = bytes[8] === 0x7b ? undefined : otherKind(bytes)
      if (kind !== undefined) throw this.#other(kind)
      throw this.#damaged(
        short
          ? `it has ${bytes.length} bytes, fewer than the 8 of the header's length`
          : `its header would have ${length} bytes, but only ${bytes.length - 8} follow`,
      )
    }
    const end = 8 + Number(length)
    const header = parseJson(bytes.subarray(8, end), (reason) => this.#damaged(`its header is ${reason}`))
    if (!isRecord(header)) throw this.#damaged(`its header is not a JSON object but ${show(header)}`)
    return [header, bytes.subarray(end)]
  }

  #metadata(value: unknown): Map<string, string> {
    const entries = isRecord(value) ? Object.entries(value) : undefined
    if (entries?.every((entry): entry is [string, string] => typeof entry[1] === 'string'))
      return new Map(entries)
    throw this.#damaged('its __metadata__ is not an object of strings')
  }

  #tensor(name: string, value: unknown, data: Uint8Array): StoredTensor & { begin: number; end: number } {
    const what = show(name)
    if (!isRecord(value)) throw this.#damaged(`${what} is not described by an object`)
    const { dtype, shape, data_offsets: offsets } = value
    if (typeof dtype !== 'string' || !Object.hasOwn(bits, dtype)) {
      throw new KerneletError(
        'ERR_DTYPE',
        `${this.#name}: ${what} has the unknown element type ${show(dtype)}`,
      )
    }
    if (!isCounts(shape) || shape.length > mostDimensions) {
      throw this.#damaged(`the shape of ${what} is ${show(shape)}`)
    }
    if (!isCounts(offsets) || offsets.length !== 2)
      throw this.#damaged(`the offsets of ${what} are ${show(offsets)}`)
    const [begin, end] = offsets as [number, number]
    if (begin > end || end > data.length) {
      throw this.#damaged(`${what} would lie at bytes ${begin} to ${end} of ${data.length}`)
    }
    const size = this.#byteSize(dtype as Dtype, shape, what)
    if (end - begin !== size) {
      throw this.#damaged(
        `${what} has ${end - begin} bytes, but ${dtype} ${formatShape(shape)} takes ${size}`,
      )
    }
    return { dtype: dtype as Dtype, shape: [...shape], bytes: data.subarray(begin, end), begin, end }
  }

  #byteSize(dtype: Dtype, shape: readonly number[], what: string): number {
    let size = bits[dtype] / 8
    for (const dimension of shape) {
      size *= dimension
      if (!Number.isSafeInteger(size))
        throw this.#damaged(`the shape of ${what}, ${show(shape)}, is too large`)
    }
    return size
  }

  /** Every byte belongs to exactly one tensor: no room for overlaps or for something hidden. */
  #checkCoverage(spans: [begin: number, end: number, name: string][], length: number): void {
    spans.sort((a, b) => a[0] - b[0] || a[1] - b[1])
    let covered = 0
    for (const [begin, end, name] of spans) {
      if (begin !== covered) {
        throw this.#damaged(
          `${show(name)} begins at byte ${begin}, ${begin < covered ? 'inside another tensor' : `leaving a gap after ${covered}`}`,
        )
      }
      covered = end
    }
    if (covered !== length)
      throw this.#damaged(`${length - covered} bytes after the last tensor belong to none`)
  }

  #damaged(reason: string): KerneletError {
    return new KerneletError('ERR_FORMAT', `${this.#name} is not a valid safetensors file: ${reason}`)
  }

  #other(kind: string): KerneletError {
    return new KerneletError('ERR_FORMAT', `${this.#name} is not a safetensors file but ${kind}`)
  }
}

/** The files that are mostly taken for one of safetensors, by how they begin. */
function otherKind(bytes: Uint8Array): string | undefined {
  const [first, second = 0, third = 0] = bytes
  if (first === undefined) return 'empty'
  if ((first === 0x50 && second === 0x4b) || (first === 0x80 && second < 6))
    return 'one that looks like torch.save: loadTorch reads it'
  // a version as field 1, and a field that writers put next
  if (first === 0x08 && second < 0x20 && [0x12, 0x1a, 0x22, 0x3a, 0x42].includes(third))
    return 'an ONNX model: loadOnnx reads it'
  const text = bytes
    .subarray(0, 64)
    .every((one) => one === 9 || one === 10 || one === 13 || (one > 31 && one < 127))
  return text ? 'one of text' : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether `value` is an array of integers from 0 up that a double holds exactly. */
function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => Number.isSafeInteger(one) && one >= 0)
}
