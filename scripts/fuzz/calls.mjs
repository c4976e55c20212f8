/** Calls as they should be, of everything there is: what `nearly` spoils. Here functions, layers, modules and graphs. */
import { addWork } from './calls-of-work.mjs'

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

  const calls = {}
  const call = (name, args, run, takes) => {
    calls[name] = { args, run, takes }
  }
  const fn = (name, ...args) => call(name, () => args.map((one) => one()), k[name])
  const is = (value) => () => structuredClone(value)
  const copy = structuredClone

  // functions of tensors
  const unary = (
    'abs exp gelu hardswish log relu relu6 sigmoid silu tanh hardsigmoid selu erf softplus mish softsign celu ' +
    'hardshrink softshrink shrink floor ceil round sign sin cos tan asin acos atan sinh cosh asinh acosh atanh ' +
    'isnan isinf isposinf isneginf logicalNot'
  ).split(' ')
  for (const name of unary) fn(name, image)
  const binary =
    'add sub mul div maximum minimum lt le gt ge eq ne logicalAnd logicalOr logicalXor remainder fmod'
  for (const name of binary.split(' ')) {
    fn(name, image, image)
    call(`${name} a number`, () => [image(), 2], k[name], ['1'])
  }
  fn('where', image, image, image)
  call('where of numbers', () => [image(), 1, 0], k.where, ['1', '2'])
  fn('gelu', image, is('tanh'))
  fn('softplus', image, is(2), is(20))
  fn('threshold', image, is(0.5), is(-1))
  fn('celu', image, is(0.5))
  fn('shrink', image, is(0.5), is(0.25))
  fn('prod', image, is(1), is({ keepdim: true }))
  for (const name of ['argmax', 'argmin']) fn(name, image, is(-1), is({ keepdim: true, last: true }))
  for (const name of ['sort', 'argsort']) fn(name, image, is(-1), is({ descending: true, count: 1 }))
  fn('cumsum', image, is(2), is({ exclusive: true, reverse: true }))
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
  fn('pixelShuffle', () => x(2, 4, 3, 3), is(2))
  fn('pixelUnshuffle', () => x(2, 2, 6, 3), is(3))
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
  const up = { ...windows, stride: [2, 1], outputPadding: [1, 0] }
  fn(
    'convTranspose2d',
    image,
    () => x(2, 2, 3, 3),
    () => x(4),
    is({ ...up, groups: 2 }),
  )
  fn(
    'convTranspose1d',
    () => x(2, 2, 6),
    () => x(2, 2, 3),
    () => x(4),
    is({ ...along, stride: 2, outputPadding: 1, groups: 2 }),
  )
  fn('interpolate', image, is({ size: [3, 8] }))
  fn('interpolate', image, is({ scaleFactor: [1.5, 2], mode: 'bilinear', alignCorners: true }))
  fn('interpolate', image, is({ scaleFactor: [1.5, 0.4], mode: 'bicubic', antialias: true }))
  fn(
    'linear',
    image,
    () => x(3, 6),
    () => x(3),
  )
  fn(
    'matmul',
    () => x(2, 3, 4),
    () => x(4, 5),
  )
  fn(
    'bmm',
    () => x(2, 3, 4),
    () => x(2, 4, 5),
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
  const affine = () => ({ weight: x(2), bias: x(2), eps: 1e-5 })
  const ofRows =
    (...shape) =>
    () => ({ weight: x(...shape), bias: x(...shape), eps: 1e-5 })
  fn('layerNorm', image, is([6, 6]), ofRows(6, 6))
  fn('rmsNorm', image, is(6), () => ({ weight: x(6), eps: 1e-5 }))
  fn('groupNorm', image, is(2), affine)
  fn('instanceNorm', image, affine)
  fn('localResponseNorm', image, is(3), is({ alpha: 1e-4, beta: 0.75, k: 1, before: 1 }))

  // layers, made and run, by what they hold afterwards too
  const layer = (name, args, input = image) =>
    call(`new ${name}`, args, (...given) => {
      const made = new k[name](...given)
      made.stateDict()
      if (input) made.forward(input())
      return made
    })
  const plain =
    'GELU Hardsigmoid Hardswish Identity ReLU ReLU6 SELU SiLU Sigmoid Tanh Softplus Mish Softsign Hardshrink Softshrink CELU'
  for (const name of plain.split(' ')) {
    layer(name, () => [])
    call(
      `${name}.forward`,
      () => [image()],
      (...given) => new k[name]().forward(...given),
      name === 'Identity' ? ['0'] : [],
    )
  }
  layer('ELU', is([1]))
  layer('CELU', is([1]))
  layer('GELU', is(['tanh']))
  layer('Softplus', is([2, 20]))
  layer('Threshold', is([0.5, -1]))
  layer('Hardshrink', is([0.5]))
  layer('Softshrink', is([0.5]))
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
  layer('PixelShuffle', is([2]), () => x(2, 4, 3, 3))
  layer('PixelUnshuffle', is([3]), () => x(2, 2, 6, 3))
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
  layer('LayerNorm', is([[6, 6], { eps: 1e-5, elementwiseAffine: true, bias: true }]))
  layer('RMSNorm', is([6, { eps: null, elementwiseAffine: true }]))
  layer('GroupNorm', is([1, 2, { eps: 1e-5, affine: true }]))
  layer('InstanceNorm1d', is([2, { eps: 1e-5, affine: true }]), () => x(2, 2, 6))
  layer('InstanceNorm2d', is([2, { eps: 1e-5, affine: false }]))
  layer('LocalResponseNorm', is([3, { alpha: 1e-4, beta: 0.75, k: 1, before: 1 }]))
  const drawn = () => ({ bias: true, generator: new k.Generator(1) })
  layer('Conv2d', () => [2, 4, { kernelSize: [3, 3], ...copy(windows), groups: 2, ...drawn() }])
  layer(
    'Conv1d',
    () => [2, 4, { kernelSize: 3, ...copy(along), groups: 2, ...drawn() }],
    () => x(2, 2, 6),
  )
  layer('ConvTranspose2d', () => [2, 4, { kernelSize: [3, 3], ...copy(up), groups: 2, ...drawn() }])
  layer(
    'ConvTranspose1d',
    () => [2, 4, { kernelSize: 3, ...copy(along), outputPadding: 0, groups: 2, ...drawn() }],
    () => x(2, 2, 6),
  )
  layer('Upsample', is([{ scaleFactor: 2, mode: 'bilinear', alignCorners: false }]))
  layer('Linear', () => [6, 3, drawn()])
  const sequence = { numLayers: 2, bidirectional: true, batchFirst: true, dropout: 0.5 }
  layer(
    'LSTM',
    () => [6, 3, { ...sequence, ...drawn() }],
    () => x(2, 4, 6),
  )
  layer(
    'GRU',
    () => [6, 3, { ...sequence, ...drawn() }],
    () => x(2, 4, 6),
  )
  layer(
    'RNN',
    () => [6, 3, { ...sequence, nonlinearity: 'relu', ...drawn() }],
    () => x(2, 4, 6),
  )
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
  call('saveOnnx of a graph', () => [spread(k.trace(net(), [1, 4, 4]))], k.saveOnnx)
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

  addWork(k, { call, fn, is, x, net })
  return calls
}

/** A graph that can be changed. */
function spread({ nodes, output }) {
  return { nodes: nodes.map((node) => ({ ...node })), output }
}
