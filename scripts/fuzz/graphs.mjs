/** Random networks: eager and compiled, alone and in batches, by every algorithm: the same bits. */
import { Random } from './random.mjs'

export const extension = 'json'

export function prepare(kernelet) {
  return { kernelet }
}

/** A network as JSON: the shape of an image and the layers. */
export function make(_state, random) {
  const shape = random.oneIn(6)
    ? [random.between(1, 40)]
    : [random.between(1, 9), random.between(1, 14), random.between(1, 14)]
  const layers = []
  for (let left = random.between(1, 6); left > 0; left--) layers.push(layer(random, shape.length))
  return Buffer.from(JSON.stringify({ shape, seed: random.bits(), layers }))
}

const activations = [
  'ReLU',
  'ReLU6',
  'Sigmoid',
  'Tanh',
  'SiLU',
  'Hardswish',
  'Hardsigmoid',
  'GELU',
  'SELU',
  'ELU',
  'Softplus',
  'Mish',
  'Softsign',
  'Hardshrink',
  'Softshrink',
  'CELU',
]

/** Mostly one that fits; what does not fit must be refused by name. */
function layer(random, rank) {
  const window = () => random.between(1, random.oneIn(8) ? 12 : 4)
  switch (rank === 3 ? random.below(11) : 10) {
    case 0:
    case 1: {
      const groups = random.oneIn(4) ? random.between(1, 4) : 1
      return [
        'Conv2d',
        groups * random.between(1, 5),
        {
          kernelSize: random.oneIn(2) ? window() : [window(), window()],
          stride: random.between(1, 3),
          padding: random.below(3),
          dilation: random.oneIn(4) ? 2 : 1,
          groups,
          bias: !random.oneIn(4),
        },
      ]
    }
    case 2:
      return [
        'MaxPool2d',
        window(),
        random.oneIn(2)
          ? {}
          : { stride: random.between(1, 3), padding: random.below(2), ceilMode: random.oneIn(2) },
      ]
    case 3:
      return [
        'AvgPool2d',
        window(),
        random.oneIn(2) ? {} : { stride: random.between(1, 3), padding: random.below(2) },
      ]
    case 4:
      return ['AdaptiveAvgPool2d', random.between(1, 4)]
    case 5:
      return random.pick([['BatchNorm2d'], ['InstanceNorm2d'], ['GroupNorm'], ['LayerNorm'], ['RMSNorm']])
    case 6:
      return ['ConstantPad2d', random.below(3), random.number()]
    case 7:
      return [random.pick(activations)]
    case 8: {
      const stride = random.between(1, 3)
      const more = { kernelSize: window(), stride, padding: random.below(2) }
      return ['ConvTranspose2d', random.between(1, 5), { ...more, outputPadding: random.below(stride) }]
    }
    case 9: {
      const mode = random.pick(['nearest', 'bilinear', 'bicubic'])
      const size = random.oneIn(2)
        ? { size: random.between(1, 12) }
        : { scaleFactor: random.between(1, 8) / 4 }
      return ['Upsample', { ...size, mode }]
    }
    default:
      return random.pick([
        ['Flatten'],
        ['Linear', random.between(1, 33)],
        ['Softmax', 1],
        [random.pick(activations)],
      ])
  }
}

export function read({ kernelet }, bytes) {
  const { shape, seed, layers } = JSON.parse(Buffer.from(bytes).toString())
  kernelet.manualSeed(seed)
  const net = build(kernelet, shape, layers).eval()
  const random = new Random(seed)
  const batch = random.pick([1, 2, 3, 5, 16, 17, 33])
  const size = shape.reduce((product, one) => product * one, 1)
  const input = Float32Array.from({ length: batch * size }, () => random.number())
  const eager = net.forward(new kernelet.Tensor(input, [batch, ...shape]))
  const options = [{}, { threads: 1 }, { algorithm: random.pick(['direct', 'im2col']) }]
  for (const option of options) {
    const model = net.compile({ inputShape: shape, ...option })
    try {
      sameBits(model.run(input), eager.data, `compiled with ${JSON.stringify(option)}, batch ${batch}`)
      const last = input.subarray(input.length - size)
      const one = eager.data.length / batch
      sameBits(model.run(last), eager.data.subarray(eager.data.length - one), 'the last image alone')
    } finally {
      model.dispose()
    }
  }
}

/** Layers with the channels or features that come to them. */
function build(kernelet, shape, layers) {
  const made = []
  for (const [kind, ...options] of layers) {
    const before = made.length === 0 ? shape : kernelet.trace(new kernelet.Sequential(...made), shape)
    const now = Array.isArray(before) ? before : before.nodes.at(-1).shape
    const count = now[0]
    if (kind === 'Conv2d') {
      const [out, more] = options
      const groups = count % more.groups === 0 ? more.groups : 1
      made.push(new kernelet.Conv2d(count, out, { ...more, groups }))
    } else if (kind === 'ConvTranspose2d') made.push(new kernelet.ConvTranspose2d(count, ...options))
    else if (kind === 'Linear') made.push(new kernelet.Linear(now.at(-1), ...options))
    else if (kind === 'BatchNorm2d') made.push(new kernelet.BatchNorm2d(count))
    else if (kind === 'InstanceNorm2d') made.push(new kernelet.InstanceNorm2d(count, { affine: true }))
    else if (kind === 'GroupNorm') made.push(new kernelet.GroupNorm(count % 2 === 0 ? 2 : 1, count))
    else if (kind === 'LayerNorm' || kind === 'RMSNorm') made.push(new kernelet[kind](now.slice(-2)))
    else made.push(new kernelet[kind](...options))
  }
  return new kernelet.Sequential(...made)
}

function sameBits(actual, expected, what) {
  if (actual.length !== expected.length)
    throw new Error(`${what}: ${actual.length} values, eager ${expected.length}`)
  for (let i = 0; i < actual.length; i++) {
    if (!Object.is(actual[i], expected[i]))
      throw new Error(`${what}: value ${i} is ${actual[i]}, eager ${expected[i]}`)
  }
}
