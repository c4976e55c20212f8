/** Reads the fields of Protocol Buffers' messages. A file is not trusted: where every message and field ends is checked. */
import { PbfReader } from 'pbf'

/** Fields of all messages together: far more than a model has, far less than memory. */
const mostFields = 1 << 20

/** Integers of lists that no double is, by their place. */
const exact: WeakMap<readonly number[], Map<number, bigint>> = new WeakMap()

/** A list of integers of the model without what they lost as doubles. */
export function exactIntegers(list: readonly number[]): bigint[] {
  const known = exact.get(list)
  return list.map((one, i) => known?.get(i) ?? BigInt(one))
}

/** pbf's reader, which trusts lengths, made to check where every message and field ends. */
export class MessageReader extends PbfReader {
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
