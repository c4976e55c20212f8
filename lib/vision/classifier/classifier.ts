/** Classifier: a picture in, a class out, by any network. */

import { type CompiledModel, compile } from '../../compile/compiled-model.ts'
import { type Graph, graphShapes, trace } from '../../graph/graph.ts'
import { Summary } from '../../graph/summary.ts'
import { Module } from '../../nn/module.ts'
import { div, softmax } from '../../ops/index.ts'
import { checkShape, formatShape } from '../../tensor/shape.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { checkOptions, flag, isInteger, itemsOf, signalOf } from '../../util/check.ts'
import { disposable } from '../../util/dispose.ts'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { packageFile } from '../../util/package-files.ts'
import { show } from '../../util/show.ts'
import { bytesOf, checkFilePath, type FilePath, type FileSource } from '../../util/source.ts'
import { type Box, checkPixels, largestFile, MAX_PIXELS, type Pixels } from '../picture/pixels.ts'
import { type KnownNetwork, knownOf, readNetwork } from './network.ts'
import { pictures } from './pool.ts'
import { type Preparation, type PreparationParts, preparationFor } from './preparation.ts'
import type { Prepared } from './prepare.ts'
import { type Limits, type Picture, prepareNow, type Work } from './work.ts'

/** What a Classifier says of a picture; `status` tells which of these it is. */
export type ClassifierResult =
  | {
      /** The picture shows one of the classes. */
      status: 'class'
      /** Its name. */
      label: string
      /** Its place among the labels. */
      index: number
      /** Its probability as the network sees it, 0 to 1. */
      confidence: number
      /** Of all classes, in the order of the labels. */
      probabilities: Float32Array
      /** Where in the picture the network looked, in the picture's pixels. */
      boxes: Box[]
    }
  | {
      /** No class is as probable as the threshold asks for; `confidence` is the most probable one's. */
      status: 'unsure'
      label: null
      index: null
      confidence: number
      probabilities: Float32Array
      boxes: Box[]
    }
  | {
      /** With fit 'digit': there is no ink (`nothing`), or several signs, with a box for each. */
      status: 'nothing' | 'several'
      label: null
      index: null
      confidence: 0
      probabilities: null
      boxes: Box[]
    }

/** Options of a Classifier. What is left out is taken from the metadata of the weights, else from the network. */
export interface ClassifierOptions {
  /** Names of the classes, in the order of the network's outputs; else '0', '1', … */
  labels?: readonly string[] | undefined
  /** Of the network: [channels, height, width]. Needed where the file does not fix it. */
  inputShape?: readonly number[] | undefined
  /**
   * How a picture comes to that size: `digit` as MNIST was made (28×28 only, and then the default), `crop` (else the
   * default): the middle of it, `pad`: all of it with black margins, `stretch`: all of it, out of proportion.
   */
  fit?: Preparation['fit'] | undefined
  /** The channels of the network: grey, rgb or bgr. Default: by their number. */
  colour?: Preparation['colour'] | undefined
  /** Taken off the values, which are 0 … 1: a number, or one a channel. Default 0. */
  mean?: number | readonly number[] | undefined
  /** What is left is divided by this: a number, or one a channel. Default 1. */
  std?: number | readonly number[] | undefined
  /** Divides scores before softmax, so that confidence means what it says (Guo et al. 2017). Default 1. */
  temperature?: number | undefined
  /** Less confidence than this is `unsure`: 0 (default) to 1. */
  threshold?: number | undefined
  /** What the network gives: 'scores', of which softmax makes probabilities, or these. Default: by its last operation. */
  outputs?: 'scores' | 'probabilities' | undefined
  /** Larger pictures are refused before they are decoded; default, and at most, 64 million pixels. */
  maxPixels?: number | undefined
  /** Larger files are refused before they are read; default, and at most, a gigabyte. */
  maxBytes?: number | undefined
  /** As for `compile`. */
  isa?: string | undefined
  /** As for `compile`. */
  threads?: number | undefined
}

/** Options of `Classifier.load`. */
export interface ClassifierLoadOptions extends ClassifierOptions {
  /** The network whose weights the file holds, where it is not one of this library: they are loaded into it. */
  network?: Module | undefined
}

/** Options of `classifyAsync` and `classifyFile`. */
export interface ClassifyOptions {
  /** Gives up with `ERR_ABORTED`, whether the picture still waits or is being decoded. */
  signal?: AbortSignal | undefined
  /** Hands the picture's memory over instead of copying it, where it has a buffer to itself: that is empty then. */
  transfer?: boolean | undefined
}

