/**
 * The seam to machine code: what a backend offers, as types. The native addon (node-addon.ts) is the one there is;
 * whatever else computes graphs implements `NativeAddon`.
 */
import type { KerneletError } from '../util/errors.ts'

export type Coordinates = 'asymmetric' | 'half_pixel' | 'pytorch_half_pixel' | 'align_corners' | 'step'
export type Rounding = 'floor' | 'ceil' | 'round_prefer_floor' | 'round_prefer_ceil'

/**
 * One operation of a graph, in the terms of the native core. Shapes are per image: the batch is the
 * implicit outermost dimension. `inputs` are indices of earlier nodes; node 0 is always the input.
 */
/** Floats in a file that is open: how many, and the bytes before them. */
export interface NativePlace {
  file: number
  offset: number
  length: number
}

export interface NativeNode {
  /** A name of native/graph/ops.inc; lib/graph/definition.ts has the same list. */
  op: string
  /** Name of the layer, for describe() and errors: `conv1`, `maxPool2d_2`. */
  name: string
  inputs: number[]
  /**
   * Output shape per image, rank 1 to 6. For `input` it is taken as given; elsewhere the core checks it. Where one
   * operation is evaluated, or its shape asked for: only what its inputs do not say (output channels, counts of slice).
   */
  shape?: number[] | undefined
  /**
   * conv2d [oc, ic/groups, kh, kw]; convTranspose2d [ic, oc/groups, kh, kw]; linear [out, in]; constant: its value, the same for every image; prelu [1] or
   * [channels]; batchNorm, groupNorm [channels] or none; layerNorm, rmsNorm the dimensions from axis on, or none.
   * Of conv2d and linear it may lie in a file, where the graph is compiled without int8.
   */
  weight?: Float32Array | NativePlace | undefined
  /** [oc]; of norms as their weight. */
  bias?: Float32Array | undefined
  /** batchNorm: [channels], dimension 0 of an image. */
  mean?: Float32Array | undefined
  variance?: Float32Array | undefined
  /** Norms: added to the variance. */
  epsilon?: number | undefined
  /** conv2d, pools: [h, w]. An input of [channels, length] is one of [channels, 1, length]. */
  kernelSize?: [number, number] | undefined
  stride?: [number, number] | undefined
  dilation?: [number, number] | undefined
  /** [top, left, bottom, right]. */
  padding?: [number, number, number, number] | undefined
  /** convTranspose2d: rows and columns more at the end, fewer than stride or dilation. */
  outputPadding?: [number, number] | undefined
  groups?: number | undefined
  ceilMode?: boolean | undefined
  countIncludePad?: boolean | undefined
  /** softmax, logSoftmax, concat, prod, argMax, argMin, cumSum, sort: dimension of the per-image shape; layerNorm, rmsNorm: the first one of a row. */
  axis?: number | undefined
  /**
   * leakyRelu: the slope below 0; elu; selu, with beta its scale; pow: the exponent; hardsigmoid is
   * clip(alpha·x + beta, 0, 1), clip goes from alpha to beta; scaledTanh is alpha·tanh(beta·x);
   * softplus: the factor alpha, the threshold beta; threshold: from alpha on, else beta; shrink: lambd, bias. isInf: whether
   * +∞ counts, −∞. argMax, argMin: alpha 1 takes the last of equals. sort: alpha 1 puts the largest first, beta 1 gives places.
   * cumSum: alpha 1 leaves the element out, beta 1 goes
   * from the end. 1 where not given.
   */
  alpha?: number | undefined
  beta?: number | undefined
  /** permute: dimension i of the output is dimension axes[i] of the input. */
  axes?: number[] | undefined
  /** slice: the first index of each dimension; pad: how many elements come before it (negative: are cut off). */
  starts?: number[] | undefined
  /** slice: from one index to the next, not 0. How many there are `shape` says. */
  steps?: number[] | undefined
  /**
   * upsampleNearest2d, upsampleBilinear2d: where output x lies in the input, as ONNX says it, and 'step': x times the
   * scale, which then is input pixels in one of the output's, rounded as PyTorch rounds it.
   */
  coordinates?: Coordinates | undefined
  /** upsampleNearest2d: which pixel is nearest to a place. */
  rounding?: Rounding | undefined
  /** Both: of height and width, output over input. */
  scales?: [number, number] | undefined
  /** pad: what the new elements are. */
  value?: number | undefined
  /** batchNorm while it is trained: by the batch's own statistics, towards which the running ones move by momentum. */
  training?: boolean | undefined
  momentum?: number | undefined
  /** dropout: the probability of a zero while training, in [0, 1]; plans pass values on as they are. */
  p?: number | undefined
}

