/** Made-up images that a small net learns in a moment. */
import {
  Conv2d,
  Dataset,
  flatten,
  Generator,
  Linear,
  Module,
  maxPool2d,
  relu,
  type Tensor,
} from '../lib/index.ts'

/** 8×8 images with a bright quarter, under noise: which one is the class. */
export function quarters(count: number, seed = 1): Dataset {
  const generator = new Generator(seed)
  const images = new Uint8Array(count * 64)
  const labels = Uint8Array.from({ length: count }, () => generator.random() % 4)
  for (let i = 0; i < images.length; i++) {
    const [image, y, x] = [Math.floor(i / 64), Math.floor(i / 8) % 8, i % 8]
    const bright = (y > 3 ? 2 : 0) + (x > 3 ? 1 : 0) === labels[image]
    images[i] = (bright ? 90 : 0) + (generator.random() % 140)
  }
  return new Dataset({ images, labels, shape: [1, 8, 8], classes: ['a', 'b', 'c', 'd'] })
}

/** [n, 1, 8, 8] → [n, 4]. */
export class SmallNet extends Module {
  readonly conv: Conv2d
  readonly fc1: Linear
  readonly fc2: Linear

  constructor(generator: Generator = new Generator(1)) {
    super()
    this.conv = new Conv2d(1, 4, { kernelSize: 3, generator })
    this.fc1 = new Linear(36, 16, { generator })
    this.fc2 = new Linear(16, 4, { generator })
  }

  forward(x: Tensor): Tensor {
    const y = relu(maxPool2d(this.conv.forward(x), 2))
    return this.fc2.forward(relu(this.fc1.forward(flatten(y, 1))))
  }
}

/** All weights, one after the other, as bits. */
export function weightBits(model: Module): string {
  return [...model.stateDict().values()]
    .map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'))
    .join('')
}
