// Trains on pictures in FOLDER/cat, FOLDER/dog …, draws the learning curve. Run: node train.js FOLDER [EPOCHS]
import { writeFileSync } from 'node:fs'
import {
  AdamW,
  Conv2d,
  CosineAnnealingLR,
  Dropout,
  Flatten,
  KerneletError,
  Linear,
  loadPictures,
  MaxPool2d,
  manualSeed,
  ReLU,
  Sequential,
  saveSafetensors,
  Trainer,
} from 'kernelet'

// what is wrong with a file is said in a sentence
process.on('uncaughtException', (error) => {
  console.error(error instanceof KerneletError ? error.message : error)
  process.exit(1)
})

const [folder, epochs = '10'] = process.argv.slice(2)
if (folder === undefined) {
  console.error('Usage: node train.js FOLDER [EPOCHS]')
  process.exit(2)
}
const skipped = []
const data = await loadPictures(folder, { onSkip: (file) => skipped.push(file) })
console.log(`${data.length} pictures of ${data.classes.join(', ')}; ${skipped.length} could not be used`)

const [channels, height, width] = data.shape
const side = (size) => Math.floor(Math.floor(size / 2) / 2)
manualSeed(1) // the same weights to begin with, each time
const net = new Sequential(
  new Conv2d(channels, 16, { kernelSize: 3, padding: 1 }),
  new ReLU(),
  new MaxPool2d(2),
  new Conv2d(16, 32, { kernelSize: 3, padding: 1 }),
  new ReLU(),
  new MaxPool2d(2),
  new Flatten(),
  new Dropout(0.25),
  new Linear(32 * side(height) * side(width), data.classes.length),
)
const trainer = new Trainer(net, {
  optimizer: new AdamW({ lr: 0.002 }),
  seed: 1,
  inputShape: data.shape,
})
const curve = { training: [], validation: [] }
const run = trainer.fit(data, {
  epochs: Number(epochs),
  batchSize: 32,
  validation: 0.2,
  schedule: new CosineAnnealingLR(),
})
for await (const { epoch, loss, accuracy, validation } of run) {
  curve.training.push(loss)
  curve.validation.push(validation.loss)
  console.log(
    `epoch ${epoch}: loss ${loss.toFixed(3)}, ${percent(accuracy)}; of unseen pictures ${percent(validation.accuracy)}`,
  )
}
saveSafetensors('folder.safetensors', net.stateDict(), { classes: data.classes.join(',') })
writeFileSync('curve.svg', drawn(curve))
console.log('folder.safetensors and curve.svg are written')

function percent(share) {
  return `${(100 * share).toFixed(1)} %`
}

/** Two lines over the epochs, from 0 to the largest loss. */
function drawn(lines) {
  const [w, h] = [600, 300]
  const most = Math.max(...Object.values(lines).flat())
  const line = (values, colour) => {
    const points = values.map((y, i) => `${(i / Math.max(1, values.length - 1)) * w},${h - (y / most) * h}`)
    return `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.join(' ')}"/>`
  }
  const colours = { training: '#888', validation: '#06c' }
  const names = Object.keys(lines).map(
    (name, i) => `<text x="${w - 90}" y="${20 + 18 * i}" fill="${colours[name]}">${name}</text>`,
  )
  const body = [...Object.entries(lines).map(([name, values]) => line(values, colours[name])), ...names]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -10 ${w + 20} ${h + 20}" font-family="sans-serif">${body.join('')}</svg>\n`
}
