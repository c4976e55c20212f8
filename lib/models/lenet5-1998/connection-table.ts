import { Conv2d, type Conv2dOptions } from '../../ops/convolution.ts'
import { size } from '../../tensor/shape.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'

/** Options of `ConnectionTableConv2d`. */
export type ConnectionTableConv2dOptions = Omit<Conv2dOptions, 'groups'>

/**
 * 2-D convolution in which each output channel sees only some of the input channels (LeCun et al. 1998, table I).
 * The weight has the shape of `Conv2d`'s, with zeros where nothing is connected; they are no parameters and training
 * leaves them zero.
 */
export class ConnectionTableConv2d extends Conv2d {
  /** For each output channel the input channels it sees. */
  readonly table: readonly (readonly number[])[]

  /**
   * @param table for each output channel the input channels it sees, from 0 up
   * @throws KerneletError `ERR_ARGUMENT` for a row that is empty or has other channels; otherwise as `Conv2d`
   */
  constructor(
    inChannels: number,
    table: readonly (readonly number[])[],
    options: ConnectionTableConv2dOptions,
  ) {
    checkTable(table, size(inChannels, 'ConnectionTableConv2d: inChannels', 1))
    super(inChannels, table.length, options)
    this.table = Object.freeze(table.map((row) => Object.freeze([...row])))
    const taps = this.weight.data.length / table.length / inChannels
    const mask = new Uint8Array(this.weight.data.length)
    for (const [out, row] of table.entries()) {
      for (const channel of row)
        mask.fill(1, (out * inChannels + channel) * taps, (out * inChannels + channel + 1) * taps)
    }
    for (const [i, connected] of mask.entries()) if (!connected) this.weight.data[i] = 0
    this.weight.mask = mask
  }
}

function checkTable(table: unknown, inChannels: number): void {
  const isRow = (row: unknown) =>
    Array.isArray(row) &&
    row.length > 0 &&
    new Set(row).size === row.length &&
    row.every((channel) => Number.isInteger(channel) && channel >= 0 && channel < inChannels)
  const wrong = Array.isArray(table) ? table.find((row) => !isRow(row)) : table
  if (Array.isArray(table) && table.length > 0 && wrong === undefined) return
  throw new KerneletError(
    'ERR_ARGUMENT',
    `ConnectionTableConv2d: expected for each output channel the input channels it sees, from 0 to ${inChannels - 1}, ` +
      `each once, but received ${show(wrong)}`,
  )
}
