/**
 * LeNet-5 as its paper describes it: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
 * document recognition", Proceedings of the IEEE 86(11), 1998, section II.B and II.C.
 */

import { viewTensors } from '../../formats/dtype.ts'
import { readSafetensors } from '../../formats/safetensors.ts'
import { counted } from '../../graph/graph.ts'
import { uniform, withoutInit } from '../../nn/init.ts'
import { Module } from '../../nn/module.ts'
import { Conv2d } from '../../ops/convolution.ts'
import { flatten, linear, pad, scaledTanh } from '../../ops/index.ts'
import { Linear } from '../../ops/linear.ts'
import { zeros } from '../../tensor/allocate.ts'
import type { Parameter } from '../../tensor/parameter.ts'
import { elements, size } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { checkOptions, numberOf } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { packageFile } from '../../util/package-files.ts'
import { show } from '../../util/show.ts'
import { ConnectionTableConv2d } from './connection-table.ts'
import { digitCodes } from './digit-codes.ts'
import { RBF } from './rbf.ts'
import { Subsample2d } from './subsample2d.ts'

/** Table I: the maps of S2 that each map of C3 sees. */
const connections = '012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345'
  .split(' ')
  .map((maps) => [...maps].map(Number))

/**
 * LeNet-5 of 1998: [n, 1, 32, 32] → [n, 10], minus the penalty of each digit, so that the largest is the answer.
 * 60,000 parameters, 340,908 connections.
 *
 * Ground is −0.1 and ink 1.175: bytes with the mean 20/255 and the deviation 200/255. Images of 28×28, as MNIST's,
 * get a margin of two pixels of ground.
 * @example summary(new LeNet5Original(), [1, 32, 32]).parameters // → 60000
 */
export class LeNet5Original extends Module {
  readonly c1: Conv2d
  readonly s2: Subsample2d
  readonly c3: ConnectionTableConv2d
  readonly s4: Subsample2d
  readonly c5: Conv2d
  readonly f6: Linear
  readonly output: RBF

  /** Initial weights from U(−2.4 / f, 2.4 / f), f the inputs of the unit. */
  constructor() {
    super()
    this.c1 = new Conv2d(1, 6, { kernelSize: 5 })
    this.s2 = new Subsample2d(6)
    this.c3 = new ConnectionTableConv2d(6, connections, { kernelSize: 5 })
    this.s4 = new Subsample2d(16)
    this.c5 = new Conv2d(16, 120, { kernelSize: 5 })
    this.f6 = new Linear(120, 84)
    this.output = new RBF(digitCodes(), { negative: true })
    draw([this.c1.weight, this.c1.bias], 25)
    draw([this.s2.weight, this.s2.bias], 4)
    for (const [map, inputs] of connections.entries())
      draw([this.c3.weight, this.c3.bias], 25 * inputs.length, map)
    draw([this.s4.weight, this.s4.bias], 4)
    draw([this.c5.weight, this.c5.bias], 25 * 16)
    draw([this.f6.weight, this.f6.bias], 120)
  }

  /**
   * With the weights shipped in models/lenet5-1998-mnist.safetensors. See the model card beside them.
   *
   * @throws KerneletError `ERR_IO` or `ERR_FORMAT` when the file is missing or damaged, `ERR_STATE_DICT` when a
   *   subclass has other layers
   * @example
   * LeNet5Original.pretrained().compile({ inputShape: [1, 32, 32] }).outputShape // → [10]
   */
  static pretrained<T extends LeNet5Original>(this: new () => T): T {
    const model = withoutInit(() => new this())
    const { tensors } = readSafetensors(packageFile('models/lenet5-1998-mnist.safetensors'))
    model.loadStateDict(viewTensors(tensors))
    return model
  }

  forward(x: Tensor): Tensor {
    let y = x.shape.at(-1) === 28 ? pad(x, [2, 2, 2, 2], ground) : x
    y = squash(this.c1.forward(y))
    y = squash(this.s2.forward(y))
    y = squash(this.c3.forward(y))
    y = squash(this.s4.forward(y))
    y = squash(this.c5.forward(y))
    y = squash(this.f6.forward(flatten(y, 1)))
    return this.output.forward(y)
  }
}

const ground = -0.1

/** Equation 6: f(a) = A tanh(S a). */
function squash(x: Tensor): Tensor {
  return scaledTanh(x, 1.7159, 2 / 3)
}

/** Draws initial values, of the whole or of what belongs to one output. */
function draw(parameters: readonly (Parameter | undefined)[], inputs: number, output?: number): void {
  for (const parameter of parameters) {
    const { data, shape, mask } = parameter as Parameter
    const each = elements(shape.slice(1))
    const [begin, end] = output === undefined ? [0, data.length] : [output * each, (output + 1) * each]
    const drawn = uniform([end - begin], 2.4 / inputs).data
    for (let i = begin; i < end; i++) if (mask?.[i] !== 0) data[i] = drawn[i - begin] ?? 0
  }
}

/**
 * The paper's criterion (equation 9), maximum a posteriori: besides the digits there is "none of these", with the
 * constant penalty j, which keeps the penalties of wrong answers from being pushed up without end. A model of 11
 * scores, whose `crossEntropy` is −log p(digit) = y_digit + log(e⁻ʲ + Σ e^−y).
 * @example
 * const criterion = new MapCriterion(new LeNet5Original(), { j: 0.1 })
 * criterion.forward(new Tensor(new Float32Array(1024), [1, 1, 32, 32])).shape // → [1, 11]
 */
export class MapCriterion extends Module {
  readonly model: Module
  readonly #weight: Tensor
  readonly #bias: Tensor

  /**
   * @param model gives a score for each class, minus its penalty
   * @param options `classes` default 10; `j` default 0.1
   */
  constructor(model: Module, options: { classes?: number | undefined; j?: number | undefined } = {}) {
    super()
    checkOptions('MapCriterion', options, ['classes', 'j'])
    const { classes = 10, j = 0.1 } = options
    size(classes, 'MapCriterion: classes', 1)
    numberOf(j, 'MapCriterion: j')
    if (!(model instanceof Module)) {
      throw new KerneletError('ERR_ARGUMENT', `MapCriterion: expected a Module but received ${show(model)}`)
    }
    this.model = model
    // Scores pass through a unit matrix as they are; one row has nothing but its bias.
    const unit = zeros([classes + 1, classes], 'MapCriterion')
    for (let k = 0; k < classes; k++) unit[k * classes + k] = 1
    this.#weight = new Tensor(unit, [classes + 1, classes])
    this.#bias = new Tensor(new Float32Array(classes + 1).fill(-j, classes), [classes + 1])
  }

  forward(x: Tensor): Tensor {
    const scores = this.model.forward(x)
    return counted({ parameters: 0, connections: 0 }, () => linear(scores, this.#weight, this.#bias))
  }
}
