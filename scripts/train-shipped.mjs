/**
 * Trains the weights in models/lenet5-mnist.safetensors, from nothing to the same bytes every time:
 *
 *     npm run build && node scripts/train-shipped.mjs --data DIR
 *
 * A wide LeNet-5 (the teacher) is trained first, then the LeNet-5 that is shipped, on what the teacher says about
 * images varied anew in every epoch (Hinton, Vinyals and Dean 2015). Validation images, 5,000 of MNIST's training
 * set, are for the temperature and for choosing the recipe; with --test the test set is read, for the report alone.
 */
import { parseArgs } from 'node:util'
import {
  AdamW,
  augment,
  Conv2d,
  compile,
  Dataset,
  Dropout,
  evaluate,
  flatten,
  Generator,
  LeNet5,
  Linear,
  loadMnist,
  Module,
  manualSeed,
  maxPool2d,
  OneCycleLR,
  relu,
  saveSafetensors,
  Tensor,
  Trainer,
} from '../dist/index.js'
import { together, writtenDigits } from './digits/training-set.mjs'

const { values: options } = parseArgs({
  options: {
    data: { type: 'string' },
    out: { type: 'string', default: 'models/lenet5-mnist.safetensors' },
    seed: { type: 'string', default: '1' },
    'teacher-epochs': { type: 'string', default: '20' },
    epochs: { type: 'string', default: '60' },
    test: { type: 'boolean', default: false },
  },
})
const seed = Number(options.seed)
/** Other hands, other pens, and the square boxes of small bitmaps. */
const variations = {
  thickness: { thinner: 0.7, thicker: 0.9, probability: 0.5 },
  affine: { degrees: 10, scale: 0.06, stretch: 0.12, shear: 14, translate: 0.5, probability: 0.9 },
  square: { strength: 1, probability: 0.15 },
  elastic: { alpha: 24, sigma: 4, probability: 0.6 },
  blur: { sigma: 0.5, probability: 0.3 },
  mnistForm: true,
  contrast: { strength: 0.15, probability: 0.3 },
}
const start = performance.now()
const say = (line) => console.log(`${((performance.now() - start) / 1000).toFixed(0).padStart(5)} s  ${line}`)

/** LeNet-5, four times as wide: too large to ship, and able to read what is hard. */
class Teacher extends Module {
  constructor() {
    super()
    this.conv1 = new Conv2d(1, 24, { kernelSize: 5 })
    this.conv2 = new Conv2d(24, 48, { kernelSize: 5 })
    this.fc1 = new Linear(768, 240)
    this.drop1 = new Dropout(0.25)
    this.fc2 = new Linear(240, 120)
    this.drop2 = new Dropout(0.25)
    this.fc3 = new Linear(120, 10)
  }
  forward(x) {
    let y = maxPool2d(relu(this.conv1.forward(x)), 2)
    y = flatten(maxPool2d(relu(this.conv2.forward(y)), 2), 1)
    y = this.drop1.forward(relu(this.fc1.forward(y)))
    y = this.drop2.forward(relu(this.fc2.forward(y)))
    return this.fc3.forward(y)
  }
}

const percent = (share) => `${(100 * share).toFixed(2)} %`

/** Trains on the labels, images varied natively; the averaged weights become the model's. */
async function teach(name, network, data, validation, epochs) {
  const optimizer = new AdamW({ weightDecay: 0.01 })
  const trainer = new Trainer(network, { optimizer, ema: 0.9995, seed, augment: variations })
  const schedule = new OneCycleLR({ maxLr: 1.5e-3, pctStart: 0.1 })
  for await (const report of trainer.fit(data, {
    epochs,
    batchSize: 64,
    schedule,
    validation,
    health: false,
  })) {
    const { epoch, loss, validation: found } = report
    say(`${name}, epoch ${epoch}: loss ${loss.toFixed(4)}, validation error ${percent(found.errorRate)}`)
  }
  network.loadStateDict(trainer.averagedStateDict())
  trainer.dispose()
}

/**
 * Trains a network to say what another says: the targets are its probabilities, softened by a temperature, with
 * a share of the labels.
 */
