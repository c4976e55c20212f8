/** A model's file without the bytes of its large weights, which stay there until somebody asks for them. */
import { StoredFloats } from '../../tensor/stored.ts'
import { PartReader } from '../../util/file.ts'
import { decodeModel } from './decode.ts'
import type { GraphProto, ModelProto } from './proto.ts'
import { leftFrom, mayStayOpen, type PlacedTensor } from './tensor.ts'

/** Fields of the messages that are looked into: their numbers, as in onnx.proto. */
const [graph, initializer, dataType, rawData, dataLocation] = [7, 5, 2, 9, 14]
const float = 1

/** Fields that are looked at: more is not a model of weights. */
const mostFields = 1 << 18

/** Bytes that are read at once where keys and lengths are looked for. */
const windowBytes = 1 << 14

/**
 * A model read from its file: of large float32 weights only where they lie.
 *
 * @throws KerneletError as `decodeModel`; `ERR_IO` when the file cannot be read
 */
export function decodeFile(path: string): ModelProto {
  const file = new PartReader(path)
  let kept = false
  try {
    const model = file.size < leftFrom || !mayStayOpen() ? undefined : withoutWeights(file, path)
    kept = model !== undefined
    return model ?? decodeModel(file.read(0, file.size), path)
  } finally {
    if (!kept) file.close()
  }
}

/** undefined: what is damaged, or has no such weights, is read as a whole. */
function withoutWeights(file: PartReader, path: string): ModelProto | undefined {
  let model: ModelProto
  const condenser = new Condenser(file)
  try {
    const condensed = condenser.condense()
    // a file that others hold the weights of would be decoded twice
    if (!condenser.weights.some(Boolean)) return undefined
    model = decodeModel(bytesOf(file, condensed), path)
  } catch {
    return undefined
  }
  const { initializer: tensors } = model.graph as GraphProto
  if (tensors.length !== condenser.weights.length) return undefined
  for (const [i, place] of condenser.weights.entries()) {
    if (place) (tensors[i] as PlacedTensor).place = place
  }
  return model
}

/** One field of a message: where its key begins, its content, and the next field. */
interface Field {
  readonly number: number
  /** How its content is written: 0 is a number, 2 bytes with their length in front. */
  readonly wire: number
  readonly begin: number
  readonly body: number
  readonly end: number
  /** Of a number. */
  readonly value: number
}

/** A piece of the model: bytes, or a part of its file. */
type Piece = Uint8Array | { readonly from: number; readonly length: number }

class Condenser {
  /** One for each initializer of the graph; undefined where its numbers are in the bytes. */
  readonly weights: (StoredFloats | undefined)[] = []
  readonly #file: PartReader
  #window = new Uint8Array(0)
  /** Of the window in the file. */
  #from = 0
  #at = 0
  #fields = 0

  constructor(file: PartReader) {
    this.#file = file
  }

  /** The model without those weights. */
  condense(): Piece[] {
    let graphs = 0
    return this.#message(0, this.#file.size, ({ number, body, end }) => {
      if (number !== graph) return undefined
      // two would be one, with what both have
      if (++graphs > 1) throw new Error('a second graph')
      return this.#message(body, end, (field) =>
        field.number === initializer ? this.#tensor(field) : undefined,
      )
    })
  }

  /** A message of which `replace` gives other contents for some fields. */
  #message(from: number, to: number, replace: (field: Field) => Piece[] | undefined): Piece[] {
    const parts: Piece[] = []
    let copied = from
    const copy = (end: number) => {
      if (end > copied) parts.push({ from: copied, length: end - copied })
    }
    for (let at = from; at < to; ) {
      const field = this.#field(at, to)
      const content = replace(field)
      if (content) {
        if (field.wire !== 2) throw new Error('a message that is none')
        copy(field.begin)
        const length = content.reduce((sum, { length }) => sum + length, 0)
        parts.push(Uint8Array.from([...varint(8 * field.number + 2), ...varint(length)]), ...content)
        copied = field.end
      }
      at = field.end
    }
    copy(to)
    return parts
  }

  /** A tensor with no bytes for its numbers, where these are many; their place is noted. */
  #tensor({ body, end }: Field): Piece[] | undefined {
    const place = end - body < leftFrom ? undefined : this.#rawData(body, end)
    this.weights.push(place && new StoredFloats(this.#file, place.body, (place.end - place.body) / 4))
    return place && this.#message(body, end, ({ number }) => (number === rawData ? [] : undefined))
  }

  #rawData(from: number, to: number): Field | undefined {
    const found: Field[] = []
    let [type, location] = [0, 0]
    for (let at = from; at < to; ) {
      const field = this.#field(at, to)
      const { number, wire, value } = field
      if (number === rawData) found.push(field)
      if (number === dataType) type = wire === 0 ? value : Number.NaN
      if (number === dataLocation) location = wire === 0 ? value : Number.NaN
      at = field.end
    }
    const [data] = found
    if (data === undefined || found.length > 1 || type !== float || location !== 0) return undefined
    const bytes = data.end - data.body
    return bytes >= leftFrom && bytes % 4 === 0 ? data : undefined
  }

  #field(begin: number, to: number): Field {
    if (++this.#fields > mostFields) throw new Error('too many fields')
    this.#at = begin
    const key = this.#varint()
    const wire = key % 8
    let value = 0
    if (wire === 0 || wire === 2) value = this.#varint()
    const body = this.#at
    const length = wire === 2 ? value : wire === 1 ? 8 : wire === 5 ? 4 : wire === 0 ? 0 : Number.NaN
    const end = body + length
    if (!(end <= to)) throw new Error('a field reaches over the end of its message')
    return { number: Math.floor(key / 8), wire, begin, body, end, value }
  }

  #varint(): number {
    let value = 0
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = this.#byte()
      value += (byte % 128) * scale
      if (byte < 128) return value
    }
    throw new Error('a number of more than 64 bits')
  }

  #byte(): number {
    if (!(this.#at >= this.#from && this.#at < this.#from + this.#window.length)) {
      this.#from = this.#at
      this.#window = this.#file.read(this.#at, Math.min(windowBytes, this.#file.size - this.#at))
    }
    const byte = this.#window[this.#at - this.#from]
    if (byte === undefined) throw new Error('the file ends in a number')
    this.#at++
    return byte
  }
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let left = value
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128)
  return [...bytes, left]
}

function bytesOf(file: PartReader, pieces: readonly Piece[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece instanceof Uint8Array ? piece : file.read(piece.from, piece.length), at)
    at += piece.length
  }
  return bytes
}
