/** What the lines of a list compute: layers, and the blocks that networks are made of. */
import { clamp, hardsigmoid, hardswish, relu, relu6, sigmoid, silu, tanh } from '../../ops/activations.ts'
import { add, mul } from '../../ops/arithmetic.ts'
import { convTranspose2d } from '../../ops/conv-transpose.ts'
import { conv2d } from '../../ops/convolution.ts'
import { linear } from '../../ops/linear.ts'
import { cat, flatten, mean, permute, reshape, slice } from '../../ops/movement.ts'
import { batchNorm } from '../../ops/normalization.ts'
import { avgPool2d, maxPool2d } from '../../ops/pooling.ts'
import { interpolate } from '../../ops/upsampling.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { bad, type Line } from './parse.ts'

/** Makes weights: uniform numbers in [low, high). */
export type Draw = (shape: readonly number[], low: number, high: number) => Tensor

/** What a layer works with. */
export interface Place {
  draw: Draw
  /** Values that `keep` gave a name. */
  kept: Map<string, Tensor>
}

type Layer = (x: Tensor, line: Line, place: Place) => Tensor

const ACTIVATIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  relu,
  relu6,
  hardswish,
  silu,
  sigmoid,
  tanh,
  clip: (x) => clamp(x, -1, 1),
}

const channelsOf = (x: Tensor): number => x.shape[1] ?? 1

function activated(x: Tensor, words: readonly string[]): Tensor {
  const word = words.find((each) => Object.hasOwn(ACTIVATIONS, each))
  return word === undefined ? x : ACTIVATIONS[word]!(x)
}

interface Convolution {
  out: number
  kernel?: readonly number[]
  stride?: number
  padding?: number | undefined
  groups?: number
  dilation?: number
}

/** Weights of the size that keeps values as large as they were, whatever the number of taps. */
function convolution(x: Tensor, words: readonly string[], { draw }: Place, spec: Convolution): Tensor {
  const { out, stride = 1, groups = 1, dilation = 1 } = spec
  const [kh = 1, kw = kh] = spec.kernel ?? [1]
  const inputs = channelsOf(x) / groups
  const reach = Math.sqrt((words.includes('relu') || words.includes('relu6') ? 6 : 3) / (inputs * kh * kw))
  const weight = draw([out, inputs, kh, kw], -reach, reach)
  const bias = words.includes('bn') ? null : draw([out], -0.1, 0.1)
  const same = (k: number): number => spec.padding ?? (dilation * (k - 1)) >> 1
  const y = conv2d(x, weight, bias, { stride, groups, dilation, padding: [same(kh), same(kw)] })
  return activated(words.includes('bn') ? normalized(y, draw) : y, words)
}

function normalized(x: Tensor, draw: Draw): Tensor {
  const channels = [channelsOf(x)]
  return batchNorm(x, draw(channels, -0.1, 0.1), draw(channels, 0.8, 1.25), {
    weight: draw(channels, 0.8, 1.2),
    bias: draw(channels, -0.1, 0.1),
  })
}

/** Factors between 0 and 1 a channel, from the means of all channels. */
function excited(x: Tensor, squeezed: number, hard: boolean, place: Place): Tensor {
  const means = mean(x, [2, 3], { keepdim: true })
  const few = convolution(means, [hard ? 'relu' : 'silu'], place, { out: squeezed })
  const factors = convolution(few, [], place, { out: channelsOf(x) })
  return mul(x, hard ? hardsigmoid(factors) : sigmoid(factors))
}

const first = (line: Line, letter: string, otherwise: number): number => line.sizes[letter]?.[0] ?? otherwise

/** Of blocks: the activation that the line names, with a batch norm before it. */
const usual = (line: Line, otherwise: string): string[] => [
  'bn',
  line.words.find((word) => Object.hasOwn(ACTIVATIONS, word)) ?? otherwise,
]

