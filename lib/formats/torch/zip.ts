/**
 * The ZIP archives `torch.save` writes (PKWARE's APPNOTE 6.3): stored entries, sizes in 64 bits where they need
 * them. Nothing is unpacked or copied: an entry is a view of the file. A file is not trusted: sizes, counts and
 * checksums are all checked, which the usual zip packages leave out.
 */
import { crc32 } from 'node:zlib'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'

/** Sizes of the records, without their variable parts. */
const endSize = 22
const locatorSize = 20
const end64Size = 56
const centralSize = 46
const localSize = 30

interface Place {
  offset: number
  size: number
  crc: number
  /** Why it cannot be read. */
  fault?: 'compressed' | 'encrypted'
}

/** The entries of an archive by name. */
export class Zip {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #name: string
  readonly #entries: Map<string, Place> = new Map()

  /**
   * @param name what to call the file in errors
   * @throws KerneletError `ERR_FORMAT` for no archive or a damaged one
   */
  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#name = name
    this.#readDirectory()
  }

  names(): string[] {
    return [...this.#entries.keys()]
  }

  /**
   * The bytes of an entry, its checksum verified; undefined when there is none of that name.
   *
   * @throws KerneletError `ERR_FORMAT`; `ERR_UNSUPPORTED` when it is compressed or encrypted
   */
  read(entry: string): Uint8Array | undefined {
    const place = this.#entries.get(entry)
    if (place === undefined) return undefined
    if (place.fault !== undefined) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `${this.#name}: ${show(entry)} is ${place.fault}, which torch.save does not do; save it again with torch.save`,
      )
    }
    const bytes = this.#bytes.subarray(place.offset, place.offset + place.size)
    if (crc32(bytes) !== place.crc) {
      throw this.#damaged(
        `the checksum of ${show(entry)} is wrong: bytes were changed, or it was saved with ` +
          'torch.serialization.set_crc32_options(False)',
      )
    }
    return bytes
  }

  #readDirectory(): void {
    const { count, offset, end } = this.#findDirectory()
    let at = offset
    let total = 0
    for (let i = 0; i < count; i++) {
      if (at + centralSize > end || this.#u32(at) !== 0x02014b50) {
        throw this.#damaged(`its directory has ${i} entries instead of ${count}`)
      }
      const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => this.#u16(at + field)) as [
        number,
        number,
        number,
      ]
      const extra = at + centralSize + nameLength
      const next = extra + extraLength + commentLength
      if (next > end) throw this.#damaged('its directory is cut off')
      const entry = new TextDecoder().decode(this.#bytes.subarray(at + centralSize, extra))
      if (this.#entries.has(entry)) throw this.#damaged(`it has two entries ${show(entry)}`)
      const place = this.#place(at, extra, extraLength, entry, offset)
      // Entries that lie over each other would make a small file count as a large one.
      total += place.size
      if (total > this.#bytes.length) throw this.#damaged('its entries are larger than the file')
      this.#entries.set(entry, place)
      at = next
    }
  }

  /** Where the directory lies, from the record at the file's end. */
  #findDirectory(): { count: number; offset: number; end: number } {
    const last = this.#bytes.length - endSize
    // A comment of up to 65,535 bytes may follow.
    for (let at = last; at >= Math.max(0, last - 0xffff); at--) {
      if (this.#u32(at) !== 0x06054b50 || this.#u16(at + 20) !== last - at) continue
      let [count, size, offset, end] = [this.#u16(at + 10), this.#u32(at + 12), this.#u32(at + 16), at]
      const locator = at - locatorSize
      if (locator >= 0 && this.#u32(locator) === 0x07064b50) {
        end = this.#u64(locator + 8)
        if (end > locator - end64Size || this.#u32(end) !== 0x06064b50) {
          throw this.#damaged('its 64-bit directory is not where it says')
        }
        ;[count, size, offset] = [this.#u64(end + 32), this.#u64(end + 40), this.#u64(end + 48)]
      }
      if (offset + size > end || count * centralSize > size) {
        throw this.#damaged(`its directory of ${count} entries is not where it says`)
      }
      return { count, offset, end: offset + size }
    }
    throw this.#damaged('its end is missing')
  }

  #place(at: number, extra: number, extraLength: number, entry: string, limit: number): Place {
    const crc = this.#u32(at + 16)
    const fields = [this.#u32(at + 24), this.#u32(at + 20), this.#u32(at + 42)]
    const [size, packed, header] = this.#widen(fields, extra, extraLength) as [number, number, number]
    const encrypted = (this.#u16(at + 8) & 1) !== 0
    if (encrypted || this.#u16(at + 10) !== 0) {
      return { offset: 0, size: 0, crc, fault: encrypted ? 'encrypted' : 'compressed' }
    }
    if (size !== packed) throw this.#damaged(`${show(entry)} has two sizes, ${size} and ${packed}`)
    const isHeader = header + localSize <= limit && this.#u32(header) === 0x04034b50
    const offset = isHeader ? header + localSize + this.#u16(header + 26) + this.#u16(header + 28) : limit
    if (!isHeader || offset + size > limit) {
      throw this.#damaged(`${show(entry)}, ${size} bytes, is not where the directory says`)
    }
    return { offset, size, crc }
  }

  /** Those of the fields that are all ones, from the extra field with id 1. */
  #widen(fields: readonly number[], extra: number, extraLength: number): number[] {
    const end = extra + extraLength
    let [from, to] = [0, 0]
    for (let at = extra; at + 4 <= end; at += 4 + this.#u16(at + 2)) {
      if (this.#u16(at) === 1) [from, to] = [at + 4, Math.min(end, at + 4 + this.#u16(at + 2))]
    }
    return fields.map((field) => {
      if (field !== 0xffffffff) return field
      if (from + 8 > to) throw this.#damaged('a 64-bit size is missing')
      from += 8
      return this.#u64(from - 8)
    })
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, true)
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true)
  }

  /** As a double: from 2⁵³ on not exact, but larger than any file. */
  #u64(at: number): number {
    return this.#u32(at + 4) * 2 ** 32 + this.#u32(at)
  }

  #damaged(reason: string): KerneletError {
    return new KerneletError('ERR_FORMAT', `${this.#name} is a damaged file: ${reason}`)
  }
}
