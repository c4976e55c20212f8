/** A convolution with all that one does by hand, then ReLU and pools of it. */
import { avgPool2d, conv2d, KerneletError, maxPool2d, mul, pad, relu, Tensor } from 'kernelet'
import { type Fields, type Grid, gridOf, integerOf } from './read.ts'

const MOST_IMAGE = 10
const MOST_FILTER = 7

export interface Convolved {
  /** The image with its zeros around. */
  padded: Grid
  map: Grid
  /** Of each number of the map, row by row: the products that it is the sum of, row by row of the filter. */
  products: number[][]
  relu: Grid
  /** Undefined where the window does not fit into the map; then `refusal` says so. */
  pools: Pools | undefined
  refusal: string | undefined
}

export interface Pools {
  /** ReLU, then the pool: the usual order. */
  reluMax: Grid
  reluMean: Grid
  /** The pool, then ReLU. */
  maxRelu: Grid
  meanRelu: Grid
  /** Where each number of `reluMax` came from: [row, column] in the map. */
  from: [row: number, column: number][]
}

/**
 * @throws RequestError for what is no such question, KerneletError where the filter does not fit into the image
 */
export function convolve(fields: Fields): Convolved {
  const image = imageOf(gridOf(fields.image, 'image', MOST_IMAGE))
  const filterRows = gridOf(fields.filter, 'filter', MOST_FILTER)
  const padding = integerOf(fields.padding, 'padding', 0, 3)
  const stride = integerOf(fields.stride, 'stride', 1, 5)
  const size = integerOf(fields.pool, 'pool', 1, 5)
  const filter = imageOf(filterRows)
  const map = conv2d(image, filter, null, { padding, stride })
  const padded = gridIn(pad(image, [padding, padding, padding, padding]))
  const [kernelHeight, kernelWidth] = [filterRows.length, filterRows[0]?.length ?? 0]
  const taps = kernelHeight * kernelWidth
  const [height, width] = sidesOf(map)
  const windows = places(height, width).flatMap(([row, column]) =>
    places(kernelHeight, kernelWidth).map(([i, j]) => padded[row * stride + i]?.[column * stride + j] ?? 0),
  )
  const products = mul(
    new Tensor(Float32Array.from(windows), [height * width, taps]),
    new Tensor(filter.data, [1, taps]),
  )
  const positive = relu(map)
  return {
    padded,
    map: gridIn(map),
    products: rowsOf(products.data, taps),
    relu: gridIn(positive),
    ...poolsOf(map, positive, size),
  }
}

function poolsOf(map: Tensor, positive: Tensor, size: number): Pick<Convolved, 'pools' | 'refusal'> {
  try {
    const reluMax = maxPool2d(positive, size)
    const [height, width] = sidesOf(reluMax)
    const rows = gridIn(positive)
    const from = places(height, width).map(([row, column], i): [number, number] => {
      const here = places(size, size).map(([y, x]): [number, number] => [row * size + y, column * size + x])
      return here.find(([y, x]) => rows[y]?.[x] === reluMax.data[i]) ?? [row * size, column * size]
    })
    const pools = {
      reluMax: gridIn(reluMax),
      reluMean: gridIn(avgPool2d(positive, size)),
      maxRelu: gridIn(relu(maxPool2d(map, size))),
      meanRelu: gridIn(relu(avgPool2d(map, size))),
      from,
    }
    return { pools, refusal: undefined }
  } catch (error) {
    if (error instanceof KerneletError) return { pools: undefined, refusal: error.message }
    throw error
  }
}

/** One image of one channel. */
function imageOf(rows: Grid): Tensor {
  return new Tensor(Float32Array.from(rows.flat()), [1, 1, rows.length, rows[0]?.length ?? 0])
}

function gridIn({ data, shape }: Tensor): Grid {
  return rowsOf(data, shape.at(-1) ?? 1)
}

function rowsOf(data: Float32Array, width: number): Grid {
  return Array.from({ length: data.length / width }, (_, i) =>
    Array.from(data.subarray(i * width, (i + 1) * width)),
  )
}

function sidesOf({ shape }: Tensor): [height: number, width: number] {
  return [shape.at(-2) ?? 0, shape.at(-1) ?? 0]
}

/** Row by row. */
function places(height: number, width: number): [row: number, column: number][] {
  return Array.from({ length: height * width }, (_, i) => [Math.floor(i / width), i % width])
}
