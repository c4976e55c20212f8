/** Windows that are seldom used: pools by a norm, and the ways back from pools and columns. In run() only. */
import { elements, formatShape, windowCount } from '../../../tensor/shape.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import type { Scalar } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, indicesOf, integersOf, type Read, required, type Value } from '../value.ts'
import { place, positions, readPool, slide } from './window.ts'

function floatsOf(node: OnnxNode, value: Value): nd.NdArray {
  const array = arrayOf(node, value)
  if (array.type.kind === 'float') return array
  throw node.error('ERR_FORMAT', `it takes floating-point numbers but gets ${array.type.name}`)
}

/** (Σ |x|ᵖ)^(1/p) */
function norm(values: ArrayLike<number | bigint>, offset: number, taps: Iterable<number>, p: number): number {
  let sum = 0
  for (const tap of taps) sum += Math.abs(Number(values[offset + tap])) ** p
  return sum ** (1 / p)
}

/** The exponent, which was a float before opset 2. */
function exponentOf(node: OnnxNode): number {
  const p = node.opset < 2 ? node.float('p', 2) : node.int('p', 2)
  if (p > 0) return p
  throw node.unsupported(`attribute p=${p} is not supported`)
}

const LpPool: Read = (node) => {
  const { attributes, kernel, ceilMode } = readPool(node)
  const p = exponentOf(node)
  return (inputs) => {
    const x = floatsOf(node, required(node, inputs, 0))
    const window = place(node, attributes, kernel, x.shape.slice(2))
    const counts = positions(x, window, ceilMode)
    const pooled = nd.allocate(x.type, [...x.shape.slice(0, 2), ...counts])
    slide(x, counts, window, (output, offset, taps) => {
      pooled.values[output] = norm(x.values, offset, taps, p)
    })
    return pooled
  }
}

const GlobalLpPool: Read = (node) => {
  const p = exponentOf(node)
  return (inputs) => {
    const x = floatsOf(node, required(node, inputs, 0))
    const [n = 0, c = 0, ...image] = x.shape
    if (image.length === 0) throw node.error('ERR_SHAPE', `${formatShape(x.shape)} has no image to pool`)
    const area = elements(image)
    const pooled = nd.allocate(x.type, [n, c, ...image.map(() => 1)])
    spend(x.values.length * 4)
    const taps = Array.from({ length: area }, (_, i) => i)
    for (let plane = 0; plane < n * c; plane++) pooled.values[plane] = norm(x.values, plane * area, taps, p)
    return pooled
  }
}

/** Puts what a MaxPool chose back where it was, among zeros. */
const MaxUnpool: Read = (node) => {
  const kernel = node.ints('kernel_shape')
  const [strides, pads] = [node.ints('strides'), node.ints('pads')]
  if (!kernel) throw node.error('ERR_FORMAT', 'attribute kernel_shape is missing')
  return (inputs) => {
    const x = arrayOf(node, required(node, inputs, 0))
    const indices = indicesOf(node, required(node, inputs, 1), 'the indices')
    const image = x.shape.slice(2)
    if (image.length !== kernel.length || indices.values.length !== x.values.length) {
      throw node.error(
        'ERR_SHAPE',
        `indices of ${formatShape(indices.shape)} and a window of ${formatShape(kernel)} do not go with ` +
          formatShape(x.shape),
      )
    }
    const inferred = image.map(
      (size, d) =>
        (size - 1) * (strides?.[d] ?? 1) +
        (kernel[d] ?? 1) -
        (pads?.[d] ?? 0) -
        (pads?.[d + image.length] ?? 0),
    )
    const whole = [...x.shape.slice(0, 2), ...inferred]
    const shape = integersOf(node, inputs[2], 'output_shape') ?? whole
    const result = nd.allocate(x.type, shape)
    // indices count in the tensor as the attributes give it, which may be smaller
    const from = nd.stridesOf(whole)
    const to = nd.stridesOf(shape)
    const fits = shape.length === whole.length && whole.every((size, d) => size <= (shape[d] ?? 0))
    if (!fits) {
      throw node.error('ERR_SHAPE', `${formatShape(shape)} does not hold ${formatShape(whole)}`)
    }
    spend(x.values.length * shape.length * 2)
    for (const [i, index] of indices.values.entries()) {
      let rest = Number(index)
      if (!(rest >= 0 && rest < elements(whole))) throw node.error('ERR_SHAPE', `index ${rest} is outside`)
      let at = 0
      for (const [d, stride] of from.entries()) {
        at += Math.floor(rest / stride) * (to[d] ?? 0)
        rest %= stride
      }
      result.values[at] = x.values[i] as Scalar
    }
    return result
  }
}

