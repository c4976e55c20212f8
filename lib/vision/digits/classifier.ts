/** DigitClassifier: a picture in, a digit out. */

import { type CompiledModel, compile } from '../../compile/compiled-model.ts'
import { toTensors } from '../../formats/dtype.ts'
import { readSafetensors } from '../../formats/safetensors.ts'
import { LeNet5 } from '../../models/lenet5.ts'
import { withoutInit } from '../../nn/init.ts'
import { Sequential } from '../../nn/sequential.ts'
import { Softmax } from '../../ops/activations.ts'
import { checkOptions } from '../../util/check.ts'
import { disposable } from '../../util/dispose.ts'
import { KerneletError } from '../../util/errors.ts'
import { packageFile } from '../../util/package-files.ts'
import { show } from '../../util/show.ts'
import { bytesOf, type FilePath, type FileSource } from '../../util/source.ts'
import { decodePicture, decodePictureAsync, readPicture } from '../picture/decode.ts'
import type { Box, Pixels } from '../picture/pixels.ts'
import { FIELD } from './field.ts'
import { type NormalizeOptions, normalizeDigit } from './normalize.ts'

/** What a picture shows. */
export interface Classification {
  /** Only for 'digit' was the network asked. */
  status: 'digit' | 'no digit' | 'several digits'
  /** 0 to 9, or null. */
  digit: number | null
  /** The digit's probability as the network sees it (calibrated, see the model card), 0 to 1; 0 where there is no digit. */
  confidence: number
  /** Of the ten digits, adding up to 1; null where there is no digit. */
  probabilities: Float32Array | null
  /** Where the ink is, in the picture's pixels: one box for a digit, none, or one for each of several. */
  boxes: Box[]
}

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
 */
export class DigitClassifier {
  /** `dispose`, at the end of a `using` block. */
  declare readonly [Symbol.dispose]: () => void
  readonly #model: CompiledModel
  readonly #form: NormalizeOptions

  private constructor(model: CompiledModel, form: NormalizeOptions) {
    this.#model = model
    this.#form = form
  }

  /**
   * @throws KerneletError ERR_IO, ERR_FORMAT, ERR_STATE_DICT, ERR_DTYPE for weights that cannot be read or do
   *   not fit; ERR_ISA; ERR_ARGUMENT for a wrong option
   */
  static load(options: DigitClassifierOptions = {}): DigitClassifier {
    checkOptions('DigitClassifier.load', options, ['weights', 'isa', 'threads'])
    const { weights, isa, threads } = options
    const { network, form } = loadNetwork(weights)
    const model = compile(new Sequential(network, new Softmax(1)), {
      inputShape: [1, FIELD, FIELD],
      isa,
      threads,
    })
    return new DigitClassifier(model, form)
  }

  /**
   * Classifies at once, on the calling thread.
   *
   * @param picture the bytes of a PNG file, or pixels
   * @throws KerneletError ERR_FORMAT for bytes that are no PNG or a damaged one; ERR_UNSUPPORTED for another
   *   format (see `classifyAsync`) or a picture above 64 megapixels; ERR_SHAPE where the pixels do not fill
   *   width × height × channels; ERR_ARGUMENT; ERR_DISPOSED
   */
  classify(picture: Uint8Array | ArrayBuffer | Pixels): Classification {
    const bytes = bytesOf(picture)
    return this.#classify(bytes ? decodePicture(bytes) : checkedPixels(picture, 'classify'))
  }

  /**
   * Classifies a picture of any format that sharp reads (JPEG, WebP, AVIF, GIF, TIFF, SVG), where the package
   * `sharp` is installed; PNG and pixels without it. Decoding by sharp is off this thread; the rest, some
   * microseconds to a few milliseconds, is on it.
   *
   * @param picture the bytes of a picture file, or pixels
   * @throws KerneletError (by rejection) as `classify`; ERR_UNSUPPORTED where sharp is needed but not installed
   */
  async classifyAsync(picture: Uint8Array | ArrayBuffer | Pixels): Promise<Classification> {
    const bytes = bytesOf(picture)
    return this.#classify(bytes ? await decodePictureAsync(bytes) : checkedPixels(picture, 'classifyAsync'))
  }

  /**
   * Reads a picture file of any format and classifies it, as `classifyAsync`.
   *
   * @throws KerneletError (by rejection) as `classifyAsync`; ERR_IO for a file that cannot be read
   */
  async classifyFile(path: FilePath): Promise<Classification> {
    return this.#classify(await readPicture(path))
  }

  #classify(pixels: Pixels): Classification {
    const { status, image, boxes } = normalizeDigit(pixels, this.#form)
    if (image === null) return { status, digit: null, confidence: 0, probabilities: null, boxes }
    const probabilities = this.#model.run(image).slice()
    const confidence = Math.max(...probabilities)
    return { status, digit: probabilities.indexOf(confidence), confidence, probabilities, boxes }
  }

  /** Frees the network's native memory; classifying then throws ERR_DISPOSED. */
  dispose(): void {
    this.#model.dispose()
  }
}
disposable(DigitClassifier)

/** A LeNet5 with its weights (default: those shipped), its scores calibrated, and the form its training images had. */
export function loadNetwork(weights?: FileSource): {
  network: LeNet5
  form: Required<NormalizeOptions>
} {
  const { tensors, metadata } = readSafetensors(weights ?? packageFile(shippedWeights))
  const network = withoutInit(() => new LeNet5())
  network.loadStateDict(toTensors(tensors))
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

function checkedPixels(picture: unknown, who: string): Pixels {
  if (typeof picture === 'object' && picture !== null && 'data' in picture) return picture as Pixels
  const hint = typeof picture === 'string' ? '; classifyFile reads a file by its path' : ''
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: expected the bytes of a picture file or { data, width, height, channels } but received ` +
      `${show(picture)}${hint}`,
  )
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