export interface NativeGraph {
  nodes: NativeNode[]
  /** Index of the node whose value is the model's output. */
  output: number
}

export interface NativeCompileOptions {
  isa?: string | undefined
  /** 'auto' or the name of an algorithm. */
  algorithm?: string | undefined
  /** false keeps every op a step of its own (tests compare fused against unfused). */
  fuse?: boolean | undefined
  threads?: number | undefined
  /** The input is a Uint8Array or Uint8ClampedArray, and a value is byte * scale + shift. */
  byteInput?: boolean | undefined
  scale?: number | undefined
  shift?: number | undefined
  /** Convolutions and linear layers run on bytes where they can. `ranges`: least and largest value of each node. */
  int8?: boolean | undefined
  ranges?: Float32Array | undefined
  /** Of tuning: node, way, algorithm, strip of each step that is not left to the cost model. */
  choices?: Int32Array | undefined
  /** 1: images of a batch side by side; 0: never. */
  lanes?: number | undefined
  /** Multiply-adds from which threads share a step. */
  divideFrom?: number | undefined
  /** Tunes the plan for so many images a call: runs it for a second or two. */
  tuneBatch?: number | undefined
}

/** What tuning found: `choices`, `lanes` (−1: as the cost model says), `divideFrom` as in the options. */
export interface NativeTuning {
  choices: Int32Array
  lanes: number
  divideFrom: number
  /** Of a call. */
  untunedNs: number
  tunedNs: number
}

/** What a plan reads: floats, or bytes where it was compiled with byteInput. */
export type NativeInput = Float32Array | Uint8Array | Uint8ClampedArray

/** One step of a plan. */
export interface StepDescription {
  /** Names of the layers the step computes, in order. */
  names: string[]
  /** Their operations: ['conv2d', 'relu', 'maxPool2d']; ['reorder'] where a value is brought into another layout. */
  ops: string[]
  /** In oneDNN's letters: ic1ih28iw28oc6oh24ow24kh5kw5. */
  problem: string
  algorithm: string
  isa: string
  /** Register tile, rows × columns: '3x32', or '' where there is none. */
  tile: string
  /**
   * What is fused into the tile after the sum: 'bias+relu+maxPool2x2'. Before it: 'mul+…' where what is read is multiplied
   * by a number a channel first.
   */
  epilogue: string
  /**
   * How what it writes lies: 'planes', [c][h][w]; 'blocked', blocks of as many channels as a SIMD register has lanes;
   * 'batched', an image in each lane.
   */
  layout: 'planes' | 'blocked' | 'batched'
  /** Threads that share the step where there are fewer images than threads; 1 where it is not worth it. */
  parts: number
  /**
   * Of a 1×1 convolution and the depthwise one behind it that run depth first: so many rows of the output at a time, so
   * that what lies between the two is never stored whole.
   */
  strip?: number | undefined
  /** Of a convolution: the share of a core's peak that the cost model expects. */
  predicted?: number | undefined
  /** Of a convolution or a reorder: multiply-adds at the peak that should take as long, by the cost model. */
  cost?: number | undefined
  inputShape: number[]
  outputShape: number[]
  /** Multiply-adds per image, every tap of every window counted. */
  macs: number
  /**
   * Of a linear layer: the convolution that takes it along when an image runs alone, so that its weights come from
   * the second-level cache while that one computes. `profile` measures the two apart.
   */
  during?: string | undefined
  /** Of a step that runs in int8: a byte stands for (byte − zero) · scale. No output where it gives floats. */
  int8?: { input: Quantization; output?: Quantization } | undefined
}

/** How bytes stand for numbers: (byte − zero) · scale. */
export interface Quantization {
  scale: number
  zero: number
}

