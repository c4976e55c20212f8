/** Pictures in requests: their size is known before they are decoded, and each one's fault is its own. */
import type { Classifier, ClassifierResult } from 'kernelet'
import { badRequest, lateOrGone, RequestError, refusalOf } from './errors.ts'
import type { Measures } from './models/measures.ts'
import type { ServedModel } from './models/registry.ts'
import { classified } from './protocol/answer.ts'
import type { AnswerTensor, InferCall, InputTensor, OutputTensor } from './protocol/call.ts'
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

/** Who waits for pictures to be looked at. */
export interface PictureWaiter {
  /** `performance.now()` beyond which nobody waits. */
  readonly deadline: number
  alive(): boolean
}

/**
 * Classifies a picture.
 *
 * @throws RequestError too_large for one beyond maxPixels; bad_request, unsupported_media; timeout, hung_up where nobody
 *   waits any more
 */
export type Look = (picture: Uint8Array) => Promise<ClassifierResult>

/** Milliseconds between looks at who still waits. */
const LOOK = 10

/**
 * The pictures of one request: all have their places in the queue, and the model is there, until `work` has ended.
 *
 * @throws RequestError too_large, overloaded where there is no place for so many
 */
export async function withPictures<T>(
  served: ServedModel,
  count: number,
  { queue, maxPixels }: Settings,
  waiter: PictureWaiter,
  measures: Measures,
  work: (look: Look) => Promise<T>,
): Promise<T> {
  const classifier = classifierOf(served)
  return served.use(count, queue, async () => {
    const gone = new AbortController()
    const timer = setInterval(() => {
      if (performance.now() > waiter.deadline || !waiter.alive()) gone.abort()
    }, LOOK).unref()
    try {
      return await work(async (picture) => {
        checkWaiter(waiter)
        await checkPixels(picture, maxPixels)
        const begin = performance.now()
        try {
          const result = await classifier.classifyAsync(picture, { signal: gone.signal })
          measures.batch(1, 1000 * (performance.now() - begin))
          return result
        } catch (error) {
          checkWaiter(waiter)
          throw error
        }
      })
    } finally {
      clearInterval(timer)
    }
  })
}

function checkWaiter(waiter: PictureWaiter): void {
  const late = performance.now() > waiter.deadline
  if (late || !waiter.alive()) throw lateOrGone(late)
}

/** What is answered for each of several pictures. */
export async function classifyAll(
  look: Look,
  pictures: readonly Uint8Array[],
  digits: boolean,
): Promise<PictureAnswer[]> {
  const answers: PictureAnswer[] = []
  for (const picture of pictures) {
    try {
      answers.push(answerOf(await look(picture), digits))
    } catch (error) {
      const refusal = refusalOf(error)
      const { message, statusCode, reason } = refusal
      // these are about the request, the others about a picture
      if (reason === 'timeout' || reason === 'hung_up') throw refusal
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
  waiter: PictureWaiter,
  measures: Measures,
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
  await withPictures(served, count, settings, waiter, measures, async (look) => {
    for (const [i, picture] of strings.entries()) {
      const result = await look(picture)
      if (result.probabilities) probabilities.set(result.probabilities, i * classes)
      confidence[i] = result.confidence
      labels.push(Buffer.from(result.label ?? ''))
      statuses.push(Buffer.from(result.status))
    }
  })
  const binary = call.binary
  const scores = served.engine.outputs[0]?.name ?? 'probabilities'
  const output: OutputTensor = {
    name: scores,
    datatype: 'FP32',
    shape: [...shape, classes],
    values: probabilities,
  }
  const all: AnswerTensor[] = [
    { ...output, binary },
    { name: 'confidence', datatype: 'FP32', shape, values: confidence, binary },
    { name: 'label', datatype: 'BYTES', shape, strings: labels, binary },
    { name: 'status', datatype: 'BYTES', shape, strings: statuses, binary },
  ]
  if (!call.outputs) return all
  return call.outputs.map((wanted) => {
    const found = all.find(({ name }) => name === wanted.name)
    if (found && wanted.classification === 0) return { ...found, binary: wanted.binary }
    if (found?.name === scores) {
      return classified(output, wanted.classification, classifier.labels, wanted.binary)
    }
    throw badRequest(
      `For pictures there are the outputs ${all.map(({ name }) => name).join(', ')}, but asked for is ${JSON.stringify(wanted.name)}` +
        (found ? `, of which there is no classification: ask for that of ${scores}` : ''),
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
