/** A network of about a millisecond an image: its batches leave the event loop. */
import { BatchNorm2d, Conv2d, Module, mean, relu } from 'kernelet'

export class Heavy extends Module {
  constructor() {
    super()
    this.first = new Conv2d(3, 32, { kernelSize: 3, stride: 2, padding: 1 })
    this.norm = new BatchNorm2d(32)
    this.second = new Conv2d(32, 64, { kernelSize: 3, padding: 1 })
    this.third = new Conv2d(64, 10, { kernelSize: 3, padding: 1 })
  }
  forward(x) {
    const y = relu(this.second.forward(relu(this.norm.forward(this.first.forward(x)))))
    return mean(this.third.forward(y), [2, 3])
  }
}
