/** Resizing: what is asked for, and images by the native operation, by the nearest pixel and between pixels. */
import type { GraphNode } from '../../../graph/graph.ts'
import { resize } from '../../../ops/resize.ts'
import { formatShape } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { KerneletError } from '../../../util/errors.ts'
import * as nd from '../array.ts'
import type { Attributes, Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, axisOf, integersOf, type Read, type Run, required, tensorOf, type Value } from '../value.ts'
import { type Side, summed, type Way } from './resize-sums.ts'

const plain = ['asymmetric', 'half_pixel', 'pytorch_half_pixel', 'align_corners'] as const
const places = [...plain, 'half_pixel_symmetric', 'tf_crop_and_resize'] as const
const roundings = ['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'] as const
const policies = ['stretch', 'not_larger', 'not_smaller'] as const

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

const Resize: Read = (node) => {
  if (node.opset < 11) {
    const way = usual(wordOf(node, 'mode', ['nearest', 'linear'], 'nearest'))
    return (inputs, run) => resized(node, way, inputs[0], { scales: scalesOf(node, inputs[1]) }, run)
  }
  const way: Way = {
    mode: wordOf(node, 'mode', ['nearest', 'linear', 'cubic'], 'nearest'),
    coordinates: wordOf(node, 'coordinate_transformation_mode', places, 'half_pixel'),
    rounding: wordOf(node, 'nearest_mode', roundings, 'round_prefer_floor'),
    antialias: node.flag('antialias', false),
    dropOutside: node.flag('exclude_outside', false),
    slope: node.float('cubic_coeff_a', -0.75),
    beyond: node.float('extrapolation_value', 0),
  }
  const axes = node.ints('axes')
  const policy = wordOf(node, 'keep_aspect_ratio_policy', policies, 'stretch')
  return (inputs, run) => {
    const sizes = integersOf(node, inputs[3], 'the sizes')
    const crop = way.coordinates === 'tf_crop_and_resize' ? scalesOf(node, inputs[1]) : undefined
    return resized(
      node,
      way,
      inputs[0],
      { scales: scalesOf(node, inputs[2]), sizes, axes, policy, crop },
      run,
    )
  }
}

/** Resize of before opset 11, by the scales alone. */
const Upsample: Read = (node) => {
  const way = usual(wordOf(node, 'mode', ['nearest', 'linear'], 'nearest'))
  const fixed = node.opset < 9 ? node.floats('scales') : undefined
  if (node.opset < 9 && !fixed) throw node.error('ERR_FORMAT', 'attribute scales is missing')
  return (inputs, run) => resized(node, way, inputs[0], { scales: fixed ?? scalesOf(node, inputs[1]) }, run)
}

function usual(mode: Way['mode']): Way {
  return {
    mode,
    coordinates: 'asymmetric',
    rounding: 'floor',
    antialias: false,
    dropOutside: false,
    slope: 0,
    beyond: 0,
  }
}

/** Numbers for each dimension; none, or an empty list, where sizes are given instead. */
function scalesOf(node: OnnxNode, value: Value | undefined): number[] | undefined {
  if (value === undefined) return undefined
  const { values, type } = arrayOf(node, value, 'the scales')
  if (type.kind !== 'float') throw node.error('ERR_FORMAT', `the scales must be floats but are ${type.name}`)
  if (values.length > 64) throw node.error('ERR_SHAPE', `the scales are ${values.length} numbers`)
  return values.length === 0 ? undefined : Array.from(nd.toFloat32({ values, type, shape: [values.length] }))
}

/** What a node asks for. */
interface Asked {
  readonly scales?: number[] | undefined
  readonly sizes?: number[] | undefined
  readonly axes?: number[] | undefined
  readonly policy?: (typeof policies)[number]
  /** The part of the image that is taken, from 0 to 1: where it begins on each axis, then where it ends. */
  readonly crop?: number[] | undefined
}

function resized(
  node: OnnxNode,
  way: Way,
  value: Value | undefined,
  { scales, sizes: given, axes, policy = 'stretch', crop }: Asked,
  run: Run,
): Value {
  const x = tensorOf(required(node, [value], 0), node)
  const { shape } = x
  const rank = shape.length
  const sizes = given?.length === 0 ? undefined : given
  if ((scales === undefined) === (sizes === undefined)) {
    throw node.error('ERR_FORMAT', 'it needs either scales or sizes')
  }
  const places = axes?.map((axis) => axisOf(node, axis, rank)) ?? shape.map((_, d) => d)
  const asked = scales ?? sizes ?? []
  if (asked.length !== places.length || new Set(places).size !== places.length) {
    throw node.error('ERR_SHAPE', `${asked.length} numbers do not fit the axes [${places.join(', ')}]`)
  }
  if (asked.some((one) => !(one > 0 && one < 2 ** 31))) {
    throw node.error('ERR_SHAPE', `[${asked.join(', ')}] are no numbers above 0`)
  }
  if (crop && crop.length !== 2 * places.length) {
    throw node.error('ERR_SHAPE', `roi is ${crop.length} numbers, not ${2 * places.length}`)
  }
  // scale and size of each dimension, as onnxruntime rounds them
  const result = shape.map((side): Side => ({ scale: 1, from: side, to: side, begin: 0, end: 1 }))
  const ratios = places.map((axis, i) => Math.fround((asked[i] ?? 1) / (shape[axis] ?? 1)))
  const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios)
  for (const [i, axis] of places.entries()) {
    const [number, side] = [asked[i] ?? 1, shape[axis] ?? 1]
    const own = sizes
      ? policy === 'stretch'
        ? { scale: ratios[i] ?? 1, to: number }
        : { scale: common, to: Math.floor(common * side + 0.5) }
      : { scale: number, to: Math.floor(Math.fround(number * side)) }
    const exact = number * side
    if (
      scales &&
      way.coordinates === 'align_corners' &&
      Math.abs(exact - Math.round(exact)) > 1e-4 &&
      own.to > 1
    ) {
      throw node.unsupported(
        `a scale of ${number} times ${side} is no whole number: where the corners are then differs between ONNX's ` +
          'definition and the runtimes; export it with sizes instead of scales',
      )
    }
    const [begin, end] = crop ? [crop[i] ?? 0, crop[places.length + i] ?? 1] : [0, 1]
    const isBatch = axis === 0 && sizes !== undefined && number === run.declaredBatch
    if (!isBatch) result[axis] = { ...own, from: side, begin, end }
    if (result[axis]?.to === 0) {
      throw node.error('ERR_SHAPE', `a scale of ${number} times ${side} leaves nothing of axis ${axis}`)
    }
  }
  return native(way, x, result) ?? summed(node, way, x, result)
}

/** By the native operation, where it has this way of resizing; else undefined. */
function native({ mode, coordinates, rounding, antialias }: Way, x: Tensor, sides: readonly Side[]) {
  const known = plain.find((one) => one === coordinates)
  const isImage = sides.length === 3 || sides.length === 4
  if (!known || mode === 'cubic' || (antialias && mode === 'linear') || !isImage) return undefined
  if (sides.slice(0, 2).some(({ from, to }) => from !== to)) return undefined
  const image = sides.slice(2)
  const [first = 1, second] = image.map(({ scale }) => scale)
  return resize(x, {
    size: image.map(({ to }) => to),
    scales: second === undefined ? [1, first] : [first, second],
    coordinates: known,
    rounding: mode === 'nearest' ? rounding : undefined,
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