/**
 * Tells what pictures show: a network with its labels and with all it takes to make its input of a picture of any
 * size. `DigitClassifier` is one for digits.
 * @example
 * const net = Classifier.from(LeNet5.pretrained(), { inputShape: [1, 28, 28] })
 * net.labels.length // → 10
 */
export class Classifier {
  /** `dispose`, at the end of a `using` block. */
  declare readonly [Symbol.dispose]: () => void
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[]
  /** Of the network: [channels, height, width]. */
  readonly inputShape: readonly number[]
  /** How a picture becomes the network's input. */
  readonly preparation: Readonly<Preparation>
  /** Less confidence than this is `unsure`. */
  readonly threshold: number
  readonly #model: CompiledModel
  readonly #limits: Limits
  /** Multiply-adds of the network. */
  readonly #macs: number

  private constructor(parts: Parts) {
    if (!(parts instanceof Parts)) {
      throw new KerneletError('ERR_ARGUMENT', 'Classifier.load or Classifier.from makes a Classifier')
    }
    this.labels = parts.labels
    this.inputShape = parts.inputShape
    this.preparation = parts.preparation
    this.threshold = parts.threshold
    this.#model = parts.model
    this.#limits = parts.limits
    this.#macs = parts.macs
  }

  /**
   * Reads a network from a file: safetensors that `kernelet train` wrote (with its labels and preparation), or ONNX;
   * with `network` the weights of that one, in safetensors or a file of torch.save. Default: the shipped digits.
   *
   * @throws KerneletError ERR_IO, ERR_FORMAT, ERR_STATE_DICT, ERR_DTYPE, ERR_UNSUPPORTED for a file that cannot be
   *   read or does not fit; ERR_SHAPE for a network that takes no pictures, or gives no scores; ERR_ISA; ERR_ARGUMENT
   *   for a wrong option
   * @example
   * Classifier.load().labels.length // → 10
   */
  static load(file: FileSource = packageFile(shipped), options: ClassifierLoadOptions = {}): Classifier {
    checkOptions('Classifier.load', options, [...optionNames, 'network'])
    return new Classifier(new Parts('Classifier.load', readNetwork(file, options.network), options))
  }

