/** Resizing of images, by the nearest pixel and between pixels. */
import type { Coordinates, Rounding } from '../../../backend/backend.ts'
import type { GraphNode } from '../../../graph/graph.ts'
import { resize } from '../../../ops/resize.ts'
import { formatShape } from '../../../tensor/shape.ts'
import { KerneletError } from '../../../util/errors.ts'
import * as nd from '../array.ts'
import type { Attributes, Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, axisOf, integersOf, type Read, type Run, required, tensorOf, type Value } from '../value.ts'

const coordinates = ['asymmetric', 'half_pixel', 'pytorch_half_pixel', 'align_corners'] as const
const roundings = ['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'] as const

/** One of some words; another one is refused by name. */
function wordOf<Word extends string>(
  node: OnnxNode,
  name: string,
  words: readonly Word[],
  otherwise: Word,
): Word {
  const given = node.text(name, otherwise)
  const word = words.find((one) => one === given)
  if (word !== undefined) return word
  throw node.unsupported(`attribute ${name}=${given} is not supported; it may be ${words.join(', ')}`)
}

interface Way {
  readonly coordinates: Coordinates
  /** undefined: between pixels. */
  readonly rounding: Rounding | undefined
}

const Resize: Read = (node) => {
  const linear = wordOf(node, 'mode', ['nearest', 'linear'], 'nearest') === 'linear'
  if (node.opset < 11) {
    const way: Way = { coordinates: 'asymmetric', rounding: linear ? undefined : 'floor' }
    return (inputs, run) =>
      resized(node, way, inputs[0], scalesOf(node, inputs[1]), undefined, undefined, run)
  }
  const rounding = wordOf(node, 'nearest_mode', roundings, 'round_prefer_floor')
  const way: Way = {
    coordinates: wordOf(node, 'coordinate_transformation_mode', coordinates, 'half_pixel'),
    rounding: linear ? undefined : rounding,
  }
  for (const name of ['antialias', 'exclude_outside']) {
    if (node.flag(name, false)) throw node.unsupported(`attribute ${name} is not supported`)
  }
  const axes = node.ints('axes')
  const policy = node.text('keep_aspect_ratio_policy', 'stretch')
  // what other modes go by
  node.ignore('cubic_coeff_a', 'extrapolation_value')
  return (inputs, run) => {
    const sizes = integersOf(node, inputs[3], 'the sizes')
    if (sizes && policy !== 'stretch') {
      throw node.unsupported(`attribute keep_aspect_ratio_policy=${policy} is not supported`)
    }
    return resized(node, way, inputs[0], scalesOf(node, inputs[2]), sizes, axes, run)
  }
}

/** Resize of before opset 11, by the scales alone. */
const Upsample: Read = (node) => {
  const linear = wordOf(node, 'mode', ['nearest', 'linear'], 'nearest') === 'linear'
  const fixed = node.opset < 9 ? node.floats('scales') : undefined
  if (node.opset < 9 && !fixed) throw node.error('ERR_FORMAT', 'attribute scales is missing')
  const way: Way = { coordinates: 'asymmetric', rounding: linear ? undefined : 'floor' }
  return (inputs, run) =>
    resized(node, way, inputs[0], fixed ?? scalesOf(node, inputs[1]), undefined, undefined, run)
}

/** Numbers for each dimension; none, or an empty list, where sizes are given instead. */
function scalesOf(node: OnnxNode, value: Value | undefined): number[] | undefined {
  if (value === undefined) return undefined
  const { values, type } = arrayOf(node, value, 'the scales')
  if (type.kind !== 'float') throw node.error('ERR_FORMAT', `the scales must be floats but are ${type.name}`)
  if (values.length > 64) throw node.error('ERR_SHAPE', `the scales are ${values.length} numbers`)
  return values.length === 0 ? undefined : Array.from(nd.toFloat32({ values, type, shape: [values.length] }))
}

