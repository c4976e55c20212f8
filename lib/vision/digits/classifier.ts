/** DigitClassifier: a picture in, a digit out. */

import { viewTensors } from '../../formats/dtype.ts'
import { readSafetensors } from '../../formats/safetensors.ts'
import { LeNet5 } from '../../models/lenet5.ts'
import { withoutInit } from '../../nn/init.ts'
import { checkOptions } from '../../util/check.ts'
import { disposable } from '../../util/dispose.ts'
import { KerneletError } from '../../util/errors.ts'
import { packageFile } from '../../util/package-files.ts'
import { show } from '../../util/show.ts'
import type { FilePath, FileSource } from '../../util/source.ts'
import { Classifier, type ClassifierResult, type ClassifyOptions } from '../classifier/classifier.ts'
import type { Box, Pixels } from '../picture/pixels.ts'
import { FIELD } from './field.ts'
import type { NormalizeOptions } from './normalize.ts'

/** What a picture shows; `status` tells which of these it is. Only for 'digit' was the network asked. */
export type Classification =
  | {
      status: 'digit'
      /** 0 to 9. */
      digit: number
      /** The digit's probability as the network sees it (calibrated, see the model card), 0 to 1. */
      confidence: number
      /** Of the ten digits, adding up to 1. */
      probabilities: Float32Array
      /** Where the digit is, in the picture's pixels: one box. */
      boxes: Box[]
    }
  | {
      status: 'no digit' | 'several digits'
      digit: null
      confidence: 0
      probabilities: null
      /** None, or one for each of several, in the picture's pixels. */
      boxes: Box[]
    }

/** Options of `DigitClassifier.load`. */
export interface DigitClassifierOptions {
  /**
   * A safetensors file (path or bytes) with the parameters of a `LeNet5(1, 10)`. Its metadata may name the
   * `mean` and `std` its training images were standardized with (without them values stay 0 … 1), and the
   * `temperature` that scores are divided by before softmax, so that confidence means what it says (Guo et al.
   * 2017). Default: the shipped weights.
   */
  weights?: FileSource | undefined
  /** As for `compile`. */
  isa?: string | undefined
  /** As for `compile`. */
  threads?: number | undefined
}

/** A file of the package. */
const shippedWeights = 'models/lenet5-mnist.safetensors'

/**
 * Reads single handwritten digits from pictures of any size, paper and pen: finds the digit, brings it into the
 * form the network was trained on, and asks the network. Says so where a picture shows no digit, or several.
 * @example
 * const digits = DigitClassifier.load()
 * const { status, digit } = await digits.classifyFile('three.png')
 * [status, digit] // → ['digit', 3]
 */
export class DigitClassifier {
  /** `dispose`, at the end of a `using` block. */
  declare readonly [Symbol.dispose]: () => void
  readonly #classifier: Classifier

  private constructor(classifier: Classifier) {
    this.#classifier = classifier
  }

  /**
   * @throws KerneletError ERR_IO, ERR_FORMAT, ERR_STATE_DICT, ERR_DTYPE for weights that cannot be read or do
   *   not fit; ERR_ISA; ERR_ARGUMENT for a wrong option
   * @example
   * DigitClassifier.load({ threads: 1 }).classify(readFileSync('three.png')).status // → 'digit'
   */
  static load(options: DigitClassifierOptions = {}): DigitClassifier {
    checkOptions('DigitClassifier.load', options, ['weights', 'isa', 'threads'])
    const { weights, isa, threads } = options
    const { network, form } = loadNetwork(weights)
    const { mean, std } = form
    const inputShape = [1, FIELD, FIELD]
    return new DigitClassifier(
      Classifier.from(network, { inputShape, fit: 'digit', mean, std, isa, threads }),
    )
  }

  /**
   * Classifies at once, on the calling thread.
   *
   * @param picture the bytes of a PNG or BMP file, or pixels
   * @throws KerneletError ERR_FORMAT for bytes that are no picture or a damaged one; ERR_UNSUPPORTED for another
   *   format (see `classifyAsync`) or a picture above 64 megapixels; ERR_SHAPE where the pixels do not fill
   *   width × height × channels; ERR_ARGUMENT; ERR_DISPOSED
   * @example
   * const digits = DigitClassifier.load()
   * digits.classify(readFileSync('three.png')).digit // → 3
   */
  classify(picture: Uint8Array | ArrayBuffer | Pixels): Classification {
    return digitOf(this.#classifier.classify(picture))
  }

  /**
   * Classifies a picture of any format that sharp reads (JPEG, WebP, AVIF, GIF, TIFF, SVG), where the package
   * `sharp` is installed; PNG, BMP and pixels without it. All but some microseconds of it is done on another thread,
   * as by `Classifier.classifyAsync`.
   *
   * @param picture the bytes of a picture file, or pixels; they must stay as they are until the promise settles
   * @throws KerneletError (by rejection) as `classify`; ERR_UNSUPPORTED where sharp is needed but not installed;
   *   ERR_ABORTED
   * @example
   * const digits = DigitClassifier.load()
   * const { digit } = await digits.classifyAsync(readFileSync('three.png'))
   * digit // → 3
   */
  async classifyAsync(
    picture: Uint8Array | ArrayBuffer | Pixels,
    options: ClassifyOptions = {},
  ): Promise<Classification> {
    return digitOf(await this.#classifier.classifyAsync(picture, options))
  }

  /**
   * Reads a picture file of any format and classifies it, as `classifyAsync`.
   *
   * @throws KerneletError (by rejection) as `classifyAsync`; ERR_IO for a file that cannot be read
   * @example
   * const digits = DigitClassifier.load()
   * const { digit } = await digits.classifyFile('three.png')
   * digit // → 3
   */
  async classifyFile(path: FilePath, options: ClassifyOptions = {}): Promise<Classification> {
    return digitOf(await this.#classifier.classifyFile(path, options))
  }

  /** Frees the network's native memory; classifying then throws ERR_DISPOSED. */
  dispose(): void {
    this.#classifier.dispose()
  }
}
disposable(DigitClassifier)

/** In the words of digits. */
function digitOf({ status, index, confidence, probabilities, boxes }: ClassifierResult): Classification {
  if (status === 'class') return { status: 'digit', digit: index, confidence, probabilities, boxes }
  const none = status === 'several' ? 'several digits' : 'no digit'
  return { status: none, digit: null, confidence: 0, probabilities: null, boxes }
}

/** A LeNet5 with its weights (default: those shipped), its scores calibrated, and the form its training images had. */
export function loadNetwork(weights?: FileSource): {
  network: LeNet5
  form: Required<NormalizeOptions>
} {
  const { tensors, metadata } = readSafetensors(weights ?? packageFile(shippedWeights))
  const network = withoutInit(() => new LeNet5())
  network.loadStateDict(viewTensors(tensors))
  const temperature = readNumber(metadata, 'temperature', 1)
  // Scores are linear in the last layer: no step of its own is needed.
  for (const { data } of network.fc3.parameters()) {
    for (let i = 0; i < data.length; i++) data[i]! /= temperature
  }
  return {
    network,
    form: { mean: readNumber(metadata, 'mean', 0), std: readNumber(metadata, 'std', 1) },
  }
}

function readNumber(metadata: Map<string, string>, name: string, fallback: number): number {
  const text = metadata.get(name)
  if (text === undefined) return fallback
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || (name !== 'mean' && value <= 0)) {
    throw new KerneletError(
      'ERR_FORMAT',
      `Expected a number for ${name} in the weights' metadata but found ${show(text)}`,
    )
  }
  return value
}
