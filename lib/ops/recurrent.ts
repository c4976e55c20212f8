/** Recurrent layers over sequences. */
import { checkTensor } from '../graph/apply.ts'
import { SymbolicTensor } from '../graph/graph.ts'
import { type InitOptions, uniform } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { formatShape, size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { Dropout, dropout } from './dropout.ts'
import { cat, permute } from './movement.ts'
import { type RecurrentKind, type RecurrentWeights, recurrent } from './recurrence.ts'

/** Options of `LSTM`, `GRU` and `RNN`. */
export interface RecurrentOptions extends InitOptions {
  /** Layers, each over what the one before it gives; default 1. */
  numLayers?: number | undefined
  /** Input and output begin with the batch, [n, steps, features]; default false: [steps, n, features]. */
  batchFirst?: boolean | undefined
  /** Forwards and backwards, joined in the last dimension; default false. */
  bidirectional?: boolean | undefined
  /** Of the dropout between layers while training; default 0. */
  dropout?: number | undefined
}

/** Layers on top of each other: more are a slip, and would fill any memory. */
const mostLayers = 1000

/** What the layers have in common. Weights go by PyTorch's names: `weight_ih_l0`, `bias_hh_l1_reverse` … */
abstract class Recurrent extends Module {
  readonly inputSize: number
  readonly hiddenSize: number
  readonly options: Readonly<{
    numLayers: number
    batchFirst: boolean
    bidirectional: boolean
    bias: boolean
    dropout: number
  }>
  readonly #kind: RecurrentKind

  constructor(
    who: string,
    kind: RecurrentKind,
    gates: number,
    inputSize: number,
    hiddenSize: number,
    options: RecurrentOptions,
  ) {
    super()
    this.#kind = kind
    this.inputSize = size(inputSize, `${who}: inputSize`, 1)
    this.hiddenSize = size(hiddenSize, `${who}: hiddenSize`, 1)
    const {
      numLayers: layers = 1,
      batchFirst = false,
      bidirectional = false,
      bias = true,
      dropout: p = 0,
    } = options
    const numLayers = size(layers, `${who}: numLayers`, 1)
    if (numLayers > mostLayers) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `${who}: numLayers: expected at most ${mostLayers} but received ${numLayers}`,
      )
    }
    for (const [name, value] of Object.entries({ batchFirst, bidirectional, bias }))
      flag(value, `${who}: ${name}`)
    this.options = { numLayers, batchFirst, bidirectional, bias, dropout: new Dropout(p).p }
    const bound = 1 / Math.sqrt(hiddenSize)
    for (let layer = 0; layer < numLayers; layer++) {
      const features = layer === 0 ? inputSize : hiddenSize * (bidirectional ? 2 : 1)
      for (const end of bidirectional ? ['', '_reverse'] : ['']) {
        const shapes = {
          weight_ih: [gates * hiddenSize, features],
          weight_hh: [gates * hiddenSize, hiddenSize],
        }
        const biases = bias ? { bias_ih: [gates * hiddenSize], bias_hh: [gates * hiddenSize] } : {}
        for (const [name, shape] of Object.entries({ ...shapes, ...biases })) {
          const value = uniform(shape, bound, options.generator)
          Object.defineProperty(this, `${name}_l${layer}${end}`, {
            value,
            enumerable: true,
            configurable: true,
            writable: true,
          })
        }
      }
    }
  }

  /** h of every step of the last layer; states before the first step are zero. */
  forward(x: Tensor): Tensor {
    const { numLayers, batchFirst, bidirectional, dropout: p } = this.options
    const { length } = checkTensor(this.constructor.name, x).shape
    if (length !== 3) {
      throw new KerneletError(
        'ERR_SHAPE',
        `${this.constructor.name} expects ${batchFirst ? '[n, steps, features]' : '[steps, n, features]'} but receives ${formatShape(x.shape)}`,
      )
    }
    if (!batchFirst && x instanceof SymbolicTensor) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `${this.constructor.name}: a compiled model takes sequences with batchFirst: true, whose dimension 0 is the batch`,
      )
    }
    let y = batchFirst ? x : permute(x, [1, 0, 2])
    for (let layer = 0; layer < numLayers; layer++) {
      if (layer > 0) y = dropout(y, p, this.training)
      const ends = bidirectional ? ['', '_reverse'] : ['']
      const outputs = ends.map((end) => recurrent(this.#kind, y, this.#weights(`_l${layer}${end}`)).output)
      y = outputs.length === 1 ? (outputs[0] as Tensor) : cat(outputs, 2)
    }
    return batchFirst ? y : permute(y, [1, 0, 2])
  }

  #weights(end: string): RecurrentWeights {
    const held = this as unknown as Record<string, Parameter | undefined>
    const [weightIh, weightHh] = [held[`weight_ih${end}`], held[`weight_hh${end}`]]
    return {
      weightIh: weightIh as Parameter,
      weightHh: weightHh as Parameter,
      biasIh: held[`bias_ih${end}`],
      biasHh: held[`bias_hh${end}`],
      reverse: end.endsWith('_reverse'),
    }
  }
}

const layerOptions = ['bias', 'generator', 'numLayers', 'batchFirst', 'bidirectional', 'dropout'] as const

/**
 * Long short-term memory, `torch.nn.LSTM`, without the states that it returns besides.
 * @example
 * const layer = new LSTM(3, 5, { batchFirst: true })
 * layer.forward(new Tensor(new Float32Array(2 * 7 * 3), [2, 7, 3])).shape // → [2, 7, 5]
 */
export class LSTM extends Recurrent {
  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers, or more than 1,000 layers. */
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    checkOptions('LSTM', options, layerOptions)
    super('LSTM', 'lstm', 4, inputSize, hiddenSize, options)
  }
}

/**
 * Gated recurrent units, `torch.nn.GRU`, without the state that it returns besides.
 * @example
 * const layer = new GRU(3, 5, { batchFirst: true })
 * layer.forward(new Tensor(new Float32Array(2 * 7 * 3), [2, 7, 3])).shape // → [2, 7, 5]
 */
export class GRU extends Recurrent {
  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers, or more than 1,000 layers. */
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    checkOptions('GRU', options, layerOptions)
    super('GRU', 'gru', 3, inputSize, hiddenSize, options)
  }
}

/** Options of `RNN`. */
export interface RNNOptions extends RecurrentOptions {
  /** Default 'tanh'. */
  nonlinearity?: 'tanh' | 'relu' | undefined
}

/**
 * Elman's recurrent layer, `torch.nn.RNN`, without the state that it returns besides.
 * @example
 * const layer = new RNN(3, 5, { batchFirst: true })
 * layer.forward(new Tensor(new Float32Array(2 * 7 * 3), [2, 7, 3])).shape // → [2, 7, 5]
 */
export class RNN extends Recurrent {
  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers, or another nonlinearity. */
  constructor(inputSize: number, hiddenSize: number, options: RNNOptions = {}) {
    checkOptions('RNN', options, [...layerOptions, 'nonlinearity'])
    const { nonlinearity = 'tanh' } = options
    if (nonlinearity !== 'tanh' && nonlinearity !== 'relu') {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `RNN: nonlinearity must be 'tanh' or 'relu' but is ${show(nonlinearity)}`,
      )
    }
    super('RNN', nonlinearity === 'relu' ? 'rnnRelu' : 'rnnTanh', 1, inputSize, hiddenSize, options)
  }
}