export interface NativePlan {
  /** Elements per image. */
  readonly inputLength: number
  readonly outputLength: number
  readonly outputShape: number[]
  readonly isa: string
  /** As asked for; 0: by the amount of work. */
  readonly threads: number
  /** Images of a batch that run side by side in the lanes; 0 where each runs alone. */
  readonly batchLanes: number
  readonly arenaBytes: number
  readonly weightBytes: number
  /** Where it was tuned. */
  readonly tuning?: NativeTuning | undefined
  /** Registers the buffers `execute` works on. Throws ERR_SHAPE where they are too short for `batch`. */
  bind(input: NativeInput, output: Float32Array, batch: number): void
  /** Runs the registered buffers: no argument, no look-up. The caller has checked they are not detached. */
  execute(): void
  /** Off-thread; copies the input in before it returns and the output back before it resolves. */
  runAsync(input: NativeInput, output: Float32Array, batch: number): Promise<void>
  /** Nanoseconds a step, median of `iterations` runs of one batch. */
  profile(input: NativeInput, output: Float32Array, batch: number, iterations: number): Float64Array
  /** Nanoseconds of each of `iterations` runs of one batch, timed in C++: benchmarks without the way in. */
  time(input: NativeInput, output: Float32Array, batch: number, iterations: number): Float64Array
  describe(): StepDescription[]
  /** Frees the native memory; every later call throws ERR_DISPOSED. Idempotent. */
  dispose(): void
}

/** A parameter to train: `data` is the array that nodes of the graph have as their weight or bias. */
export interface NativeTrainedParameter {
  /** For errors and reports: `conv1.weight`. */
  name: string
  /** Found in the graph by identity. A call reads it at its start and writes it at its end. */
  data: Float32Array
  /** Gets no gradient and stays as it is. */
  frozen?: boolean | undefined
  /** As many bytes as `data` has numbers: where one is 0 the gradient is 0. */
  mask?: Uint8Array | undefined
  /** Its learning rate is the step's, times this; 1 by default. */
  lrMultiplier?: number | undefined
  /** Steps taken before it began to be trained, 0 by default: its first moments are corrected as from there. */
  since?: number | undefined
}

/**
 * What is minimised, over the outputs of all images of a step (PyTorch's `reduction='mean'`).
 *
 * - `crossEntropy` (softmax over the first dimension of the output, [classes, …]): targets are class indices
 *   (Int32Array or Uint8Array, one a position) or probabilities (Float32Array, as long as the output).
 * - `mse`, `binaryCrossEntropy` (of probabilities), `binaryCrossEntropyWithLogits`: targets are a Float32Array
 *   as long as the output.
 * - `dot`: the sum of output × target, not divided by anything. Its gradient at the output is the target: for
 *   a loss computed elsewhere.
 */
export interface NativeLoss {
  kind: 'crossEntropy' | 'mse' | 'binaryCrossEntropy' | 'binaryCrossEntropyWithLogits' | 'dot'
  /** crossEntropy: the part of each target that is spread evenly over all classes, in [0, 1]. */
  labelSmoothing?: number | undefined
}

/** PyTorch's optimizers to the letter; a learning rate comes with each step. */
export interface NativeOptimizer {
  /** A name of native/kernels/train/optimizers.inc. */
  kind: string
  /** sgd; 0 by default. */
  momentum?: number | undefined
  dampening?: number | undefined
  nesterov?: boolean | undefined
  /** adam, adamW: 0.9, 0.999 and 1e-8 by default. */
  beta1?: number | undefined
  beta2?: number | undefined
  eps?: number | undefined
  /** 0 by default, also for adamW. */
  weightDecay?: number | undefined
}

