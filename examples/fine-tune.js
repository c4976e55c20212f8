/**
 * Teaches the shipped model a handwriting of your own, in seconds: a folder a digit with pictures of it (0/a.png,
 * 0/b.png, 1/a.png …), some ten of each. Every other picture is kept to measure with.
 *
 *     node examples/fine-tune.js FOLDER [OUT.safetensors]
 *     node examples/fine-tune.js hand      # after node scripts/write-hand.mjs hand, which draws some
 *     kernelet classify --weights OUT.safetensors picture.png
 */
import { fileURLToPath } from 'node:url'
import {
  AdamW,
  CosineAnnealingLR,
  DigitClassifier,
  evaluate,
  freeze,
  Generator,
  handwriting,
  KerneletError,
  LeNet5,
  loadPictures,
  loadSafetensors,
  readSafetensors,
  saveSafetensors,
  Trainer,
} from 'kernelet'

// what is wrong with a file is said in a sentence
process.on('uncaughtException', (error) => {
  console.error(error instanceof KerneletError ? error.message : error)
  process.exit(1)
})

const [folder, out = 'mine.safetensors'] = process.argv.slice(2)
if (folder === undefined) {
  console.error(
    'Usage: node examples/fine-tune.js FOLDER [OUT.safetensors]\nFOLDER holds pictures as 0/name.png … 9/name.png',
  )
  process.exit(2)
}

const pictures = await loadPictures(folder, {
  classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  onSkip: (_file, reason) => console.error(`left out: ${reason}`),
})
const [toLearn, toMeasure] = pictures.split(0.5, new Generator(1))

const shipped = fileURLToPath(new URL('../models/lenet5-mnist.safetensors', import.meta.url))
const { metadata } = readSafetensors(shipped)
// The pixels as the model was trained on them.
const pixels = { mean: Number(metadata.get('mean') ?? 0), std: Number(metadata.get('std') ?? 1) }
const model = new LeNet5()
model.loadStateDict(loadSafetensors(shipped))

const report = (when, { correct, count, accuracy, misread }) => {
  const list = misread.map(({ label, predicted }) => `${label} as ${predicted}`)
  console.log(
    `${when}: ${correct} of ${count} unseen pictures right, ${(100 * accuracy).toFixed(1)} %` +
      `${list.length > 0 ? `; read ${list.slice(0, 8).join(', ')}${list.length > 8 ? ' …' : ''}` : ''}`,
  )
}
report('before', await evaluate(model, toMeasure, pixels))

// Strokes are strokes in every hand: the convolutions stay, what is made of them is learnt anew. The small rate is for
// the other hands: what is learnt of one is forgotten of them.
freeze(model.conv1)
freeze(model.conv2)
const epochs = 60
const trainer = new Trainer(model, {
  ...pixels,
  optimizer: new AdamW({ lr: 0.0003 }),
  labelSmoothing: 0.05,
  augment: handwriting,
  seed: 1,
})
const start = performance.now()
for await (const { epoch, loss } of trainer.fit(toLearn, {
  epochs,
  batchSize: 16,
  schedule: new CosineAnnealingLR(),
})) {
  if (epoch % 20 === 0) console.log(`  epoch ${epoch} of ${epochs}: loss ${loss.toFixed(3)}`)
}
const seconds = ((performance.now() - start) / 1000).toFixed(1)
report(`after ${seconds} s with ${toLearn.length} pictures`, await trainer.evaluate(toMeasure))

saveSafetensors(out, model.stateDict(), {
  ...Object.fromEntries(metadata),
  mean: `${pixels.mean}`,
  std: `${pixels.std}`,
})
DigitClassifier.load({ weights: out }).dispose()
console.log(`${out} is for DigitClassifier.load({ weights: '${out}' })`)
