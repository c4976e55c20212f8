/** Calls as they should be, of everything there is: what `nearly` spoils. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { root } from '../util.mjs'

/**
 * By name: `args`, made anew for every call; `run`, which looks into what comes out too. `takes`: places where other
 * types are as good.
 */
export function callsOf(k) {
  const x = (...shape) => new k.Tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), shape)
  const image = () => x(2, 2, 6, 6)
  const net = () =>
    new k.Sequential(
      new k.Conv2d(1, 2, { kernelSize: 3 }),
      new k.BatchNorm2d(2),
      new k.ReLU(),
      new k.Flatten(),
      new k.Linear(8, 3),
    )
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

  const calls = {}
  const call = (name, args, run, takes) => {
    calls[name] = { args, run, takes }
  }
  const fn = (name, ...args) => call(name, () => args.map((one) => one()), k[name])
  const is = (value) => () => structuredClone(value)
  const copy = structuredClone

  // functions of tensors
  const unary = 'abs exp gelu hardswish log relu relu6 sigmoid silu tanh hardsigmoid selu'.split(' ')
  for (const name of unary) fn(name, image)
  for (const name of ['add', 'sub', 'mul', 'div']) {
    fn(name, image, image)
    call(`${name} a number`, () => [image(), 2], k[name], ['1'])
  }
  fn('hardsigmoid', image, is({ alpha: 0.2, beta: 0.5 }))
  fn('selu', image, is({ alpha: 1, scale: 1 }))
  fn('elu', image, is(1))
  fn('leakyRelu', image, is(0.1))
  fn('scaledTanh', image, is(1), is(1))
  fn('clamp', image, is(0), is(1))
  fn('pow', image, is(2))
  fn('prelu', image, () => x(2))
  fn('softmax', image, is(1))
  fn('logSoftmax', image, is(-1))
  fn('flatten', image, is(1))
  fn('reshape', image, is([2, -1]))
  fn('permute', image, is([0, 2, 3, 1]))
  fn('slice', image, is(1), is(0), is(2), is(1))
  fn('pad', image, is([1, 1, 0, 2]), is(0))
  fn('cat', () => [image(), image()], is(1))
  fn('mean', image, is([2, 3]), is({ keepdim: true }))
  fn('dropout', image, is(0.5), is(true))
  fn('crossEntropy', () => x(2, 3), is([1, 2]))
  const windows = { stride: [1, 2], padding: [1, 0], dilation: 1 }
  fn(
    'conv2d',
    image,
    () => x(4, 1, 3, 3),
    () => x(4),
    is({ ...windows, groups: 2 }),
  )
  const along = { stride: 1, padding: [1, 0], dilation: 1 }
  fn(
    'conv1d',
    () => x(2, 2, 6),
    () => x(4, 1, 3),
    () => x(4),
    is({ ...along, groups: 2 }),
  )
  fn(
    'linear',
    image,
    () => x(3, 6),
    () => x(3),
  )
  const maximum = { ...windows, padding: [1, 0, 0, 1], ceilMode: true }
  fn('maxPool2d', image, is([2, 2]), is(maximum))
  fn('avgPool2d', image, is([2, 2]), is({ ...maximum, countIncludePad: false }))
  fn('maxPool1d', () => x(2, 2, 6), is(2), is({ ...along, ceilMode: true }))
  fn('avgPool1d', () => x(2, 2, 6), is(2), is({ ...along, ceilMode: true, countIncludePad: false }))
  fn('adaptiveAvgPool2d', image, is([2, null]))
  fn('adaptiveMaxPool2d', image, is(2))
  fn('adaptiveAvgPool1d', () => x(2, 2, 6), is(2))
  fn('adaptiveMaxPool1d', () => x(2, 2, 6), is(2))
  const norm = () => ({ weight: x(2), bias: x(2), training: true, momentum: 0.1, eps: 1e-5, batches: x() })
  fn(
    'batchNorm',
    image,
    () => x(2),
    () => x(2),
    norm,
  )
  fn('localResponseNorm', image, is(3), is({ alpha: 1e-4, beta: 0.75, k: 1, before: 1 }))

  // layers, made and run, by what they hold afterwards too
  const layer = (name, args, input = image) =>
    call(`new ${name}`, args, (...given) => {
      const made = new k[name](...given)
      made.stateDict()
      if (input) made.forward(input())
      return made
    })
  for (const name of 'GELU Hardsigmoid Hardswish Identity ReLU ReLU6 SELU SiLU Sigmoid Tanh'.split(' ')) {
    layer(name, () => [])
    call(
      `${name}.forward`,
      () => [image()],
      (...given) => new k[name]().forward(...given),
      name === 'Identity' ? ['0'] : [],
    )
  }
  layer('ELU', is([1]))
  layer('LeakyReLU', is([0.1]))
  layer('PReLU', is([2, 0.25]))
  layer('ScaledTanh', is([1, 1]))
  layer('Hardtanh', is([-1, 1]))
  layer('Softmax', is([1]))
  layer('LogSoftmax', is([1]))
  layer('Dropout', is([0.5]))
  layer('Flatten', is([1]))
  layer('Unflatten', is([1, [2, 1]]))
  layer('ConstantPad2d', is([[1, 1, 0, 2], 0.5]))
  layer('ZeroPad2d', is([1]))
  layer('AdaptiveAvgPool2d', is([[2, 2]]))
  layer('AdaptiveMaxPool2d', is([2]))
  layer('AdaptiveAvgPool1d', is([2]), () => x(2, 2, 6))
  layer('AdaptiveMaxPool1d', is([2]), () => x(2, 2, 6))
  layer('MaxPool2d', is([[2, 2], maximum]))
  layer('AvgPool2d', is([2, { ...maximum, countIncludePad: true }]))
  layer('MaxPool1d', is([2, { ...along, ceilMode: false }]), () => x(2, 2, 6))
  layer('AvgPool1d', is([2, { ...along, countIncludePad: true }]), () => x(2, 2, 6))
  layer('BatchNorm1d', is([2, { eps: 1e-5, momentum: 0.1, affine: true }]), () => x(2, 2, 6))
  layer('BatchNorm2d', is([2, { eps: 1e-5, momentum: null, affine: false }]))
  layer('LocalResponseNorm', is([3, { alpha: 1e-4, beta: 0.75, k: 1, before: 1 }]))
  const drawn = () => ({ bias: true, generator: new k.Generator(1) })
  layer('Conv2d', () => [2, 4, { kernelSize: [3, 3], ...copy(windows), groups: 2, ...drawn() }])
  layer(
    'Conv1d',
    () => [2, 4, { kernelSize: 3, ...copy(along), groups: 2, ...drawn() }],
    () => x(2, 2, 6),
  )
  layer('Linear', () => [6, 3, drawn()])
  layer('LeNet5', is([1, 10]), () => x(1, 1, 28, 28))
  layer('LogisticRegression', () => [72, { generator: new k.Generator(1) }])
  layer('Subsample2d', () => [2, { kernelSize: [2, 2], generator: new k.Generator(1) }])
  layer('ConnectionTableConv2d', () => [2, [[0], [0, 1]], { kernelSize: 3, ...copy(windows), ...drawn() }])
  layer(
    'RBF',
    () => [x(3, 6), { negative: true }],
    () => x(2, 6),
  )
  layer(
    'MapCriterion',
    () => [new k.Linear(6, 10), { classes: 10, j: 0.1 }],
    () => x(2, 6),
  )
  layer('Sequential', () => [new k.ReLU(), new k.Linear(6, 3)])
  call(
    'forward',
    () => [net(), x(2, 1, 4, 4)],
    (model, input) => model instanceof k.Module && model.forward(input),
    ['0'],
  )

  // tensors and random numbers
  call(
    'new Tensor',
    () => [new Float32Array(6), [2, 3]],
    (...given) => new k.Tensor(...given),
  )
  call(
    'new Parameter',
    () => [new Float32Array(6), [2, 3]],
    (...given) => new k.Parameter(...given),
  )
  call(
    'new Buffer',
    () => [new Float32Array(6), [2, 3]],
    (...given) => new k.Buffer(...given),
  )
  call('Tensor.is', () => [image()], k.Tensor.is, ['0'])
  call('new Generator', is([1]), (...given) => new k.Generator(...given).uniform(0, 1))
  call('Generator.manualSeed', is([1]), (...given) => new k.Generator(1).manualSeed(...given))
  call('Generator.uniform', is([0, 1]), (...given) => new k.Generator(1).uniform(...given))
  fn('manualSeed', is(1))
  fn('setThreads', is(1))

  // modules and graphs
  const method = (name, make, args) => call(`Module.${name}`, args, (...given) => make()[name](...given))
  method('loadStateDict', net, () => [net().stateDict(), { strict: true }])
  call(
    'Module.loadStateDict of an object',
    () => [Object.fromEntries(new k.Linear(2, 2).stateDict()), { strict: false }],
    (...given) => new k.Linear(2, 2).loadStateDict(...given),
  )
  method('train', net, is([true]))
  method('eval', net, is([]))
  method('summary', net, is([[1, 4, 4]]))
  const compiling = {
    inputShape: [1, 4, 4],
    ...{ isa: 'scalar', algorithm: 'auto', threads: 1, maxBatch: 4, fuse: true, numerics: 'exact' },
  }
  method('compile', net, is([compiling]))
  fn('compile', net, is({ ...compiling, inputType: 'uint8', scale: 0.1, shift: 0 }))
  call(
    'compile in int8',
    () => [net(), { inputShape: [1, 4, 4], precision: 'int8', calibration: new Float32Array(64).fill(0.5) }],
    k.compile,
  )
  call('compile a graph', () => [spread(k.trace(net(), [1, 4, 4]))], k.compile)
  fn('trace', net, is([1, 4, 4]))
  fn('summary', net, is([1, 4, 4]))
  call(
    'summary of a graph',
    () => [spread(k.trace(net(), [1, 4, 4]))],
    (graph) => `${k.summary(graph)}`,
  )
  fn('activations', net, () => x(2, 1, 4, 4))
  call('activations of a graph', () => [spread(k.trace(net(), [1, 4, 4])), x(2, 1, 4, 4)], k.activations)
  fn('freeze', net)
  fn('unfreeze', net)
  const compiled = () => net().compile({ inputShape: [1, 4, 4], maxBatch: 4 })
  const running = (name, args, make = compiled) =>
    call(`CompiledModel.${name}`, args, (...given) => {
      const model = make()
      return model[name](...given)
    })
  running('run', () => [new Float32Array(32), new Float32Array(6)])
  running('runAsync', () => [
    new Float32Array(32),
    new Float32Array(6),
    { signal: new AbortController().signal },
  ])
  running('profile', () => [new Float32Array(32), { iterations: 2 }])
  call(
    'CompiledModel.run on bytes',
    () => [new Uint8Array(32), new Float32Array(6)],
    (...given) =>
      net()
        .compile({ inputShape: [1, 4, 4], inputType: 'uint8' })
        .run(...given),
  )

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
      let last
      for await (const report of trainer().fit(...given)) last = report
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
  return calls
}

/** A graph that can be changed. */
function spread({ nodes, output }) {
  return { nodes: nodes.map((node) => ({ ...node })), output }
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