export interface NativeTrainerOptions {
  parameters: NativeTrainedParameter[]
  /**
   * Running statistics: arrays that batchNorm nodes have as mean or variance. Read at the start of a call, written at
   * its end, moved by every step that updates where the node says `training`.
   */
  buffers?: { name: string; data: Float32Array }[] | undefined
  loss: NativeLoss
  optimizer: NativeOptimizer
  /** Gradients are scaled down to this norm over all parameters (after clipValue). */
  clipNorm?: number | undefined
  /** Every gradient is cut to [-clipValue, clipValue]. */
  clipValue?: number | undefined
  /** ema = ema × emaDecay + weight × (1 − emaDecay) after every step; none by default. */
  emaDecay?: number | undefined
  /** Of dropout; an integer from 0 to 2^53 − 1, 0 by default. */
  seed?: number | undefined
  /**
   * Images [channels, height, width] are varied before they are used, by (seed, epoch of the call, index of
   * the sample); levels are those after scale and shift.
   */
  augment?: NativeAugment | undefined
  /** Keeps the gradient at the input too: read('inputGradient'). */
  inputGradient?: boolean | undefined
  isa?: string | undefined
  /** 0 (default): chosen by the amount of work. The weights that come out do not depend on it. */
  threads?: number | undefined
  /** false keeps every op a step of its own: the same bits, slower (tests). */
  fuse?: boolean | undefined
}

/** Some steps. Nothing is kept of the arrays but the parameters': a call works on copies of its samples. */
export interface NativeTrainCall {
  /** All samples there are, one after another; bytes become value × scale + shift. */
  images: Float32Array | Uint8Array | Uint8ClampedArray
  /** As the loss says. */
  targets: Int32Array | Uint8Array | Float32Array
  /** Samples in the order they are used: `batch` of them a step, the last step the rest. */
  indices: Uint32Array
  batch: number
  /** One for each of the ceil(indices.length / batch) steps. */
  learningRates: ArrayLike<number>
  scale?: number | undefined
  shift?: number | undefined
  /** For augmentation: an image is a function of (seed, epoch, sample). */
  epoch?: number | undefined
  /** false: loss and gradients only; weights, optimizer and step count stay. */
  update?: boolean | undefined
  /** Measures `health` at the last step of the call. */
  health?: boolean | undefined
}

/** Figures of one step, before its update where not said otherwise. */
export interface NativeHealth {
  /** By parameter, in the order of the options. Norms are Euclidean; gradients are as they came, unclipped. */
  parameters: { gradientNorm: number; weightNorm: number; updateNorm: number }[]
  /** By node of the graph that the output depends on, in the order of the graph, the input left out. */
  nodes: {
    name: string
    op: NativeNode['op']
    /** Root of the mean square of the values. */
    rms: number
    /** Euclidean norm of the loss's gradient at the node, over the batch; 0 where none is computed. */
    gradientNorm: number
    /** Share of values that are exactly zero: dead units after a relu. */
    zeros: number
  }[]
}

export interface NativeTrainReport {
  /** Steps done: fewer than asked for after a non-finite value or interrupt(). */
  steps: number
  /** By step done. */
  losses: Float64Array
  /**
   * Right predictions: the largest output is the target's largest (or its class); with one output a sample, on
   * the target's side of 0.5 (logits: of 0).
   */
  correct: Uint32Array
  /** Over all parameters that are trained, before clipping. */
  gradientNorms: Float64Array
  health?: NativeHealth | undefined
  /**
   * The first value that was not finite: what it was, at which step of the call, in or at which node (for a
   * weight or its gradient: the parameter). That step changed nothing; weights are those of the step before.
   */
  nonFinite?:
    | { step: number; what: 'input' | 'value' | 'loss' | 'gradient' | 'weight'; where: string }
    | undefined
}

/**
 * Forward, loss, backward and optimizer for a graph. The same seed and data give the same weights at any
 * number of threads. Every call but interrupt() throws ERR_BUSY while runAsync is under way.
 */
export interface NativeTrainer {
  readonly inputLength: number
  readonly outputLength: number
  readonly isa: string
  readonly threads: number
  /** Steps taken: Adam's t, and dropout's counter. Settable, for a checkpoint. */
  step: number
  /** Takes the steps of `call` on this thread. */
  run(call: NativeTrainCall): NativeTrainReport
  /** The same off the event loop. Parameters are written when the promise resolves. */
  runAsync(call: NativeTrainCall): Promise<NativeTrainReport>
  /** The call under way ends after its current step. */
  interrupt(): void
  /**
   * Copies, one array a parameter (empty where frozen or never used): the last step's gradients, unclipped; sgd's momentum
   * buffers; Adam's first and second moments; the averaged weights. `inputGradient`: one array, the last
   * step's. An empty list where there is none of the kind.
   */
  read(kind: 'gradient' | 'momentum' | 'expAvg' | 'expAvgSq' | 'ema' | 'inputGradient'): Float32Array[]
  /** Restores what read() gave, with `step` the whole state: training goes on to the same bits. */
  write(kind: 'momentum' | 'expAvg' | 'expAvgSq' | 'ema', values: Float32Array[]): void
  dispose(): void
}