async function distil(name, network, other, data, validation, epochs) {
  const [batch, block, soft, hard] = [64, 1024, 2, 0.15]
  const trainer = new Trainer(network, {
    optimizer: new AdamW({ weightDecay: 0 }),
    ema: 0.9997,
    seed,
    inputShape: data.shape,
  })
  const teacher = compile(other, { inputShape: data.shape })
  const schedule = new OneCycleLR({ maxLr: 2.5e-3, pctStart: 0.1 })
  const generator = new Generator(seed)
  const floats = new Float32Array(data.images.length)
  for (let i = 0; i < floats.length; i++) floats[i] = data.images[i] / 255
  const levels = new Dataset({ images: floats, labels: data.labels, shape: data.shape })
  const count = data.length - (data.length % batch)
  const steps = (epochs * count) / batch
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffled(data.length, generator)
    let loss = 0
    for (let from = 0; from < count; from += block) {
      const part = levels.subset(order.subarray(from, Math.min(count, from + block)))
      const shape = [part.length, ...data.shape]
      const plain = new Tensor(part.images, shape)
      const images = augment(plain, variations, { seed, epoch, index: from }).data
      const targets = softened(teacher.run(images), part.labels, soft, hard)
      for (let at = 0; at < part.length; at += batch) {
        const step = (epoch * count + from + at) / batch
        trainer.lr = schedule.rate(0, { step, steps, stepsPerEpoch: count / batch })
        const report = trainer.step(
          images.subarray(at * 784, (at + batch) * 784),
          targets.subarray(at * 10, (at + batch) * 10),
        )
        loss += (report.loss * batch) / count
      }
    }
    if (epoch % 5 < 4 && epoch + 1 < epochs) continue
    const averaged = new LeNet5()
    averaged.loadStateDict(trainer.averagedStateDict())
    const { errorRate } = await evaluate(averaged, validation)
    say(`${name}, epoch ${epoch + 1}: loss ${loss.toFixed(4)}, validation error ${percent(errorRate)}`)
  }
  network.loadStateDict(trainer.averagedStateDict())
  trainer.dispose()
}

/** softmax(logits / temperature) · (1 − hard) + labels · hard. */
function softened(logits, labels, temperature, hard) {
  const targets = new Float32Array(logits.length)
  for (let i = 0; i < labels.length; i++) {
    const row = logits.subarray(i * 10, i * 10 + 10)
    const most = Math.max(...row)
    const weights = Array.from(row, (v) => Math.exp((v - most) / temperature))
    const sum = weights.reduce((a, b) => a + b)
    for (let k = 0; k < 10; k++) {
      targets[i * 10 + k] = ((1 - hard) * weights[k]) / sum + (k === labels[i] ? hard : 0)
    }
  }
  return targets
}

/** The numbers below `count` in a random order (Fisher and Yates). */
function shuffled(count, generator) {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const k = Math.floor((generator.random() / 2 ** 32) * (i + 1))
    const kept = order[i]
    order[i] = order[k]
    order[k] = kept
  }
  return order
}

/** The temperature that makes the validation images' labels likeliest, to two digits (Guo et al. 2017). */
async function calibrate(network, validation) {
  let [best, least] = [1, Number.POSITIVE_INFINITY]
  for (let t = 0.2; t < 2.005; t += 0.02) {
    const temperature = Number(t.toFixed(2))
    const { loss } = await evaluate(network, validation, { temperature })
    if (loss < least) [best, least] = [temperature, loss]
  }
  return best
}

/** Of the images that are read with at least such a confidence: their share, and how many are read rightly. */
function kept({ examples }, threshold) {
  const sure = examples.filter(({ confidence }) => confidence >= threshold)
  const right = sure.filter(({ label, predicted }) => label === predicted)
  return { threshold, kept: sure.length / examples.length, right: right.length / sure.length }
}

const full = loadMnist(options.data)
const [mnist, validation] = full.split(1 / 12, new Generator(seed))
const written = writtenDigits(12_000, seed)
const data = together(mnist, written)
say(`${mnist.length} digits of MNIST, ${written.length} written ones, ${validation.length} for validation`)

manualSeed(seed)
const teacher = new Teacher()
await teach('teacher', teacher, data, validation, Number(options['teacher-epochs']))
manualSeed(seed)
const model = new LeNet5()
await distil('LeNet-5', model, teacher, data, validation, Number(options.epochs))

const temperature = await calibrate(model, validation)
const found = await evaluate(model, validation, { temperature })
saveSafetensors(options.out, model.stateDict(), {
  architecture: 'LeNet5(1, 10)',
  command: `node scripts/train-shipped.mjs --seed ${seed} --teacher-epochs ${options['teacher-epochs']} --epochs ${options.epochs}`,
  form: 'white on black, 28x28, longer side 20, centre of mass at pixel 14',
  mean: '0',
  std: '1',
  temperature: String(temperature),
  validation_error: String(found.errorRate),
})
say(
  `${options.out}: validation error ${percent(found.errorRate)}, temperature ${temperature}, ECE ${percent(found.ece)}`,
)
if (options.test) {
  const plain = await evaluate(model, loadMnist(options.data, 'test'))
  const test = await evaluate(model, loadMnist(options.data, 'test'), { temperature })
  say(`test: ${test.count - test.correct} of ${test.count} misread, ${percent(test.errorRate)}`)
  console.log(`${test}`)
  console.log(`ECE ${percent(plain.ece)} without temperature, ${percent(test.ece)} with it`)
  for (const threshold of [0.5, 0.8, 0.9, 0.95, 0.99]) {
    const on = kept(test, threshold)
    console.log(`confidence ≥ ${threshold}: ${percent(on.kept)} kept, ${percent(on.right)} of them right`)
  }
}
