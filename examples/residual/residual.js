// A small residual network with batch norm, on made-up pictures of bars. Run: node residual.js [EPOCHS]
import {
  Adam,
  AdaptiveAvgPool2d,
  add,
  BatchNorm2d,
  Conv2d,
  Dataset,
  flatten,
  Generator,
  Linear,
  loadOnnx,
  Module,
  manualSeed,
  relu,
  saveOnnx,
  summary,
  Trainer,
} from 'kernelet'

class Block extends Module {
  constructor(inside, outside, stride) {
    super()
    this.conv1 = new Conv2d(inside, outside, { kernelSize: 3, padding: 1, stride, bias: false })
    this.norm1 = new BatchNorm2d(outside)
    this.conv2 = new Conv2d(outside, outside, { kernelSize: 3, padding: 1, bias: false })
    this.norm2 = new BatchNorm2d(outside)
    // where the size changes, what goes around the block changes with it
    if (stride !== 1 || inside !== outside) {
      this.around = new Conv2d(inside, outside, { kernelSize: 1, stride, bias: false })
    }
  }

  forward(x) {
    const y = this.norm2.forward(this.conv2.forward(relu(this.norm1.forward(this.conv1.forward(x)))))
    return relu(add(y, this.around ? this.around.forward(x) : x))
  }
}

class ResNet extends Module {
  constructor(classes) {
    super()
    this.stem = new Conv2d(1, 8, { kernelSize: 3, padding: 1 })
    this.block1 = new Block(8, 8, 1)
    this.block2 = new Block(8, 16, 2)
    this.pool = new AdaptiveAvgPool2d(1)
    this.head = new Linear(16, classes)
  }

  forward(x) {
    const y = this.block2.forward(this.block1.forward(relu(this.stem.forward(x))))
    return this.head.forward(flatten(this.pool.forward(y), 1))
  }
}

const epochs = Number(process.argv[2] ?? 4)
manualSeed(1) // the same weights, and the same curve, each time
const net = new ResNet(2)
console.log(String(summary(net, [1, 16, 16])))

const trainer = new Trainer(net, {
  optimizer: new Adam({ lr: 0.005 }),
  seed: 1,
  inputShape: [1, 16, 16],
})
for await (const { epoch, loss, validation } of trainer.fit(bars(400), {
  epochs,
  batchSize: 32,
  validation: 0.25,
})) {
  console.log(
    `epoch ${epoch}: loss ${loss.toFixed(3)}, ${(100 * validation.accuracy).toFixed(1)} % of unseen bars`,
  )
}

// as ONNX the batch norms are part of the convolutions; the numbers stay the same but for roundings
net.eval()
const again = loadOnnx(saveOnnx(net, 'residual.onnx', { inputShape: [1, 16, 16] }))
const picture = new Float32Array(256).map((_, i) => (i % 16 === 5 ? 1 : 0))
const [before, after] = [net.compile({ inputShape: [1, 16, 16] }), again.compile()].map((one) =>
  one.run(picture),
)
const apart = Math.max(...before.map((score, i) => Math.abs(score - after[i])))
console.log(`residual.onnx is written; read again it differs by ${apart < 1e-4 ? 'less than 0.0001' : apart}`)

/** Lying and standing bars in noise. */
function bars(count) {
  const random = new Generator(0)
  const images = new Uint8Array(count * 256).map(() => random.random() % 60)
  const labels = Array.from({ length: count }, (_, n) => {
    const [label, place] = [n % 2, random.random() % 16]
    for (let i = 0; i < 16; i++) images[256 * n + (label ? 16 * i + place : 16 * place + i)] = 255
    return label
  })
  return new Dataset({ images, labels, shape: [1, 16, 16], classes: ['lying', 'standing'] })
}
