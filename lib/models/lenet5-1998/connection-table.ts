import { Conv2d, type Conv2dOptions } from '../../ops/convolution.ts'
import { size } from '../../tensor/shape.ts'
import { itemsOf } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'

/** Options of `ConnectionTableConv2d`. */
export type ConnectionTableConv2dOptions = Omit<Conv2dOptions, 'groups'>

const most = 2 ** 16

/**
 * 2-D convolution in which each output channel sees only some of the input channels (LeCun et al. 1998, table I).
 * The weight has the shape of `Conv2d`'s, with zeros where nothing is connected; they are no parameters and training
 * leaves them zero.
 * @example
 * // the first output sees the first channel, the second both
 * const layer = new ConnectionTableConv2d(2, [[0], [0, 1]], { kernelSize: 3 })
 * layer.forward(new Tensor(new Float32Array(2 * 25), [1, 2, 5, 5])).shape // → [1, 2, 3, 3]
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
    const rows = tableOf(table, size(inChannels, 'ConnectionTableConv2d: inChannels', 1))
    super(inChannels, rows.length, options)
    this.table = Object.freeze(rows.map((row) => Object.freeze(row)))
    const taps = this.weight.data.length / rows.length / inChannels
    const mask = new Uint8Array(this.weight.data.length)
    for (const [out, row] of rows.entries()) {
      for (const channel of row)
        mask.fill(1, (out * inChannels + channel) * taps, (out * inChannels + channel + 1) * taps)
    }
    for (const [i, connected] of mask.entries()) if (!connected) this.weight.data[i] = 0
    this.weight.mask = mask
  }
}

/** The rows, copied. */
function tableOf(table: unknown, inChannels: number): number[][] {
  const channel = (one: unknown): one is number =>
    Number.isInteger(one) && (one as number) >= 0 && (one as number) < inChannels
  const rows = itemsOf(table, most)?.map((row) => {
    const channels = itemsOf(row, Math.min(inChannels, most))
    const fits = channels?.every(channel) && channels.length > 0 && new Set(channels).size === channels.length
    return fits ? channels : undefined
  })
  if (rows && rows.length > 0 && !rows.includes(undefined)) return rows as number[][]
  const wrong = rows && rows.length > 0 ? (table as unknown[])[rows.indexOf(undefined)] : table
  throw new KerneletError(
    'ERR_ARGUMENT',
    `ConnectionTableConv2d: expected for each output channel the input channels it sees, from 0 to ${inChannels - 1}, ` +
      `each once, but received ${show(wrong)}`,
  )
}
