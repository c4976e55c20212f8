/**
 * Values of a trace of a model that is exported for one image. Wherever such a model has its batch of 1, and whatever it
 * joins it with, what it makes of an image is one value of a known shape: here all its dimensions belong to the image, so
 * that any of them may be moved, joined, summed or taken from.
 */
import { SymbolicTensor } from '../../graph/graph.ts'
import { permute, reshape } from '../../ops/index.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { fromTheEnd } from './axes.ts'
import { float32 } from './element.ts'
import type { OnnxNode } from './node.ts'
import type { Operator } from './operator.ts'
import { elementwise, products, Turned } from './turned.ts'
import { isSymbolic, type Run, type Step, type Value } from './value.ts'

export class Loose extends SymbolicTensor {
  /** With a batch in front that the model has not. */
  readonly images: SymbolicTensor

  constructor(images: SymbolicTensor) {
    super(images.tracer, images.node, images.shape.slice(1))
    this.images = images
  }
}

/** Of any value of such a trace: all its dimensions, of which there are at least `rank`, behind a batch. */
function imagesOf(value: SymbolicTensor, rank: number): SymbolicTensor {
  const images = value instanceof Loose || value instanceof Turned ? value.images : value
  const ones = Array<number>(Math.max(rank - value.shape.length, 0)).fill(1)
  return reshape(images, [1, ...ones, ...value.shape]) as SymbolicTensor
}

/** The value whose dimensions are those behind the batch. A first one of 1 is where the batch goes. */
function settled(images: SymbolicTensor): Tensor {
  const [first, ...rest] = images.shape.slice(1)
  if (first === undefined) return images
  return first === 1 ? reshape(images, [1, ...rest]) : new Loose(images)
}

const shaping = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'])
/** Operators that know how a value lies. */
const itself = new Set(['LSTM', 'GRU', 'RNN', 'Shape'])
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
  if (itself.has(node.op)) return step(inputs, run)
  if (shaping.has(node.op) && isSymbolic(first)) {
    const stand = { type: float32, shape: first.shape, values: new Float32Array(0) }
    const { shape } = step([stand, ...inputs.slice(1)], { ...run, declaredBatch: undefined }) as Value
    return settled(reshape(imagesOf(first, 0), [1, ...shape]) as SymbolicTensor)
  }
  if (node.op === 'Transpose' && isSymbolic(first)) {
    const axes = node.ints('perm') ?? first.shape.map((_, d) => first.shape.length - 1 - d)
    return settled(permute(imagesOf(first, 0), [0, ...axes.map((axis) => axis + 1)]) as SymbolicTensor)
  }
  const together = elementwise.has(node.op) || products.has(node.op)
  const own = together ? { step, inputs } : fromTheEnd(node, operator.read, step, inputs)
  if (own === undefined) return undefined
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
