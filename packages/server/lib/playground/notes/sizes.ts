/** Sizes through a stack of layers. */
import {
  avgPool2d,
  conv2d,
  flatten,
  KerneletError,
  linear,
  Module,
  maxPool2d,
  relu,
  summary,
  Tensor,
} from 'kernelet'
import { badRequest } from '../../errors.ts'
import { choiceOf, type Fields, integerOf, isFields, numbersOf } from './read.ts'

const MOST_LAYERS = 16
/** Weights of a layer: they are zeros, which take memory only when somebody looks. */
const MOST_WEIGHTS = 2 ** 24

export interface Sized {
  /** Of the layers that fit. */
  rows: { shape: number[]; parameters: number; multiplications: number }[]
  /** Why the layer after them does not. */
  refusal: string | undefined
}

/** @throws RequestError for what is no such question */
export function sizesOf(fields: Fields): Sized {
  let shape = numbersOf(fields.input, 'input', 3).map((side, i) => integerOf(side, `input[${i}]`, 1, 4096))
  const { layers } = fields
  if (!Array.isArray(layers) || layers.length > MOST_LAYERS) {
    throw badRequest(`layers must be an array of up to ${MOST_LAYERS}`)
  }
  const rows: Sized['rows'] = []
  for (const [i, layer] of (layers as unknown[]).entries()) {
    if (!isFields(layer)) throw badRequest(`layers[${i}] must be an object`)
    try {
      const { layers: made, parameters, macs } = summary(new Step(layer, `layers[${i}].`, shape), shape)
      shape = made.at(-1)?.outputShape ?? shape
      rows.push({ shape, parameters, multiplications: macs })
    } catch (error) {
      if (error instanceof KerneletError) return { rows, refusal: error.message }
      throw error
    }
  }
  return { rows, refusal: undefined }
}

const kinds = ['conv', 'max', 'mean', 'relu', 'flatten', 'linear'] as const

/** One layer, with weights that are all zero: only their sizes matter. */
class Step extends Module {
  readonly #run: (x: Tensor) => Tensor

  constructor(layer: Fields, name: string, input: readonly number[]) {
    super()
    const integer = (key: string, least: number, most: number): number =>
      integerOf(layer[key], `${name}${key}`, least, most)
    const kind = choiceOf(layer.kind, `${name}kind`, kinds)
    this.#run = (() => {
      switch (kind) {
        case 'conv': {
          const [size, filters] = [integer('size', 1, 64), integer('filters', 1, 4096)]
          const weight = zeros([filters, input[0] ?? 1, size, size])
          const options = { stride: integer('stride', 1, 64), padding: integer('padding', 0, 64) }
          return (x) => conv2d(x, weight, zeros([filters]), options)
        }
        case 'max':
        case 'mean': {
          const options = { stride: integer('stride', 1, 64), padding: integer('padding', 0, 64) }
          const size = integer('size', 1, 64)
          return (x) => (kind === 'max' ? maxPool2d(x, size, options) : avgPool2d(x, size, options))
        }
        case 'relu':
          return relu
        case 'flatten':
          return (x) => flatten(x, 1)
        case 'linear': {
          const units = integer('units', 1, 2 ** 16)
          const weight = zeros([units, input.at(-1) ?? 1])
          return (x) => linear(x, weight, zeros([units]))
        }
      }
    })()
  }

  forward(x: Tensor): Tensor {
    return this.#run(x)
  }
}

function zeros(shape: number[]): Tensor {
  const length = shape.reduce((product, side) => product * side, 1)
  if (length > MOST_WEIGHTS) {
    throw badRequest(`A layer of ${length} weights is too large for this page: at most ${MOST_WEIGHTS}`)
  }
  return new Tensor(new Float32Array(length), shape)
}
