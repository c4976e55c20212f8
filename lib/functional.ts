/**
 * The functions of `torch.nn.functional` in camelCase. On tensors with values each is one native call; on
 * the stand-ins of a trace each adds a node to the graph.
 *
 * All of them throw KerneletError: `ERR_ARGUMENT` for an argument of the wrong type or value, `ERR_SHAPE` for
 * shapes that do not fit, `ERR_UNSUPPORTED` for what a trace cannot record.
 */
import { KerneletError } from './errors.ts'
import { SymbolicTensor, type Tracer } from './graph.ts'
import { native } from './native.ts'
import { attached, inferShape, type Operation, title, toNative } from './operation.ts'
import { checkOptions } from './options.ts'
import { defaultGenerator } from './random.ts'
import { formatShape, normaliseDim, type Pair, pair, sameShape, show, size, windowExtent } from './shapes.ts'
import { Tensor } from './tensor.ts'

/** Options of `conv2d`. */
export interface Conv2dOptions {
  /** Step of the window; default 1. */
  stride?: Pair | undefined
  /** Rows and columns of zeros added on every side; default 0. */
  padding?: Pair | undefined
  /** Distance between the taps; default 1. */
  dilation?: Pair | undefined
  /** Channels are split into this many groups that do not see each other; default 1. */
  groups?: number | undefined
}

/** Options of `maxPool2d`. */
export interface MaxPool2dOptions {
  /** Step of the window; default: the kernel size. */
  stride?: Pair | undefined
  /** Rows and columns of −∞ added on every side, at most half the window; default 0. */
  padding?: Pair | undefined
  /** Distance between the taps; default 1. */
  dilation?: Pair | undefined
  /** Lets a last window hang over the edge; default false. */
  ceilMode?: boolean | undefined
}

/** Options of `avgPool2d`. */
export interface AvgPool2dOptions {
  /** Step of the window; default: the kernel size. */
  stride?: Pair | undefined
  /** Rows and columns of zeros added on every side, at most half the window; default 0. */
  padding?: Pair | undefined
  /** Lets a last window hang over the edge; default false. */
  ceilMode?: boolean | undefined
  /** Whether the zeros of the padding count in the mean; default true. */
  countIncludePad?: boolean | undefined
}

/**
 * 2-D convolution (cross-correlation), `torch.nn.functional.conv2d`.
 *
 * @param input [n, ic, h, w], or one image [ic, h, w]
 * @param weight [oc, ic / groups, kh, kw]
 * @param bias [oc], or none
 * @returns [n, oc, oh, ow] with `oh = floor((h + 2·padding − dilation·(kh − 1) − 1) / stride) + 1`
 */
export function conv2d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: Conv2dOptions = {},
): Tensor {
  checkOptions('conv2d', options, ['stride', 'padding', 'dilation', 'groups'])
  const [out, , height, width] = checkWeight(
    'Conv2d: weight',
    weight,
    4,
    '[out, in / groups, height, width]',
  ).shape
  const groups = size(options.groups ?? 1, 'Conv2d: groups', 1)
  if ((out as number) % groups !== 0) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Conv2d: ${out} output channels cannot be split into ${groups} groups`,
    )
  }
  return apply(
    {
      op: 'conv2d',
      weight,
      bias: checkBias('Conv2d: bias', bias, weight),
      kernelSize: [height as number, width as number],
      stride: pair(options.stride ?? 1, 'Conv2d: stride', 1),
      padding: allSides(pair(options.padding ?? 0, 'Conv2d: padding', 0)),
      dilation: pair(options.dilation ?? 1, 'Conv2d: dilation', 1),
      groups,
    },
    [input],
  )
}

/** Padding as the native core takes it: [top, left, bottom, right]. */
function allSides([height, width]: [number, number]): [number, number, number, number] {
  return [height, width, height, width]
}

/**
 * Largest value of every window, `torch.nn.functional.max_pool2d`. A NaN in the window wins.
 *
 * @param input [n, c, h, w], or one image [c, h, w]
 * @returns [n, c, oh, ow]
 */
export function maxPool2d(input: Tensor, kernelSize: Pair, options: MaxPool2dOptions = {}): Tensor {
  return apply(maxPool2dOperation(kernelSize, options), [input])
}

/** The operation of `maxPool2d` from its arguments, checked. */
export function maxPool2dOperation(kernelSize: Pair, options: MaxPool2dOptions): Operation {
  checkOptions('MaxPool2d', options, ['stride', 'padding', 'dilation', 'ceilMode'])
  return { op: 'maxPool2d', ...poolAttributes('MaxPool2d', kernelSize, options) }
}

/**
 * Mean of every window, `torch.nn.functional.avg_pool2d`.
 *
 * @param input [n, c, h, w], or one image [c, h, w]
 * @returns [n, c, oh, ow]
 */
export function avgPool2d(input: Tensor, kernelSize: Pair, options: AvgPool2dOptions = {}): Tensor {
  return apply(avgPool2dOperation(kernelSize, options), [input])
}

/** The operation of `avgPool2d` from its arguments, checked. */
export function avgPool2dOperation(kernelSize: Pair, options: AvgPool2dOptions): Operation {
  checkOptions('AvgPool2d', options, ['stride', 'padding', 'ceilMode', 'countIncludePad'])
  const countIncludePad = flag(options.countIncludePad ?? true, 'AvgPool2d: countIncludePad')
  return { op: 'avgPool2d', ...poolAttributes('AvgPool2d', kernelSize, options), countIncludePad }
}

function poolAttributes(who: string, kernelSize: Pair, options: MaxPool2dOptions): Partial<Operation> {
  const kernel = pair(kernelSize, `${who}: kernelSize`, 1)
  const padding = pair(options.padding ?? 0, `${who}: padding`, 0)
  const dilation = pair(options.dilation ?? 1, `${who}: dilation`, 1)
  for (const [i, pad] of padding.entries()) {
    // PyTorch's rule: otherwise a window could lie in the padding altogether.
    const extent = windowExtent(kernel[i] as number, dilation[i] as number)
    if (pad > extent / 2) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `${who}: padding ${pad} is more than half the window of ${extent}`,
      )
    }
  }
  return {
    kernelSize: kernel,
    stride: pair(options.stride ?? kernel, `${who}: stride`, 1),
    padding: allSides(padding),
    dilation,
    ceilMode: flag(options.ceilMode ?? false, `${who}: ceilMode`),
  }
}

function flag(value: unknown, what: string): boolean {
  if (typeof value === 'boolean') return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be true or false but is ${show(value)}`)
}

