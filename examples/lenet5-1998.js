/**
 * LeNet-5 as its paper describes it, trained on MNIST: how models/lenet5-1998-mnist.safetensors was made. The same
 * weights come out again, to the bit. Some minutes:
 *
 *     node examples/lenet5-1998.js FOLDER_OF_MNIST [FILE [EPOCHS]]
 */
import {
  Adam,
  CosineAnnealingLR,
  evaluate,
  KerneletError,
  LeNet5Original,
  loadMnist,
  MapCriterion,
  manualSeed,
  saveSafetensors,
  Trainer,
} from 'kernelet'

// what is wrong with a file is said in a sentence
process.on('uncaughtException', (error) => {
  console.error(error instanceof KerneletError ? error.message : error)
  process.exit(1)
})

const [folder, file = 'lenet5-1998.safetensors', epochs = '20'] = process.argv.slice(2)
if (folder === undefined) {
  console.error('Usage: node examples/lenet5-1998.js FOLDER_OF_MNIST [FILE [EPOCHS]]')
  process.exit(2)
}
// Ground −0.1, ink 1.175.
const pixels = { mean: 20 / 255, std: 200 / 255 }

manualSeed(1)
const model = new LeNet5Original()
const trainer = new Trainer(new MapCriterion(model, { j: 2 }), {
  ...pixels,
  optimizer: new Adam({ lr: 0.002 }),
  augment: {
    affine: { degrees: 6, scale: 0.06, shear: 6, translate: 0.6, probability: 0.7 },
    elastic: { alpha: 12, sigma: 4, probability: 0.4 },
  },
  seed: 1,
})
const schedule = new CosineAnnealingLR()
const run = trainer.fit(loadMnist(folder), { epochs: Number(epochs), batchSize: 32, schedule, health: false })
for await (const { epoch, loss, seconds } of run) {
  console.log(`epoch ${epoch}: loss ${loss.toFixed(3)}, ${seconds.toFixed(1)} s`)
}
saveSafetensors(file, model.stateDict(), {
  model: 'lenet5-1998',
  mean: String(pixels.mean),
  std: String(pixels.std),
})
const { errorRate, count } = await evaluate(model, loadMnist(folder, 'test'), pixels)
console.log(`${(100 * errorRate).toFixed(2)} % of ${count} test images are misread`)
