/** LeNet-5 (LeCun et al. 1998) in the form PyTorch tutorials give it: ReLU, max-pooling, no padding. */

import { viewTensors } from '../formats/dtype.ts'
import { readSafetensors } from '../formats/safetensors.ts'
import { withoutInit } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import { Conv2d } from '../ops/convolution.ts'
import { flatten, maxPool2d, relu } from '../ops/index.ts'
import { Linear } from '../ops/linear.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { packageFile } from '../util/package-files.ts'

/**
 * [n, nChannels, 28, 28] → [n, nClasses] scores (logits). 44,426 parameters as it stands.
 * @example
 * LeNet5.pretrained().forward(new Tensor(new Float32Array(784), [1, 1, 28, 28])).shape // → [1, 10]
 * summary(new LeNet5(), [1, 28, 28]).parameters // → 44426
 */
export class LeNet5 extends Module {
  readonly conv1: Conv2d
  readonly conv2: Conv2d
  readonly fc1: Linear
  readonly fc2: Linear
  readonly fc3: Linear

  constructor(nChannels = 1, nClasses = 10) {
    super()
    this.conv1 = new Conv2d(nChannels, 6, { kernelSize: 5 })
    this.conv2 = new Conv2d(6, 16, { kernelSize: 5 })
    this.fc1 = new Linear(256, 120)
    this.fc2 = new Linear(120, 84)
    this.fc3 = new Linear(84, nClasses)
  }

  /**
   * With the weights shipped in models/lenet5-mnist.safetensors: digits, white on black, 28×28, values
   * 0 … 1. See the model card beside them.
   *
   * @throws KerneletError `ERR_IO` or `ERR_FORMAT` when the file is missing or damaged, `ERR_STATE_DICT`
   *   when a subclass has other layers
   * @example
   * LeNet5.pretrained().compile({ inputShape: [1, 28, 28] }).outputShape // → [10]
   */
  static pretrained<T extends LeNet5>(this: new () => T): T {
    const model = withoutInit(() => new this())
    model.loadStateDict(viewTensors(readSafetensors(packageFile(weights)).tensors))
    return model
  }

  forward(x: Tensor): Tensor {
    let y = maxPool2d(relu(this.conv1.forward(x)), 2)
    y = maxPool2d(relu(this.conv2.forward(y)), 2)
    y = flatten(y, 1)
    y = relu(this.fc1.forward(y))
    y = relu(this.fc2.forward(y))
    return this.fc3.forward(y)
  }
}

/** lib/models and dist/models are both two levels below the package. */
const weights = 'models/lenet5-mnist.safetensors'