/**
 * `input · weightᵀ + bias` over the last dimension, `torch.nn.functional.linear`.
 *
 * @param input [..., in]
 * @param weight [out, in]
 * @param bias [out], or none
 * @returns [..., out]
 */
export function linear(input: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  return apply(
    {
      op: 'linear',
      weight: checkWeight('Linear: weight', weight, 2, '[out, in]'),
      bias: checkBias('Linear: bias', bias, weight),
    },
    [input],
  )
}

/** `max(x, 0)` of every value; NaN stays NaN. `torch.nn.functional.relu`. */
export function relu(input: Tensor): Tensor {
  return apply({ op: 'relu' }, [input])
}

/** Hyperbolic tangent of every value, `torch.tanh`. */
export function tanh(input: Tensor): Tensor {
  return apply({ op: 'tanh' }, [input])
}

/** `1 / (1 + e⁻ˣ)` of every value, `torch.sigmoid`. */
export function sigmoid(input: Tensor): Tensor {
  return apply({ op: 'sigmoid' }, [input])
}

/** `eˣ / Σ eˣ` along `dim` (negative: from the end), `torch.nn.functional.softmax`. */
export function softmax(input: Tensor, dim: number): Tensor {
  return apply({ op: 'softmax', axis: axisOf(input, dim, 'Softmax: dim') }, [input])
}

/** `x − log Σ eˣ` along `dim` (negative: from the end), `torch.nn.functional.log_softmax`. */
export function logSoftmax(input: Tensor, dim: number): Tensor {
  return apply({ op: 'logSoftmax', axis: axisOf(input, dim, 'LogSoftmax: dim') }, [input])
}

/**
 * Merges the dimensions from `startDim` to the last, `torch.flatten`. The result shares the input's data.
 *
 * @param startDim default 0: everything, as in PyTorch; 1 keeps the batch
 */
export function flatten(input: Tensor, startDim = 0): Tensor {
  return apply({ op: 'flatten', axis: axisOf(input, startDim, 'Flatten: startDim') }, [input])
}

/** Sum of two tensors of one shape, `torch.add` (without broadcasting). */
export function add(a: Tensor, b: Tensor): Tensor {
  return apply({ op: 'add' }, [a, b])
}

/** Joins tensors along `dim` (negative: from the end), `torch.cat`. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  const first = Array.isArray(tensors) ? tensors[0] : undefined
  if (first === undefined) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `cat: expected an array of one or more tensors but received ${show(tensors)}`,
    )
  }
  return apply({ op: 'concat', axis: axisOf(first, dim, 'cat: dim') }, tensors)
}

/**
 * Mean over the batch of `−log softmax(input)[target]`, `torch.nn.functional.cross_entropy`.
 *
 * @param input scores [n, classes], or [classes] for one image
 * @param target the right class of each image: n integers from 0 to classes − 1
 * @returns a scalar
 */
export function crossEntropy(input: Tensor, target: Tensor | Int32Array | readonly number[]): Tensor {
  const rank = checkTensor('crossEntropy', input).shape.length
  if (rank !== 1 && rank !== 2) {
    throw new KerneletError(
      'ERR_SHAPE',
      `crossEntropy expects scores of shape [n, classes] but receives ${formatShape(input.shape)}`,
    )
  }
  const [count, classes] = (rank === 2 ? input.shape : [1, ...input.shape]) as [number, number]
  const labels = target instanceof Tensor ? attached(target, 'crossEntropy: target') : target
  if (labels?.length !== count) {
    throw new KerneletError(
      'ERR_SHAPE',
      `crossEntropy expects ${count} targets, one for each row of its input, but receives ${labels?.length}`,
    )
  }
  const logProbabilities = logSoftmax(input, -1).data
  let sum = 0
  for (const [i, label] of labels.entries()) {
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `crossEntropy: target ${i} must be a class from 0 to ${classes - 1} but is ${show(label)}`,
      )
    }
    sum -= logProbabilities[i * classes + label] as number
  }
  return new Tensor(Float32Array.of(sum / count), [])
}

