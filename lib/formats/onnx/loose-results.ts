/** What operators make of values of a model that is exported for one image, where they cannot be told apart from a batch's. */
import type { SymbolicTensor } from '../../graph/graph.ts'
import { cat, permute, reshape, slice } from '../../ops/index.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { integers } from './array.ts'
import { fromTheEnd } from './axes.ts'
import { float32 } from './element.ts'
import { Loose } from './loose.ts'
import type { OnnxNode } from './node.ts'
import type { Operator } from './operator.ts'
import { cut } from './pieces.ts'
import { batchAt, Turned } from './turned.ts'
import { goesTogether } from './turned-results.ts'
import { integersOf, isSymbolic, type Run, type Step, type Value } from './value.ts'

/** Of any value of such a trace: all its dimensions, of which there are at least `rank`, behind a batch. */
export function imagesOf(value: Tensor, rank: number): Tensor {
  const images = value instanceof Loose || value instanceof Turned ? value.images : value
  const ones = Array<number>(Math.max(rank - value.shape.length, 0)).fill(1)
  return reshape(images, [1, ...ones, ...value.shape])
}

/** The value whose dimensions are those behind the batch. A first one of 1 is where the batch goes. */
export function settled(images: Tensor): Tensor {
  const [first, ...rest] = images.shape.slice(1)
  if (first === undefined) return images
  return first === 1 ? reshape(images, [1, ...rest]) : new Loose(images as SymbolicTensor)
}

const shaping = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'])
const recurrent = new Set(['LSTM', 'GRU', 'RNN'])
/** Whose second input may be one for each image. */
const paired = new Set(['PRelu', 'GridSample'])

/**
 * What a node makes of values of a model of one image, some of them of a trace; undefined: the operator takes the batch
 * first.
 */
export function looseResults(
  node: OnnxNode,
  operator: Operator,
  step: Step,
  inputs: readonly (Value | undefined)[],
  run: Run,
): Value | readonly Value[] | undefined {
  const [first] = inputs
  if (recurrent.has(node.op)) {
    const axis = node.int('layout', 0) === 1 ? 0 : 1
    if (first?.shape[axis] === 1) return step(inputs, run)
    return imageByImage(node, step, inputs, run, (i) =>
      i === 4 ? 0 : [0, 5, 6].includes(i) ? axis : undefined,
    )
  }
  if (node.op === 'Shape' || node.op === 'If') return step(inputs, run)
  if (shaping.has(node.op) && isSymbolic(first)) {
    const stand = { type: float32, shape: first.shape, values: new Float32Array(0) }
    const { shape } = step([stand, ...inputs.slice(1)], { ...run, declaredBatch: undefined }) as Value
    return settled(reshape(imagesOf(first, 0), [1, ...shape]))
  }
  if (node.op === 'Transpose' && isSymbolic(first)) {
    const axes = node.ints('perm') ?? first.shape.map((_, d) => first.shape.length - 1 - d)
    return settled(permute(imagesOf(first, 0), [0, ...axes.map((axis) => axis + 1)]))
  }
  // copies, also of images: a shape or a list that says nothing of the batch in front
  if ((node.op === 'Expand' || (node.op === 'Tile' && node.opset > 5)) && isSymbolic(first)) {
    const sizes = integersOf(node, inputs[1], 'the sizes') ?? []
    return settled(step([imagesOf(first, sizes.length), integers([1, ...sizes])], run) as Tensor)
  }
  const together = goesTogether(node.op)
  const own = together ? { step, inputs } : fromTheEnd(node, operator.read, step, inputs)
  if (own === undefined) {
    const pair = paired.has(node.op) ? inputs[1] : undefined
    const held = pair && (run.held.get(pair) ?? pair.shape)
    const isPair = held?.length === first?.shape.length && held?.[0] === first?.shape[0]
    return imageByImage(node, step, inputs, run, (i) => (i === 0 || (i === 1 && isPair) ? 0 : undefined))
  }
  const rank = together ? Math.max(...inputs.map((one) => one?.shape.length ?? 0)) : 0
  const results = own.step(
    own.inputs.map((one) => (isSymbolic(one) ? imagesOf(one, rank) : constantOf(one, node))),
    { ...run, apart: node.op === 'Gemm' },
  )
  const list = (Array.isArray(results) ? results : [results]) as readonly Value[]
  return list.map((one) => (isSymbolic(one) ? settled(one) : one))
}

/** What is joined to a value of a trace goes in a batch, too. */
function constantOf(value: Value | undefined, node: OnnxNode): Value | undefined {
  if (value === undefined || node.op !== 'Concat') return value
  const shape = [1, ...value.shape]
  return Tensor.is(value) ? new Tensor(value.data, shape) : { ...value, shape }
}

/**
 * By an operator that takes the batch first: image after image, joined again.
 *
 * @param axisOf the dimension of an input that holds the images; undefined: it is the same for all
 */
function imageByImage(
  node: OnnxNode,
  step: Step,
  inputs: readonly (Value | undefined)[],
  run: Run,
  axisOf: (index: number) => number | undefined,
): readonly Value[] | undefined {
  const axes = inputs.map((one, i) => (one === undefined ? undefined : axisOf(i)))
  const count = inputs[0]?.shape[axes[0] ?? 0] ?? 0
  const fits = inputs.every((one, i) => {
    const axis = axes[i]
    return axis === undefined ? !isSymbolic(one) : shapeOf(one as Value, run)[axis] === count
  })
  if (!fits || count < 2) return undefined
  const all = Array.from({ length: count }, (_, image) => {
    const own = inputs.map((one, i) => {
      const axis = axes[i]
      return one === undefined || axis === undefined ? one : imageOf(node, one, axis, image, run)
    })
    const single = axes.some((axis, i) => i > 0 && axis !== undefined)
    const results = step(own, { ...run, declaredBatch: single ? 1 : count })
    return (Array.isArray(results) ? results : [results]) as readonly Value[]
  })
  const [results] = all as [readonly Value[]]
  if (!all.flat().every(isSymbolic)) return undefined
  return results.map((_, k) => {
    const parts = all.map((one) => one[k] as SymbolicTensor)
    const axis = parts[0] instanceof Turned ? parts[0].axis : 0
    return settled(
      cat(
        parts.map((one) => imagesOf(one, 0)),
        axis + 1,
      ) as SymbolicTensor,
    )
  })
}

/** The shape of a value in the model. */
function shapeOf(value: Value, run: Run): readonly number[] {
  return run.held.get(value) ?? value.shape
}

/** One image of a value, as operators take it in a trace of any batch. */
function imageOf(node: OnnxNode, value: Value, axis: number, image: number, run: Run): Value {
  if (isSymbolic(value)) {
    const all = imagesOf(value, 0)
    const one = slice(all, axis + 1, image, image + 1)
    return batchAt(reshape(one, one.shape.toSpliced(axis + 1, 1)), axis)
  }
  const shape = shapeOf(value, run)
  const whole = Tensor.is(value) ? new Tensor(value.data, shape) : { ...value, shape }
  return cut(node, whole, axis, image, 1, 1)
}