/** x as it is, or brought to another size by a 1×1 convolution. */
function shortcut(x: Tensor, out: number, stride: number, place: Place): Tensor {
  return stride === 1 && channelsOf(x) === out ? x : convolution(x, ['bn'], place, { out, stride })
}

/** Every second channel of two halves: [a b] → a0 b0 a1 b1 … */
function shuffled(x: Tensor): Tensor {
  const [n = 1, c = 1, h = 1, w = 1] = x.shape
  return reshape(permute(reshape(x, [n, 2, c / 2, h, w]), [0, 2, 1, 3, 4]), [n, c, h, w])
}

const pool =
  (of: typeof maxPool2d | typeof avgPool2d): Layer =>
  (x, line) => {
    const [kernel = 2] = line.sizes.k ?? []
    const options = { stride: first(line, 's', kernel), padding: first(line, 'p', 0) }
    return of(x, kernel, line.words.includes('ceil') ? { ...options, ceilMode: true } : options)
  }

function named({ words, place }: Line, { kept }: Place): Tensor {
  const [name = ''] = words
  const value = kept.get(name)
  if (value) return value
  throw bad(place, `'${name}' was not kept; there are ${[...kept.keys()].join(', ') || 'none'}`)
}

const layers: Readonly<Record<string, Layer>> = {
  /** k window, s stride, p padding (default: the plane stays as large), g groups, d dilation; bn. */
  conv: (x, line, place) =>
    convolution(x, line.words, place, {
      out: line.out,
      kernel: line.sizes.k ?? [1],
      stride: first(line, 's', 1),
      padding: line.sizes.p?.[0],
      groups: first(line, 'g', 1),
      dilation: first(line, 'd', 1),
    }),
  /** The same with each channel a group. */
  depthwise: (x, line, place) =>
    convolution(x, line.words, place, {
      out: channelsOf(x),
      kernel: line.sizes.k ?? [3],
      stride: first(line, 's', 1),
      groups: channelsOf(x),
    }),
  /** Transposed convolution; k window, s stride. */
  up(x, line, { draw }) {
    const [k = 2] = line.sizes.k ?? []
    const reach = Math.sqrt(3 / channelsOf(x))
    const weight = draw([channelsOf(x), line.out, k, k], -reach, reach)
    const y = convTranspose2d(x, weight, draw([line.out], -0.1, 0.1), { stride: first(line, 's', k) })
    return activated(y, line.words)
  },
  linear(x, line, { draw }) {
    const reach = Math.sqrt((line.words.includes('relu') ? 6 : 3) / channelsOf(x))
    const weight = draw([line.out, channelsOf(x)], -reach, reach)
    return activated(linear(x, weight, draw([line.out], -0.1, 0.1)), line.words)
  },
  /** k window, s stride (default k), p padding, ceil. */
  max: pool(maxPool2d),
  avg: pool(avgPool2d),
  /** Each channel's mean: [n, c]. */
  mean: (x) => mean(x, [2, 3]),
  flatten: (x) => flatten(x, 1),
  /** Nearest neighbours. */
  resize: (x, line) => interpolate(x, { scaleFactor: line.out }),
  /** Gives the value a name; `go` goes on from it, `cat` and `add` put it behind and add it. */
  keep(x, { words, place }, { kept }) {
    if (words.length !== 1) throw bad(place, 'keep takes one name')
    kept.set(words[0]!, x)
    return x
  },
  go: (_, line, place) => named(line, place),
  cat: (x, line, place) => cat([x, named(line, place)], 1),
  add: (x, line, place) => activated(add(x, named(line, place)), line.words.slice(1)),

  /** ResNet's two 3×3 with a way around them. */
  basic(x, line, place) {
    const words = usual(line, 'relu')
    const stride = first(line, 's', 1)
    const a = convolution(x, words, place, { out: line.out, kernel: [3], stride })
    const b = convolution(a, ['bn'], place, { out: line.out, kernel: [3] })
    return activated(add(b, shortcut(x, line.out, stride, place)), words)
  },
  /** ResNet's 1×1, 3×3, 1×1; m channels of the 3×3. */
  bottleneck(x, line, place) {
    const words = usual(line, 'relu')
    const stride = first(line, 's', 1)
    const middle = first(line, 'm', line.out / 4)
    const a = convolution(x, words, place, { out: middle })
    const b = convolution(a, words, place, { out: middle, kernel: [3], stride })
    const c = convolution(b, ['bn'], place, { out: line.out })
    return activated(add(c, shortcut(x, line.out, stride, place)), words)
  },
  /** MobileNet's: depthwise 3×3, then 1×1. */
  separable(x, line, place) {
    const channels = channelsOf(x)
    const wide = { out: channels, kernel: [3], stride: first(line, 's', 1), groups: channels }
    return convolution(convolution(x, line.words, place, wide), line.words, place, { out: line.out })
  },
  /** 1×1 to e channels (or t times as many), depthwise k×k, squeeze and excite by q channels, 1×1. */
  inverted(x, line, place) {
    const words = usual(line, 'relu6')
    const stride = first(line, 's', 1)
    const inputs = channelsOf(x)
    const wide = first(line, 'e', inputs * first(line, 't', 1))
    let y = wide === inputs ? x : convolution(x, words, place, { out: wide })
    y = convolution(y, words, place, { out: wide, kernel: line.sizes.k ?? [3], stride, groups: wide })
    const squeezed = first(line, 'q', 0)
    if (squeezed > 0) y = excited(y, squeezed, !words.includes('silu'), place)
    y = convolution(y, ['bn'], place, { out: line.out })
    return stride === 1 && inputs === line.out ? add(y, x) : y
  },
  /** SqueezeNet's: 1×1 to q channels, then 1×1 and 3×3 side by side. */
  fire(x, line, place) {
    const few = convolution(x, ['relu'], place, { out: first(line, 'q', line.out / 8) })
    const half = { out: line.out / 2 }
    const sides = [[1], [3]].map((kernel) => convolution(few, ['relu'], place, { ...half, kernel }))
    return cat(sides, 1)
  },
  /** ShuffleNet v2's: one half goes around, or both are halved by a stride. */
  shuffle(x, line, place) {
    const words = usual(line, 'relu')
    const stride = first(line, 's', 1)
    const half = line.out / 2
    const depthwise = (y: Tensor): Tensor =>
      convolution(y, ['bn'], place, { out: channelsOf(y), kernel: [3], stride, groups: channelsOf(y) })
    const around =
      stride === 1 ? slice(x, 1, 0, half) : convolution(depthwise(x), words, place, { out: half })
    const through = convolution(stride === 1 ? slice(x, 1, half) : x, words, place, { out: half })
    return shuffled(cat([around, convolution(depthwise(through), words, place, { out: half })], 1))
  },
}

/** Layers without a number of channels, or with another meaning of it. */
const WITHOUT_OUT = ['depthwise', 'max', 'avg', 'mean', 'flatten', 'keep', 'go', 'cat', 'add']
const FLAGS = ['bn', 'ceil']
const NAMING = ['keep', 'go', 'cat', 'add']

/** @throws KerneletError `ERR_FORMAT` for a line that makes no sense, `ERR_SHAPE` for one that does not fit */
export function layer(x: Tensor, line: Line, place: Place): Tensor {
  const { kind, words } = line
  const make = Object.hasOwn(layers, kind) ? layers[kind] : undefined
  if (!make) {
    throw bad(line.place, `there is no layer '${kind}'; there are ${Object.keys(layers).join(', ')}`)
  }
  const unknown = words
    .slice(NAMING.includes(kind) ? 1 : 0)
    .find((word) => !FLAGS.includes(word) && !Object.hasOwn(ACTIVATIONS, word))
  if (unknown !== undefined) throw bad(line.place, `'${unknown}' is no activation and no flag`)
  if (!WITHOUT_OUT.includes(kind) && Number.isNaN(line.out)) throw bad(line.place, `${kind} takes a number`)
  return make(x, line, place)
}
