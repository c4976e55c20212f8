// A network of one's own: as in PyTorch, a class with layers and a forward(). Run: node examples/custom-net.js
import { avgPool2d, Conv2d, compile, flatten, Linear, Module, relu, summary } from 'kernelet'

class Small extends Module {
  conv = new Conv2d(3, 8, { kernelSize: 3, padding: 1 })
  head = new Linear(8 * 8 * 8, 2)

  forward(x) {
    x = avgPool2d(relu(this.conv.forward(x)), 4)
    return this.head.forward(flatten(x, 1))
  }
}

const net = new Small()
console.log(String(summary(net, [3, 32, 32])))

const compiled = compile(net, { inputShape: [3, 32, 32] })
const scores = compiled.run(new Float32Array(3 * 32 * 32).fill(0.5))
console.log('\nscores of a grey picture, before any training:', Array.from(scores))
console.log(`\n${compiled.describe()}`)
