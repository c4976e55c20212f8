/** A network that classifies pictures, out of a file: what it computes, and what is known of its input and output. */

import { viewTensors } from '../../formats/dtype.ts'
import { loadOnnx, OnnxModel } from '../../formats/onnx/load.ts'
import { readSafetensors } from '../../formats/safetensors.ts'
import { readSource } from '../../formats/source.ts'
import { readTorch } from '../../formats/torch/load.ts'
import { loadNamedModel } from '../../models/by-name.ts'
import { Module } from '../../nn/module.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import type { FileSource } from '../../util/source.ts'
import type { PreparationParts } from './preparation.ts'

/** What is known of a network; what is not is undefined. */
export interface KnownNetwork extends PreparationParts {
  model: Module
  /** Of one image. */
  inputShape?: readonly number[] | undefined
  labels?: readonly string[] | undefined
  temperature?: number | undefined
  threshold?: number | undefined
}

/**
 * The network of a file: ONNX, or safetensors of a network of this library; with `network` also the weights of that
 * one, in safetensors or a file of torch.save.
 *
 * @throws KerneletError as `loadOnnx`, `loadSafetensors`, `loadTorch`; `ERR_FORMAT` for metadata that is damaged
 */
export function readNetwork(source: FileSource, network?: Module): KnownNetwork {
  const { bytes, name } = readSource('Classifier.load', source, 'weights')
  if (network !== undefined) {
    if (!(network instanceof Module)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `Classifier.load: network must be a Module but is ${show(network)}`,
      )
    }
    const { tensors, metadata } = isTorch(bytes) ? readTorch(source) : readSafetensors(source)
    for (const key of tensors.keys()) if (key.startsWith('@')) tensors.delete(key)
    network.loadStateDict(viewTensors(tensors))
    return { model: network, ...knownFrom(metadata, name) }
  }
  if (isTorch(bytes)) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${name} is a file of torch.save, which holds weights alone: Classifier.load(file, { network }) reads it into ` +
        'a network, or export the network to ONNX',
    )
  }
  if (isOnnx(bytes)) {
    const model = loadOnnx(source)
    return { model, inputShape: model.inputShape, ...knownFrom(model.metadata, name) }
  }
  const { model, channels, metadata } = loadNamedModel(source)
  return { model, inputShape: [channels, 28, 28], ...knownFrom(metadata, name) }
}

/** What a network in memory says of itself. */
export function knownOf(model: Module): KnownNetwork {
  if (!(model instanceof OnnxModel)) return { model }
  return { model, inputShape: model.inputShape, ...knownFrom(model.metadata, 'the model') }
}

/** PK: a ZIP archive; 0x80: a pickle. */
function isTorch(bytes: Uint8Array): boolean {
  return (bytes[0] === 0x50 && bytes[1] === 0x4b) || bytes[0] === 0x80
}

/** In safetensors a JSON object follows eight bytes of length; an index of shards is JSON from the start. */
function isOnnx(bytes: Uint8Array): boolean {
  return bytes[8] !== 0x7b && bytes[0] !== 0x7b
}

/**
 * What metadata of weights, or of an ONNX model, says of pictures: `input` (3x224x224), `fit`, `colour`, `mean` and
 * `std` (a number, or one a channel, with commas), `classes` (with commas, or JSON), `temperature`, `threshold`.
 */
export function knownFrom(metadata: ReadonlyMap<string, string>, file: string): Omit<KnownNetwork, 'model'> {
  const wrong = (key: string, what: string): KerneletError =>
    new KerneletError(
      'ERR_FORMAT',
      `Expected ${what} for ${key} in the metadata of ${file} but found ${show(metadata.get(key))}`,
    )
  const numbers = (key: string, above0: boolean): number[] | undefined => {
    const parts = metadata.get(key)?.split(',')
    const values = parts?.map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
    if (values?.every((value) => Number.isFinite(value) && (!above0 || value > 0))) return values
    if (values) throw wrong(key, above0 ? 'numbers above 0' : 'numbers')
    return undefined
  }
  const number = (key: string): number | undefined => {
    const values = numbers(key, true)
    if (values && values.length > 1) throw wrong(key, 'one number')
    return values?.[0]
  }
  const size = metadata.get('input')
  if (size !== undefined && !/^\d{1,6}(x\d{1,6}){2}$/.test(size)) throw wrong('input', 'a size as 3x224x224')
  const labels = metadata.get('classes')
  const list = labels === undefined ? undefined : labelsFrom(labels)
  if (labels !== undefined && !list) throw wrong('classes', 'names')
  return {
    ...(size !== undefined && { inputShape: size.split('x').map(Number) }),
    ...(list && { labels: list }),
    // checked with what the caller gives
    ...Object.fromEntries(
      ['fit', 'colour'].flatMap((key) => {
        const value = metadata.get(key)
        return value === undefined ? [] : [[key, value]]
      }),
    ),
    mean: numbers('mean', false),
    std: numbers('std', true),
    temperature: number('temperature'),
    threshold: number('threshold'),
  }
}

/** Names of classes as one line: with commas, as JSON where a name has one. */
export function labelsToText(labels: readonly string[]): string {
  const plain = labels.join(',')
  return labels.length > 0 && !plain.startsWith('[') && plain.split(',').length === labels.length
    ? plain
    : JSON.stringify(labels)
}

function labelsFrom(text: string): string[] | undefined {
  if (!text.startsWith('[')) return text.split(',')
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) && list.every((one) => typeof one === 'string') ? list : undefined
  } catch {
    return undefined
  }
}