/** Columns as windows of an image, which add up where they overlap. */
const Col2Im: Read = (node) => {
  const [dilations, strides, pads] = [node.ints('dilations'), node.ints('strides'), node.ints('pads')]
  return (inputs) => {
    const x = floatsOf(node, required(node, inputs, 0))
    const image = integersOf(node, required(node, inputs, 1), 'image_shape') as number[]
    const block = integersOf(node, required(node, inputs, 2), 'block_shape') as number[]
    const rank = image.length
    const list = (given: number[] | undefined, otherwise: number, count = rank) => {
      const numbers = given ?? new Array<number>(count).fill(otherwise)
      if (numbers.length === count && numbers.every((one) => one >= otherwise)) return numbers
      throw node.error('ERR_FORMAT', `[${numbers.join(', ')}] does not go with ${rank} dimensions`)
    }
    const [stride, dilation, around] = [list(strides, 1), list(dilations, 1), list(pads, 0, 2 * rank)]
    if (block.length !== rank || [...image, ...block].some((one) => !(one >= 1))) {
      throw node.error('ERR_SHAPE', `blocks of [${block}] do not go with an image of [${image}]`)
    }
    const counts = image.map((size, d) =>
      windowCount(
        size,
        block[d] ?? 1,
        stride[d] ?? 1,
        around[d] ?? 0,
        around[d + rank] ?? 0,
        dilation[d] ?? 1,
        false,
      ),
    )
    const [n = 0, rows = 0, columns] = x.shape
    const taps = elements(block)
    if (
      x.shape.length !== 3 ||
      rows % taps !== 0 ||
      counts.some((one) => one < 1) ||
      columns !== elements(counts)
    ) {
      throw node.error(
        'ERR_SHAPE',
        `columns of ${formatShape(x.shape)} do not go with blocks of [${block}] of an image of [${image}]`,
      )
    }
    const channels = rows / taps
    const result = nd.allocate(x.type, [n, channels, ...image])
    const area = elements(image)
    spend(x.values.length * (rank + 1) * 2)
    // doubles, so that sums are rounded once
    const sums = new Float64Array(result.values.length)
    const [blockStrides, countStrides, imageStrides] = [block, counts, image].map((one) =>
      nd.stridesOf(one),
    ) as [number[], number[], number[]]
    for (let tap = 0; tap < taps; tap++) {
      for (let column = 0; column < columns; column++) {
        let at = 0
        for (let d = 0; d < rank; d++) {
          const k = Math.floor(tap / (blockStrides[d] ?? 1)) % (block[d] ?? 1)
          const position = Math.floor(column / (countStrides[d] ?? 1)) % (counts[d] ?? 1)
          const pixel = position * (stride[d] ?? 1) + k * (dilation[d] ?? 1) - (around[d] ?? 0)
          at = pixel < 0 || pixel >= (image[d] ?? 0) ? Number.NaN : at + pixel * (imageStrides[d] ?? 1)
        }
        if (Number.isNaN(at)) continue
        for (let plane = 0; plane < n * channels; plane++) {
          sums[plane * area + at] =
            (sums[plane * area + at] ?? 0) + Number(x.values[(plane * taps + tap) * columns + column])
        }
      }
    }
    ;(result.values as Float64Array).set(sums)
    return result
  }
}

export const moreWindows: Family = {
  operators: { Col2Im, GlobalLpPool, LpPool, MaxUnpool },
}
