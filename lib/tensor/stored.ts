/** Numbers that lie in a file until somebody asks for them: a plan packs its weights straight from there. */
import type { PartReader } from '../util/file.ts'

/** So many float32 in a file, little-endian. */
export class StoredFloats {
  readonly file: PartReader
  /** Bytes before the first. */
  readonly offset: number
  readonly length: number

  /** @throws KerneletError `ERR_IO` when the file ends before them */
  constructor(file: PartReader, offset: number, length: number) {
    file.checkPart(offset, Float32Array.BYTES_PER_ELEMENT * length)
    this.file = file
    this.offset = offset
    this.length = length
  }

  /**
   * Numbers `begin` to `end`, in a new array.
   *
   * @throws KerneletError `ERR_IO` when the file cannot be read, or was written to since it was opened
   */
  read(begin = 0, end: number = this.length): Float32Array {
    const size = Float32Array.BYTES_PER_ELEMENT
    this.file.checkUnchanged()
    const { buffer } = this.file.read(this.offset + size * begin, size * (end - begin))
    this.file.checkUnchanged()
    return new Float32Array(buffer)
  }
}