/**
 * Zeros in the place of values drawn with probability `p`, the others multiplied by 1 / (1 − p),
 * `torch.nn.functional.dropout`. Drawn from the generator that `manualSeed` seeds. A compiled model drops nothing; a
 * Trainer draws natively, by its own seed.
 *
 * @param training false: the input as it is
 */
export function dropout(input: Tensor, p = 0.5, training = true): Tensor {
  checkTensor('dropout', input)
  if (!(p >= 0 && p <= 1)) {
    throw new KerneletError('ERR_ARGUMENT', `Dropout: p must be a number from 0 to 1 but is ${show(p)}`)
  }
  if (!training || p === 0) return input
  if (input instanceof SymbolicTensor) return apply({ op: 'dropout', p }, [input])
  const generator = defaultGenerator()
  const kept = p === 1 ? 0 : 1 / (1 - p)
  const values = attached(input, 'dropout').map((value) => (generator.uniform() < p ? 0 : value * kept))
  return new Tensor(values, input.shape)
}

const noOrigin = (shapes: readonly (readonly number[])[]) => (input: number) =>
  `input ${formatShape(shapes[input] as readonly number[])}`

/** Runs an operation, or records it where the inputs are stand-ins. */
export function apply(operation: Operation, inputs: readonly Tensor[]): Tensor {
  const who = title(operation.op)
  const tracer = inputs.map((input) => checkTensor(who, input)).reduce(tracerOf, undefined)
  if (tracer) return tracer.record(operation, inputs)

  // Convolution and pooling work image by image; to everything else the batch is a dimension like any other.
  const whole = inputs.map((input) => [...input.shape])
  const batched = operation.op in windowed && whole[0]?.length === 4
  const batch = batched ? (whole[0]?.[0] as number) : 1
  const shapes = whole.map((shape) => (batched ? shape.slice(1) : shape.length === 0 ? [1] : shape))
  const shape = inferShape(operation, shapes, { prefix: '', origin: noOrigin(whole) })
  const data = inputs.map((input) => attached(input, who))
  const outputShape = batched
    ? [batch, ...shape]
    : whole[0]?.length === 0 && operation.op !== 'flatten'
      ? []
      : shape
  if (operation.op === 'flatten') return new Tensor(data[0] as Float32Array, outputShape)
  const node = toNative(operation, who, [...inputs.keys()], shape)
  return new Tensor(native().evaluate(node, data, shapes, batch, {}), outputShape)
}

const windowed: Partial<Record<Operation['op'], true>> = { conv2d: true, maxPool2d: true, avgPool2d: true }

function tracerOf(found: Tracer | undefined, input: Tensor): Tracer | undefined {
  return found ?? (input instanceof SymbolicTensor ? input.tracer : undefined)
}

function checkTensor(who: string, value: unknown): Tensor {
  if (value instanceof Tensor) return value
  const hint = ArrayBuffer.isView(value) ? '; wrap it: new Tensor(data, shape)' : ''
  throw new KerneletError('ERR_ARGUMENT', `${who}: expected a Tensor but received ${show(value)}${hint}`)
}

function checkWeight(what: string, value: unknown, rank: number, form: string): Tensor {
  const weight = checkTensor(what, value)
  if (weight.shape.length !== rank) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${what} must have the shape ${form} but has ${formatShape(weight.shape)}`,
    )
  }
  return constant(what, weight)
}

function checkBias(what: string, value: unknown, weight: Tensor): Tensor | undefined {
  if (value === undefined || value === null) return undefined
  const bias = checkTensor(what, value)
  if (!sameShape(bias.shape, weight.shape.slice(0, 1))) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${what} must have the shape ${formatShape(weight.shape.slice(0, 1))} but has ${formatShape(bias.shape)}`,
    )
  }
  return constant(what, bias)
}

function constant(what: string, tensor: Tensor): Tensor {
  if (!(tensor instanceof SymbolicTensor)) return tensor
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${what} is computed from the model's input; it must be a constant`,
  )
}

/** `dim` as an axis of the shape the operation works on: in a trace that is the shape of one image. */
function axisOf(input: Tensor, dim: number, what: string): number {
  const rank = Math.max(checkTensor(what, input).shape.length, 1)
  const axis = normaliseDim(dim, rank, what)
  if (!(input instanceof SymbolicTensor)) return axis
  if (axis > 0) return axis - 1
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${what} 0 would mix the images of a batch, which a compiled model keeps apart; dimensions of one image begin at 1`,
  )
}