function resized(
  node: OnnxNode,
  { coordinates, rounding }: Way,
  value: Value | undefined,
  scales: number[] | undefined,
  given: number[] | undefined,
  axes: number[] | undefined,
  run: Run,
): Value {
  const x = tensorOf(required(node, [value], 0), node)
  const { shape } = x
  const rank = shape.length
  const sizes = given?.length === 0 ? undefined : given
  if ((scales === undefined) === (sizes === undefined)) {
    throw node.error('ERR_FORMAT', 'it needs either scales or sizes')
  }
  if (rank !== 3 && rank !== 4) {
    throw node.unsupported(`resizing of ${formatShape(shape)}, which is no [n, c, h, w] or [n, c, l]`)
  }
  const places = axes?.map((axis) => axisOf(node, axis, rank)) ?? shape.map((_, d) => d)
  const asked = scales ?? sizes ?? []
  if (asked.length !== places.length || new Set(places).size !== places.length) {
    throw node.error('ERR_SHAPE', `${asked.length} numbers do not fit the axes [${places.join(', ')}]`)
  }
  if (asked.some((one) => !(one > 0 && one < 2 ** 31))) {
    throw node.error('ERR_SHAPE', `[${asked.join(', ')}] are no numbers above 0`)
  }
  // scale and size of each dimension, as onnxruntime rounds them
  const result = shape.map((side) => ({ scale: 1, side }))
  for (const [i, axis] of places.entries()) {
    const [number, side] = [asked[i] ?? 1, shape[axis] ?? 1]
    result[axis] = sizes
      ? { scale: Math.fround(number / side), side: number }
      : { scale: number, side: Math.floor(Math.fround(number * side)) }
    if (result[axis]?.side === 0) {
      throw node.error('ERR_SHAPE', `a scale of ${number} times ${side} leaves nothing of axis ${axis}`)
    }
    const isBatch = axis === 0 && sizes !== undefined && number === run.declaredBatch
    if (axis < 2 && result[axis]?.side !== side && !isBatch) {
      throw node.unsupported(`resizing of axis ${axis}, of batch or channels, is not supported`)
    }
  }
  const image = result.slice(2)
  const [first = 1, second] = image.map(({ scale }) => scale)
  return resize(x, {
    size: image.map(({ side }) => side),
    scales: second === undefined ? [1, first] : [first, second],
    coordinates,
    rounding,
  })
}

/** By the scales, where these give the sides; else, from opset 18 on, by the sides. */
const writeResize: Write = (to, { node, inputs, shapes: [image = []], output }) => {
  const [from, sides] = [image.slice(1), node.shape.slice(1)]
  const isStep = node.coordinates === 'step'
  const own = (node.scales ?? [1, 1]).slice(-sides.length).map((one) => Math.fround(isStep ? 1 / one : one))
  const ratios = sides.map((side, d) => Math.fround(side / (from[d] ?? 1)))
  const gives = (scales: number[]) =>
    sides.every((side, d) => Math.floor(Math.fround((scales[d] ?? 1) * (from[d] ?? 1))) === side)
  const attributes = attributesOf(node, isStep)
  const bySides = () => {
    to.need(18)
    const axes = sides.map((_, d) => d + 2)
    to.add('Resize', [...inputs, '', '', to.integers(`${output}.sizes`, sides)], output, {
      ...attributes,
      axes,
    })
  }
  const samePixels = (scales: number[]) =>
    !isStep ||
    sides.every((side, d) =>
      takesAlike(side, (node.scales ?? [1, 1]).slice(-sides.length)[d] ?? 1, scales[d] ?? 1),
    )
  if (gives(own) && samePixels(own)) {
    const scales = to.floats(`${output}.scales`, [sides.length + 2], [1, 1, ...own])
    to.add('Resize', [...inputs, '', scales], output, attributes)
  } else if (samePixels(ratios) && (isStep || own.every((one, d) => one === ratios[d]))) {
    bySides()
  } else {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `saveOnnx: ${node.name}: no Resize of ONNX takes the same pixels from ${formatShape(from)} to ${formatShape(sides)}`,
    )
  }
}

/** Whether PyTorch's product takes the pixels of ONNX's quotient. */
function takesAlike(side: number, step: number, scale: number): boolean {
  for (let x = 0; x < side; x++) {
    if (Math.floor(Math.fround(x * Math.fround(step))) !== Math.floor(Math.fround(x / scale))) return false
  }
  return true
}

function attributesOf(
  { op, coordinates = 'asymmetric', rounding = 'floor' }: GraphNode,
  isStep: boolean,
): Attributes {
  const nearest = op === 'upsampleNearest2d'
  return {
    mode: nearest ? 'nearest' : 'linear',
    coordinate_transformation_mode: isStep ? 'asymmetric' : coordinates,
    ...(nearest && { nearest_mode: rounding }),
  }
}

export const resizing: Family = {
  operators: {
    Resize: { read: Resize, isKernel: true },
    Upsample: { read: Upsample, isKernel: true },
  },
  writers: { upsampleNearest2d: writeResize, upsampleBilinear2d: writeResize },
}
