/**
 * Reads the fields of Protocol Buffers' messages. A file is not trusted: where every message and field ends is checked.
 * Small, as every program that loads a model reads it first: pbf, which writes them, could read much more than ONNX has.
 */

/** Fields of all messages together: far more than a model has, far less than memory. */
const mostFields = 1 << 20

/** How a field is written. */
const [varint, fixed64, lengthDelimited, fixed32] = [0, 1, 2, 5]

/** Integers of lists that no double is, by their place. */
const exact: WeakMap<readonly number[], Map<number, bigint>> = new WeakMap()

/** A list of integers of the model without what they lost as doubles. */
export function exactIntegers(list: readonly number[]): bigint[] {
  const known = exact.get(list)
  return list.map((one, i) => known?.get(i) ?? BigInt(one))
}

export class MessageReader {
  readonly #bytes: Uint8Array
  readonly #text: Buffer
  readonly #view: DataView
  /** Of the next byte. */
  pos = 0
  /** How the field is written whose number `nextField` gave. */
  #type = 0
  /** Where its value begins; whoever has no use for a field leaves it there. */
  #value = -1
  #fields = 0

  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset, byteLength } = bytes
    this.#bytes = bytes
    this.#text = Buffer.from(buffer, byteOffset, byteLength)
    this.#view = new DataView(buffer, byteOffset, byteLength)
  }

  /** The number of the next field of a message; 0 at its end. */
  nextField(end: number = this.#bytes.length): number {
    const { length } = this.#bytes
    if (end > length) throw new Error(`a message would end at byte ${end} of ${length}`)
    if (this.pos === this.#value) this.#skip()
    let field = 0
    if (this.pos < end) {
      const key = this.readVarint()
      this.#type = key & 7
      this.#value = this.pos
      field = key >>> 3
    }
    if (field === 0 && this.pos !== end) throw new Error('a field reaches over the end of its message')
    if (++this.#fields > mostFields) throw new Error(`it has more than ${mostFields} fields`)
    return field
  }

  #skip(): void {
    if (this.#type === varint) {
      while ((this.#bytes[this.pos++] as number) > 0x7f);
    } else if (this.#type === lengthDelimited) this.pos = this.readVarint() + this.pos
    else if (this.#type === fixed32) this.pos += 4
    else if (this.#type === fixed64) this.pos += 8
    else throw new Error(`Unimplemented type: ${this.#type}`)
  }

  /** An integer; one past 2⁵³ loses what a double cannot hold. */
  readVarint(isSigned = false): number {
    const bytes = this.#bytes
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[this.pos++] as number
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return low
    }
    let byte = bytes[this.pos++] as number
    low |= (byte & 0x0f) << 28
    let high = (byte & 0x70) >> 4
    // (past the end there are none, which are less than nothing)
    for (let shift = 3; !(byte < 0x80); shift += 7) {
      if (shift > 31) throw new Error('Expected varint not more than 10 bytes')
      byte = bytes[this.pos++] as number
      high |= (byte & (shift === 31 ? 1 : 0x7f)) << shift
    }
    return (isSigned ? high : high >>> 0) * 2 ** 32 + (low >>> 0)
  }

  readFloat(): number {
    const value = this.#view.getFloat32(this.pos, true)
    this.pos += 4
    return value
  }

  readString(): string {
    const end = this.readVarint() + this.pos
    const text = this.#text.toString('utf8', this.pos, end)
    this.pos = end
    return text
  }

  readBytes(): Uint8Array {
    const end = this.readVarint() + this.pos
    const bytes = this.#bytes.subarray(this.pos, end)
    this.pos = end
    return bytes
  }

  readPackedVarint(list: number[] = [], isSigned = false): number[] {
    for (const end = this.#packedEnd(); this.pos < end; ) {
      const start = this.pos
      const value = this.readVarint(isSigned)
      if (!Number.isSafeInteger(value)) {
        if (!exact.has(list)) exact.set(list, new Map())
        exact.get(list)?.set(list.length, wideVarint(this.#bytes.subarray(start, this.pos), isSigned))
      }
      list.push(value)
    }
    return list
  }

  readPackedFloat(list: number[] = []): number[] {
    for (const end = this.#packedEnd(); this.pos < end; ) list.push(this.readFloat())
    return list
  }

  readPackedDouble(list: number[] = []): number[] {
    for (const end = this.#packedEnd(); this.pos < end; this.pos += 8) {
      list.push(this.#view.getFloat64(this.pos, true))
    }
    return list
  }

  /** A list may come as one field, or as one for each of its numbers. */
  #packedEnd(): number {
    return this.#type === lengthDelimited ? this.readVarint() + this.pos : this.pos + 1
  }
}

/** An integer of 64 bits, seven of them a byte. */
function wideVarint(bytes: Uint8Array, isSigned: boolean): bigint {
  const value = bytes.reduceRight((upper, byte) => (upper << 7n) | BigInt(byte & 0x7f), 0n)
  return isSigned ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)
}
