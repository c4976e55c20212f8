/** Calls as they should be, of what works on data, pictures and files, and of training; see calls.mjs. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { root } from '../util.mjs'

/** Adds them by `call`, `fn` and `is`; `x` makes a tensor, `net` a network of images of [1, 4, 4]. */
export function addWork(k, { call, fn, is, x, net }) {
  const data = () =>
    new k.Dataset({
      images: new Float32Array(64),
      labels: [0, 1, 2, 0],
      shape: [1, 4, 4],
      classes: ['a', 'b', 'c'],
    })
  const folder = resolve('right')
  const fixture = (name) => join(root, 'tests/fixtures', name)
  const weights = join(root, 'models/lenet5-mnist.safetensors')
  const picture = join(root, 'examples/digits/1-pencil.png')
  const onnx = k.saveOnnx(net(), { inputShape: [1, 4, 4] })
  const idx = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3)
  const copy = structuredClone

  // data
  const parts = { labels: [0, 1], shape: [1, 2, 2], classes: ['a', 'b'], names: ['x', 'y'] }
  call(
    'new Dataset',
    () => [{ images: new Uint8Array(8), ...copy(parts) }],
    (...given) => new k.Dataset(...given),
  )
  call('Dataset.image', is([1]), (...given) => data().image(...given))
  call('Dataset.subset', is([[0, 2]]), (...given) => data().subset(...given))
  call(
    'Dataset.split',
    () => [0.5, new k.Generator(1)],
    (...given) => data().split(...given),
  )
  const everything = {
    thickness: { thinner: 0.5, thicker: 0.5, probability: 1 },
    affine: { degrees: 5, scale: 0.1, stretch: 0.1, shear: 5, translate: 1, probability: 1 },
    square: { strength: 0.5, probability: 1 },
    elastic: { alpha: 4, sigma: 2, probability: 1 },
    blur: { sigma: 0.5, probability: 1 },
    mnistForm: true,
    contrast: { strength: 0.1, probability: 1 },
    background: { strength: 0.1, probability: 1 },
    noise: { std: 0.1, probability: 1 },
  }
  const where = { seed: 1, epoch: 1, index: 1, low: 0, high: 1 }
  fn('augment', () => x(2, 1, 8, 8), is(everything), is(where))
  call(
    'augment bytes',
    () => [new Uint8Array(128), [1, 8, 8], copy(everything), { ...where, high: 255 }],
    k.augment,
  )
  writeFolder(folder, picture)
  call('loadMnist', () => [folder, 'train'], k.loadMnist)
  call(
    'loadPictures',
    () => [folder, { normalize: false, classes: ['a', 'b'], onSkip: () => {} }],
    k.loadPictures,
  )
  call(
    'downloadMnist',
    () => [{ folder, mirror: 'https://example.org/', onProgress: () => {} }],
    k.downloadMnist,
    ['0.mirror'],
  )
  call('loadIdx', () => [idx.slice()], k.loadIdx)

  // pictures
  const bytes = readFileSync(picture)
  const pixels = () => ({
    data: new Uint8Array(784).map((_, i) => (i % 28 === 14 ? 255 : 0)),
    width: 28,
    height: 28,
    channels: 1,
  })
  fn('normalizeDigit', pixels, is({ mean: 0, std: 1 }))
  fn('decodePicture', () => bytes, is('name'))
  fn('decodePictureAsync', () => bytes, is('name'))
  call(
    'DigitClassifier.load',
    () => [{ weights, isa: 'scalar', threads: 1 }],
    (...given) => k.DigitClassifier.load(...given).dispose(),
  )
  const digits = k.DigitClassifier.load()
  call(
    'DigitClassifier.classify',
    () => [pixels()],
    (...given) => digits.classify(...given),
  )
  call(
    'DigitClassifier.classify bytes',
    () => [bytes],
    (...given) => digits.classify(...given),
  )
  call(
    'DigitClassifier.classifyAsync',
    () => [pixels()],
    (...given) => digits.classifyAsync(...given),
  )
  call(
    'DigitClassifier.classifyFile',
    () => [picture],
    (...given) => digits.classifyFile(...given),
  )
  const form = () => ({
    fit: 'crop',
    colour: 'grey',
    mean: 0,
    std: [1],
    temperature: 1,
    threshold: 0,
    outputs: 'scores',
  })
  const labels = () => [...'0123456789']
  call(
    'Classifier.load',
    () => [
      weights,
      {
        ...form(),
        labels: labels(),
        inputShape: [1, 28, 28],
        maxPixels: 1e6,
        maxBytes: 1e6,
        isa: 'scalar',
        threads: 1,
      },
    ],
    (...given) => k.Classifier.load(...given).dispose(),
  )
  const classifier = k.Classifier.from(new k.LeNet5(), { ...form(), inputShape: [1, 28, 28] })
  call(
    'Classifier.from',
    () => [new k.LeNet5(), { ...form(), labels: labels(), inputShape: [1, 28, 28] }],
    (...given) => k.Classifier.from(...given).dispose(),
  )
  call(
    'Classifier.classify',
    () => [pixels()],
    (...given) => classifier.classify(...given),
  )
  call(
    'Classifier.classifyAsync',
    () => [pixels(), { transfer: false, signal: undefined }],
    (...given) => classifier.classifyAsync(...given),
  )
  call(
    'Classifier.classifyFile',
    () => [picture, { transfer: false }],
    (...given) => classifier.classifyFile(...given),
  )

  // files
  const file = (name) => resolve(name)
  for (const name of ['loadSafetensors', 'readSafetensors']) fn(name, is(weights))
  for (const name of ['loadTorch', 'readTorch']) {
    fn(name, is(fixture('torch/checkpoint.pt')), is({ key: 'model' }))
  }
  call(
    'saveSafetensors',
    () => [file('a.safetensors'), new k.Linear(2, 2).stateDict(), { note: 'x' }],
    k.saveSafetensors,
  )
  call(
    'saveSafetensors of an object',
    () => [file('b.safetensors'), { weight: x(2) }, new Map([['note', 'x']])],
    k.saveSafetensors,
  )
  const naming = { inputShape: [1, 4, 4], inputName: 'in', outputName: 'out' }
  call('saveOnnx', () => [net(), copy(naming)], k.saveOnnx)
  call('saveOnnx to a file', () => [net(), file('a.onnx'), copy(naming)], k.saveOnnx)
  call('loadOnnx', () => [onnx.slice(), { output: 'output', dataFolder: folder }], k.loadOnnx)
  const loaded = k.loadOnnx(onnx)
  call(
    'OnnxModel.run',
    () => [{ input: { data: Array(16).fill(0), shape: [1, 1, 4, 4] } }],
    (...given) => loaded.run(...given),
    ['0.input.data'],
  )
  call(
    'OnnxModel.forward',
    () => [x(2, 1, 4, 4)],
    (...given) => loaded.forward(...given),
  )
  call(
    'OnnxModel.compile',
    () => [{ inputShape: [1, 4, 4], threads: 1 }],
    (...given) => loaded.compile(...given),
  )
  call('OnnxModel.summary', is([[1, 4, 4]]), (...given) => loaded.summary(...given))

  // training
  const sgd = { lr: 0.1, momentum: 0.9, dampening: 0, weightDecay: 0, nesterov: true }
  const adam = { lr: 0.1, betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0 }
  const stepped = (optimizer) =>
    new k.Trainer(net(), { optimizer, inputShape: [1, 4, 4], seed: 1 }).step(new Float32Array(32), [0, 1])
  call('new SGD', is([sgd]), (...given) => stepped(new k.SGD(...given)))
  call('new Adam', is([adam]), (...given) => stepped(new k.Adam(...given)))
  call('new AdamW', is([adam]), (...given) => stepped(new k.AdamW(...given)))
  const at = { step: 1, steps: 10, stepsPerEpoch: 5 }
  const schedules = {
    StepLR: { stepSize: 2, gamma: 0.1, interval: 'step' },
    CosineAnnealingLR: { tMax: 5, etaMin: 0, interval: 'epoch' },
    OneCycleLR: {
      maxLr: 0.1,
      totalSteps: 10,
      pctStart: 0.3,
      annealStrategy: 'cos',
      divFactor: 25,
      finalDivFactor: 1e4,
      threePhase: true,
    },
  }
  for (const [name, options] of Object.entries(schedules)) {
    call(`new ${name}`, is([options]), (...given) => new k[name](...given).rate(0.1, at))
    // It goes by its own options alone.
    call(
      `${name}.rate`,
      is([0.1, at]),
      (...given) => new k[name](options).rate(...given),
      name === 'OneCycleLR' ? ['0'] : [],
    )
  }
  const training = () => ({
    optimizer: new k.SGD({ lr: 0.1 }),
    ...{ loss: 'crossEntropy', labelSmoothing: 0.1, clipNorm: 1, clipValue: 1, ema: 0.9, seed: 1 },
    ...{ augment: copy(everything), threads: 1, isa: 'scalar', inputShape: [1, 4, 4], mean: 0.1, std: 0.3 },
  })
  call(
    'new Trainer',
    () => [net(), training()],
    (...given) => {
      const trainer = new k.Trainer(...given)
      trainer.step(new Uint8Array(32), [0, 1])
      trainer.gradients()
      trainer.dispose()
    },
  )
  const trainer = () => new k.Trainer(net(), { seed: 1, inputShape: [1, 4, 4], threads: 1 })
  call(
    'Trainer.step',
    () => [new Float32Array(32), [0, 1]],
    (...given) => trainer().step(...given),
  )
  call(
    'Trainer.step of a tensor',
    () => [x(2, 1, 4, 4), new Int32Array(2)],
    (...given) => trainer().step(...given),
  )
  call('Trainer.lr', is([0.1]), (lr) => Object.assign(trainer(), { lr }).step(new Float32Array(32), [0, 1]))
  const fitting = () => ({
    ...{ epochs: 2, batchSize: 2, validation: 0.5, shuffle: true, resume: false, health: true },
    schedule: new k.StepLR({ stepSize: 1 }),
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  call(
    'Trainer.fit',
    () => [many(data(), 4), fitting()],
    async (...given) => {
      let [last, left] = [undefined, 3]
      for await (const report of trainer().fit(...given)) {
        last = report
        // as many epochs as are asked for is right
        if (--left === 0) break
      }
      return last
    },
  )
  const judging = () => ({ batchSize: 2, signal: new AbortController().signal })
  call(
    'Trainer.evaluate',
    () => [data(), judging()],
    (...given) => trainer().evaluate(...given),
  )
  call(
    'evaluate',
    () => [
      net(),
      data(),
      { ...judging(), loss: 'crossEntropy', temperature: 2, threads: 1, isa: 'scalar', mean: 0, std: 1 },
    ],
    async (...given) => {
      const found = await k.evaluate(...given)
      return [`${found}`, found.worst(3), found.misread, found.accuracy, JSON.stringify(found)]
    },
  )
  let evaluation
  call('Evaluation.worst', is([3]), async (...given) => {
    evaluation ??= await k.evaluate(net(), data())
    return evaluation.worst(...given)
  })
  call(
    'Trainer.saveCheckpoint',
    () => [file('c.safetensors'), { note: 'x' }],
    (...given) => {
      const one = trainer()
      one.step(new Float32Array(32), [0, 1])
      one.saveCheckpoint(...given)
    },
  )
  const checkpoint = file('right.safetensors')
  trainer().saveCheckpoint(checkpoint)
  call(
    'Trainer.loadCheckpoint',
    () => [checkpoint],
    (...given) => trainer().loadCheckpoint(...given),
  )
}

function many(data, times) {
  return data.subset(Array.from({ length: data.length * times }, (_, i) => i % data.length))
}

/** Two images as MNIST has them, and two classes of one picture. */
function writeFolder(folder, picture) {
  for (const name of ['a', 'b']) {
    mkdirSync(join(folder, name), { recursive: true })
    copyFileSync(picture, join(folder, name, 'one.png'))
  }
  const sizes = (...all) => all.flatMap((size) => [0, 0, 0, size])
  writeFileSync(
    join(folder, 'train-images-idx3-ubyte'),
    Uint8Array.of(0, 0, 8, 3, ...sizes(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8),
  )
  writeFileSync(join(folder, 'train-labels-idx1-ubyte'), Uint8Array.of(0, 0, 8, 1, ...sizes(2), 0, 1))
}