  /**
   * Makes a classifier of a network in memory. The weights are copied.
   *
   * @throws KerneletError as `load`
   * @example
   * Classifier.from(new LeNet5(1, 2), { inputShape: [1, 28, 28], labels: ['cat', 'dog'] }).labels // → ['cat', 'dog']
   */
  static from(model: Module, options: ClassifierOptions = {}): Classifier {
    checkOptions('Classifier.from', options, optionNames)
    if (!(model instanceof Module)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `Classifier.from: expected a Module but received ${show(model)}`,
      )
    }
    return new Classifier(new Parts('Classifier.from', knownOf(model), options))
  }

  /**
   * Classifies at once, on the calling thread, which waits: some tens of microseconds for a small picture, some tens of
   * milliseconds for a large PNG.
   *
   * @param picture the bytes of a PNG or BMP file, or pixels
   * @throws KerneletError ERR_FORMAT for bytes that are no picture or a damaged one; ERR_UNSUPPORTED for another
   *   format (see `classifyAsync`) or a picture above `maxPixels` or `maxBytes`; ERR_SHAPE where the pixels do not fill
   *   width × height × channels; ERR_ARGUMENT; ERR_DISPOSED
   * @example
   * const net = Classifier.load()
   * net.classify(readFileSync('three.png')).label // → '3'
   */
  classify(picture: Uint8Array | ArrayBuffer | Pixels): ClassifierResult {
    return this.#result(prepareNow(this.#work(pictureOf(picture, 'classify'))))
  }

  /**
   * Classifies a picture of any format that sharp reads (JPEG, WebP, AVIF, GIF, TIFF, SVG), where the package `sharp`
   * is installed; PNG, BMP and pixels without it. It is decoded and prepared on another thread, of which there are as
   * many as the machine has cores (`setPictureThreads`); pictures wait in line for one. On this thread are left the
   * network, and copying what lies in memory: half a megabyte at a time, between other events. What is in a
   * SharedArrayBuffer is not copied. Until the promise settles the picture must stay as it is.
   *
   * @param picture the bytes of a picture file, or pixels
   * @throws KerneletError (by rejection) as `classify`; ERR_UNSUPPORTED where sharp is needed but not installed;
   *   ERR_ABORTED
   * @example
   * const net = Classifier.load()
   * const { label } = await net.classifyAsync(readFileSync('three.png'), { signal: AbortSignal.timeout(60_000) })
   * label // → '3'
   */
  async classifyAsync(
    picture: Uint8Array | ArrayBuffer | Pixels,
    options: ClassifyOptions = {},
  ): Promise<ClassifierResult> {
    return this.#prepareAndRun(pictureOf(picture, 'classifyAsync'), options, 'classifyAsync')
  }

  /**
   * Reads a picture file of any format and classifies it, as `classifyAsync`. Reading, too, is done on another thread.
   *
   * @throws KerneletError (by rejection) as `classifyAsync`; ERR_IO for a file that cannot be read
   * @example
   * const net = Classifier.load()
   * const { label } = await net.classifyFile('three.png')
   * label // → '3'
   */
  async classifyFile(path: FilePath, options: ClassifyOptions = {}): Promise<ClassifierResult> {
    return this.#prepareAndRun(checkFilePath(path, 'The picture'), options, 'classifyFile')
  }

  async #prepareAndRun(picture: Picture, options: ClassifyOptions, who: string): Promise<ClassifierResult> {
    checkOptions(who, options, ['signal', 'transfer'])
    const signal = signalOf(options.signal, `${who}: signal`)
    const handOver = flag(options.transfer ?? false, `${who}: transfer`)
    const prepared = await pictures.prepare(this.#work(picture), signal, handOver)
    if (prepared.image === null || this.#macs <= MOST_HERE) return this.#result(prepared)
    return this.#judged(await this.#model.runAsync(prepared.image), prepared.boxes)
  }

  #work(picture: Picture): Work {
    return { picture, preparation: this.preparation, limits: this.#limits }
  }

  #result({ found, image, boxes }: Prepared): ClassifierResult {
    if (image === null) {
      return { status: found, label: null, index: null, confidence: 0, probabilities: null, boxes }
    }
    return this.#judged(this.#model.run(image).slice(), boxes)
  }

  #judged(probabilities: Float32Array, boxes: Box[]): ClassifierResult {
    const confidence = Math.max(...probabilities)
    if (!(confidence >= this.threshold)) {
      return { status: 'unsure', label: null, index: null, confidence, probabilities, boxes }
    }
    const index = probabilities.indexOf(confidence)
    return { status: 'class', label: this.labels[index] ?? '', index, confidence, probabilities, boxes }
  }

  /** Frees the network's native memory; classifying then throws ERR_DISPOSED. */
  dispose(): void {
    this.#model.dispose()
  }
}
disposable(Classifier)

/** What a Classifier is made of, checked. */
class Parts {
  readonly labels: readonly string[]
  readonly inputShape: readonly number[]
  readonly preparation: Readonly<Preparation>
  readonly threshold: number
  readonly limits: Limits
  readonly model: CompiledModel
  readonly macs: number

  constructor(who: string, known: KnownNetwork, options: ClassifierOptions) {
    const given = options.inputShape ?? known.inputShape
    if (given === undefined) {
      throw new KerneletError('ERR_ARGUMENT', `${who}: inputShape, such as [3, 224, 224], is needed`)
    }
    const inputShape = checkShape(given, `${who}: inputShape`)
    this.preparation = Object.freeze(preparationFor(who, inputShape, partsOf(options, known)))
    this.inputShape = Object.freeze([...inputShape])
    this.threshold = ratio(options.threshold ?? known.threshold ?? 0, `${who}: threshold`)
    const temperature = above0(options.temperature ?? known.temperature ?? 1, `${who}: temperature`)
    this.limits = {
      pixels: most(options.maxPixels, MAX_PIXELS, `${who}: maxPixels`),
      bytes: most(options.maxBytes, largestFile, `${who}: maxBytes`),
    }
    const graph = withProbabilities(who, known.model, inputShape, temperature, options.outputs)
    const { output } = graphShapes(graph)
    const [classes = 0] = output
    if (output.length !== 1 || classes < 2) {
      throw new KerneletError(
        'ERR_SHAPE',
        `${who}: expected a network that gives a score for each class, of which there are two or more, but it gives ` +
          formatShape(output),
      )
    }
    const labels = options.labels ?? known.labels ?? Array.from({ length: classes }, (_, i) => String(i))
    this.labels = Object.freeze(labelsOf(labels, classes, who))
    this.macs = new Summary(graph).macs
    this.model = compile(graph, { isa: options.isa, threads: options.threads })
  }
}

