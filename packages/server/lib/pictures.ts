/** Pictures in requests: their size is known before they are decoded, and each one's fault is its own. */
import type { Classifier, ClassifierResult } from 'kernelet'
import { badRequest, RequestError, refusalOf } from './errors.ts'
import type { ServedModel } from './models/registry.ts'
import type { AnswerTensor, InferCall, InputTensor } from './protocol/call.ts'
import type { Settings } from './settings.ts'

/** What the server says of a picture, or why it cannot. */
export type PictureAnswer =
  | {
      status: string
      label?: string | null
      digit?: number | null
      index?: number | null
      confidence: number
      probabilities: number[] | null
      boxes: ClassifierResult['boxes']
    }
  | { error: string; code: number }

/**
 * @throws RequestError bad_request where the model does not read pictures
 */
export function classifierOf(served: ServedModel): Classifier {
  if (served.classifier) return served.classifier
  throw badRequest(`The model ${served.name} takes tensors, not pictures; see /v2/models/${served.name}`)
}

/**
 * Classifies a picture.
 *
 * @throws RequestError too_large for one beyond maxPixels; bad_request, unsupported_media
 */
export async function classify(
  served: ServedModel,
  picture: Uint8Array,
  settings: Settings,
): Promise<ClassifierResult> {
  await checkPixels(picture, settings.maxPixels)
  return served.use(() => classifierOf(served).classifyAsync(picture))
}

/** What is answered for each of several pictures. */
export async function classifyAll(
  served: ServedModel,
  pictures: readonly Uint8Array[],
  settings: Settings,
  digits: boolean,
): Promise<PictureAnswer[]> {
  const answers: PictureAnswer[] = []
  for (const picture of pictures) {
    try {
      answers.push(answerOf(await classify(served, picture, settings), digits))
    } catch (error) {
      const { message, statusCode } = refusalOf(error)
      answers.push({ error: message, code: statusCode })
    }
    // Others have their turn between two pictures.
    await new Promise((resolve) => setImmediate(resolve))
  }
  return answers
}

const digitStatus: Readonly<Record<string, string>> = {
  class: 'digit',
  nothing: 'no digit',
  several: 'several digits',
}

export function answerOf(result: ClassifierResult, digits: boolean): PictureAnswer {
  const { status, label, index, confidence, boxes } = result
  const probabilities = result.probabilities && Array.from(result.probabilities)
  if (!digits) return { label, index, confidence, status, probabilities, boxes }
  return { digit: index, confidence, status: digitStatus[status] ?? status, probabilities, boxes }
}

/** The tensors of a call whose input is pictures: probabilities under the model's own name, and what they mean. */
export async function classifyBytes(
  served: ServedModel,
  call: InferCall,
  settings: Settings,
): Promise<AnswerTensor[]> {
  const classifier = classifierOf(served)
  const { strings = [], shape } = call.inputs[0] as InputTensor
  if (strings.length > settings.maxFiles) {
    throw new RequestError(
      'too_large',
      `The request has ${strings.length} pictures; at most ${settings.maxFiles} are taken (--max-files)`,
    )
  }
  const classes = classifier.labels.length
  const count = strings.length
  const probabilities = new Float32Array(count * classes)
  const confidence = new Float32Array(count)
  const labels: Uint8Array[] = []
  const statuses: Uint8Array[] = []
  for (const [i, picture] of strings.entries()) {
    const result = await classify(served, picture, settings)
    if (result.probabilities) probabilities.set(result.probabilities, i * classes)
    confidence[i] = result.confidence
    labels.push(Buffer.from(result.label ?? ''))
    statuses.push(Buffer.from(result.status))
  }
  const binary = call.binary
  const scores = served.engine.outputs[0]?.name ?? 'probabilities'
  const all: AnswerTensor[] = [
    { name: scores, datatype: 'FP32', shape: [...shape, classes], values: probabilities, binary },
    { name: 'confidence', datatype: 'FP32', shape, values: confidence, binary },
    { name: 'label', datatype: 'BYTES', shape, strings: labels, binary },
    { name: 'status', datatype: 'BYTES', shape, strings: statuses, binary },
  ]
  if (!call.outputs) return all
  return call.outputs.map((wanted) => {
    const found = all.find(({ name }) => name === wanted.name)
    if (found && wanted.classification === 0) return { ...found, binary: wanted.binary }
    throw badRequest(
      `For pictures there are the outputs ${all.map(({ name }) => name).join(', ')}, but asked for is ${JSON.stringify(wanted.name)}` +
        (wanted.classification > 0 ? ' with classification, which goes with tensors' : ''),
    )
  })
}

/** Refuses a picture by the size it says it has. */
async function checkPixels(picture: Uint8Array, most: number): Promise<void> {
  const size = pngSize(picture) ?? (await otherSize(picture))
  if (!size || size.width * size.height <= most) return
  throw new RequestError(
    'too_large',
    `The picture has ${size.width}×${size.height} pixels; at most ${most} are taken (--max-pixels)`,
  )
}

interface Size {
  width: number
  height: number
}

/** The first chunk of a PNG begins with its size; undefined for what is no PNG. */
function pngSize(bytes: Uint8Array): Size | undefined {
  if (bytes.length < 24 || bytes[0] !== 0x89 || bytes[1] !== 0x50) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return { width: view.getUint32(16), height: view.getUint32(20) }
}

/** The part of sharp that is used. */
type Sharp = (bytes: Uint8Array) => { metadata(): Promise<{ width?: number; height?: number }> }

/** By sharp, where it is installed: without it nothing else is decoded. */
async function otherSize(bytes: Uint8Array): Promise<Size | undefined> {
  const name: string = 'sharp'
  try {
    const { default: sharp } = (await import(name)) as { default: Sharp }
    const { width = 0, height = 0 } = await sharp(bytes).metadata()
    return { width, height }
  } catch {
    // what it cannot read is refused, in words, when it is to be decoded
    return undefined
  }
}