/** AugmentOptions (lib/data/augment.ts), flat. What is left out is 0; probabilities 1, sigma 4, high 1. */
export interface NativeAugment {
  /** Levels of empty paper and of full ink. */
  low?: number | undefined
  high?: number | undefined
  mnistForm?: boolean | undefined
  affineProbability?: number | undefined
  degrees?: number | undefined
  scale?: number | undefined
  stretch?: number | undefined
  shear?: number | undefined
  translate?: number | undefined
  squareProbability?: number | undefined
  square?: number | undefined
  elasticProbability?: number | undefined
  alpha?: number | undefined
  sigma?: number | undefined
  thicknessProbability?: number | undefined
  thinner?: number | undefined
  thicker?: number | undefined
  blurProbability?: number | undefined
  blur?: number | undefined
  contrastProbability?: number | undefined
  contrast?: number | undefined
  backgroundProbability?: number | undefined
  background?: number | undefined
  noiseProbability?: number | undefined
  noise?: number | undefined
}

/** Instruction sets of this binary and this machine; `isa()`. */
export interface NativeIsa {
  /** Tiers in this binary, slowest first. */
  compiled: string[]
  /** Those this CPU and operating system can run. */
  supported: string[]
  chosen: string
  /** Why: 'best supported', 'KERNELET_ISA'. */
  reason: string
}

/** CPUs of this process and threads of models; `threads()`. */
export interface NativeThreads {
  /** CPUs in this process's affinity mask. */
  affinity: number
  /** CPUs allowed by the cgroup quota, Infinity where there is none. */
  quota: number
  /** Affinity cut by the quota, at least 1: what large work is spread over. */
  usable: number
  /** What a plan gets that does not say; 0 = chosen by the amount of work. */
  default: number
}

export interface NativeAddon {
  /** Hands over the class of all errors that the addon throws; called once, before anything else. */
  initialize(error: typeof KerneletError): void
  compiler: string
  cpu: string
  /** Throws ERR_ISA where KERNELET_ISA is unknown or unsupported. */
  isa(): NativeIsa
  threads(): NativeThreads
  setThreads(count: number): void
  compile(graph: NativeGraph, options: NativeCompileOptions): NativePlan
  /** Throws ERR_UNSUPPORTED that names the node and its op where there is no backward. */
  trainer(graph: NativeGraph, options: NativeTrainerOptions): NativeTrainer
  /**
   * Variations of images [n, channels, height, width]: image i is a function of (seed, epoch, first + i).
   * `threads` 0: as many as there are CPUs.
   */
  augment(
    images: Float32Array,
    shape: readonly number[],
    options: NativeAugment,
    seed: number,
    epoch: number,
    first: number,
    threads: number,
  ): Float32Array
  /** The shape of the value that an op makes of inputs of these shapes, all per image. Throws ERR_SHAPE. */
  inferShape(node: NativeNode, inputShapes: readonly (readonly number[])[]): number[]
  /**
   * Runs one op on its own, `batch` images at a time: what the eager functions call. `inputs` has one
   * array (two or more for add and concat), `inputShapes` their shapes per image. The result's shape is per image.
   */
  evaluate(
    node: NativeNode,
    inputs: Float32Array[],
    inputShapes: readonly (readonly number[])[],
    batch: number,
    options: NativeCompileOptions,
  ): { data: Float32Array; shape: number[] }
  /** GFLOP/s of a tier's muladds, on `threads` threads together: the peak that nothing can beat. */
  measurePeak(isa: string, threads: number): number
  /** GB/s of reading `bytes` again and again on one thread. */
  measureBandwidth(isa: string, bytes: number): number
}