/**
 * How many threads decode pictures for `classifyAsync` and `classifyFile`, at most; default: as many as the machine has
 * cores. A process of several that share the machine, as of node:cluster, takes fewer.
 *
 * @throws KerneletError ERR_ARGUMENT for what is no number from 1 to 256
 * @example setPictureThreads(2)   // decode at most two pictures at once
 */
export function setPictureThreads(count: number): void {
  if (!isInteger(count) || count < 1 || count > 256) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `setPictureThreads: expected an integer from 1 to 256 but received ${show(count)}`,
    )
  }
  pictures.size = count
}

/** Multiply-adds of a network that runs on the event loop: a fraction of a millisecond. Others run beside it. */
const MOST_HERE = 5_000_000

/** A file of the package. */
const shipped = 'models/lenet5-mnist.safetensors'

const optionNames = [
  'labels',
  'inputShape',
  'fit',
  'colour',
  'mean',
  'std',
  'temperature',
  'threshold',
  'outputs',
  'maxPixels',
  'maxBytes',
  'isa',
  'threads',
] as const

function partsOf(options: PreparationParts, known: PreparationParts): PreparationParts {
  return {
    fit: options.fit ?? known.fit,
    colour: options.colour ?? known.colour,
    mean: options.mean ?? known.mean,
    std: options.std ?? known.std,
  }
}

/** A network, and probabilities of what it gives. */
class Probabilities extends Module {
  readonly network: Module
  readonly #temperature: number

  constructor(network: Module, temperature: number) {
    super()
    this.network = network
    this.#temperature = temperature
  }

  forward(x: Tensor): Tensor {
    const scores = this.network.forward(x)
    return softmax(this.#temperature === 1 ? scores : div(scores, this.#temperature), 1)
  }
}

/** The network as a graph whose output are probabilities. */
function withProbabilities(
  who: string,
  model: Module,
  inputShape: readonly number[],
  temperature: number,
  outputs: unknown,
): Graph {
  if (outputs !== undefined && outputs !== 'scores' && outputs !== 'probabilities') {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: outputs must be 'scores' or 'probabilities' but is ${show(outputs)}`,
    )
  }
  const graph = trace(model, inputShape)
  const last = graph.nodes[graph.output]?.op
  const done = outputs === undefined ? last === 'softmax' || last === 'sigmoid' : outputs === 'probabilities'
  if (!done) return trace(new Probabilities(model, temperature), inputShape)
  if (temperature === 1) return graph
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: temperature ${temperature} goes with scores, but the network gives probabilities`,
  )
}

function labelsOf(given: unknown, classes: number, who: string): string[] {
  const labels = itemsOf(given, 2 ** 20)
  if (!labels?.every((one): one is string => typeof one === 'string')) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: labels must be names but is ${show(given)}`)
  }
  if (labels.length === classes) return labels
  throw new KerneletError(
    'ERR_SHAPE',
    `${who}: the network has ${classes} outputs but there are ${labels.length} labels`,
  )
}

function ratio(value: unknown, what: string): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a number from 0 to 1 but is ${show(value)}`)
}

function above0(value: unknown, what: string): number {
  if (typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a number above 0 but is ${show(value)}`)
}

function most(value: unknown, largest: number, what: string): number {
  if (value === undefined) return largest
  if (isInteger(value) && value >= 1 && value <= largest) return value
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${what} must be an integer from 1 to ${largest} but is ${show(value)}`,
  )
}

function pictureOf(picture: unknown, who: string): Picture {
  const bytes = bytesOf(picture)
  if (bytes) return bytes
  if (typeof picture === 'object' && picture !== null && 'data' in picture) {
    const pixels = partsOfPixels(picture as Pixels, who)
    checkPixels(pixels)
    return pixels
  }
  const hint = typeof picture === 'string' ? '; classifyFile reads a file by its path' : ''
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: expected the bytes of a picture file or { data, width, height, channels } but received ` +
      `${show(picture)}${hint}`,
  )
}

/** The parts, each read once: they may be getters, as an ImageData's are. */
function partsOfPixels(picture: Pixels, who: string): Pixels {
  try {
    const { data, width, height, channels = 4 } = picture
    return { data, width, height, channels }
  } catch (cause) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: the picture cannot be read: ${messageOf(cause)}`, {
      cause,
    })
  }
}
