/** Checkpoints: all that a run needs to go on to the same bits, in one safetensors file. */

import { loadSafetensors, readSafetensors, saveSafetensors } from '../formats/safetensors.ts'
import type { StateDict } from '../nn/module.ts'
import { sameShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { checkFilePath, type FilePath } from '../util/source.ts'

/** What the native trainer keeps of each parameter. */
export type Kind = 'momentum' | 'expAvg' | 'expAvgSq' | 'ema'

/** What an optimizer knows besides the weights. */
export interface TrainerState {
  /** Steps taken in all: Adam's t, and dropout's counter. */
  step: number
  /** By parameter. */
  arrays: ReadonlyMap<Kind, ReadonlyMap<string, Float32Array>>
  /** Steps of those parameters that were not trained in all of them: frozen for a while, or unfrozen late. */
  steps: ReadonlyMap<string, number>
}

/** Where a run is, in numbers. */
export interface Progress {
  /** Whole epochs done in all. */
  epoch: number
  /** `epoch` when the run began. */
  runStart: number
  seed: number
  /** 'adam' … */
  optimizer: string
  /** Of the epoch that was under way: steps done, and what its report needs; undefined between epochs. */
  partial?: Partial | undefined
}

/** An epoch that was not finished. */
export interface Partial {
  steps: number
  /** Images of an epoch and of a step: with others the order would be another. */
  images: number
  batchSize: number
  lossSum: number
  correct: number
  seen: number
}

/** All of it. */
export interface Checkpoint {
  weights: StateDict
  /** Optimizer state and averaged weights. */
  state: TrainerState
  progress: Progress
  /** What the caller keeps with it. */
  metadata: ReadonlyMap<string, string>
}

/** Under this name in the metadata. */
const field = 'kernelet.training'

/** `@expAvg/conv1.weight`: no property is called so. */
const stateName = /^@(momentum|expAvg|expAvgSq|ema)\/(.+)$/

/**
 * What a caller wants to keep with a checkpoint.
 *
 * @throws KerneletError `ERR_ARGUMENT`
 */
export function notesOf(metadata: unknown): Map<string, string> {
  const isObject = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
  if (!isObject) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `saveCheckpoint: metadata must be an object or a Map but is ${show(metadata)}`,
    )
  }
  const notes = new Map<string, string>(metadata instanceof Map ? metadata : Object.entries(metadata))
  if (!notes.has(field)) return notes
  throw new KerneletError(
    'ERR_ARGUMENT',
    `saveCheckpoint: metadata: "${field}" says where training is; take another name`,
  )
}

/**
 * Writes a checkpoint, all or nothing.
 *
 * @throws KerneletError `ERR_IO`
 */
export function writeCheckpoint(path: FilePath, checkpoint: Checkpoint): void {
  const { weights, state, progress, metadata } = checkpoint
  const tensors = new Map<string, Tensor>(weights)
  for (const [kind, values] of state.arrays) {
    for (const [name, value] of values) {
      const shape = weights.get(name)?.shape ?? [value.length]
      tensors.set(`@${kind}/${name}`, new Tensor(value, shape))
    }
  }
  const steps = state.steps.size > 0 ? [...state.steps] : undefined
  saveSafetensors(
    path,
    tensors,
    new Map([...metadata, [field, JSON.stringify({ step: state.step, ...progress, steps })]]),
  )
}

/**
 * Reads a checkpoint.
 *
 * @throws KerneletError `ERR_FORMAT` for a file that is none; otherwise as `loadSafetensors`
 */
export function readCheckpoint(from: FilePath): Checkpoint {
  const path = checkFilePath(from, 'The checkpoint')
  const { metadata } = readSafetensors(path)
  const text = metadata.get(field)
  if (text === undefined) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${path} is no checkpoint: it has weights but not where training was; loadStateDict takes the weights`,
    )
  }
  const { step, steps, ...progress } = parseProgress(text, path)
  const weights: StateDict = new Map()
  const arrays = new Map<Kind, Map<string, Float32Array>>()
  const parts: [name: string, parameter: string][] = []
  const tensors = loadSafetensors(path)
  for (const [name, tensor] of tensors) {
    const [, kind, parameter] = stateName.exec(name) ?? []
    if (kind === undefined || parameter === undefined) {
      weights.set(name, tensor)
      continue
    }
    const values = arrays.get(kind as Kind) ?? new Map<string, Float32Array>()
    parts.push([name, parameter])
    arrays.set(kind as Kind, values.set(parameter, tensor.data))
  }
  for (const [name, parameter] of parts) {
    // What fits the weights fits the model that they fit.
    const [part, weight] = [tensors.get(name), weights.get(parameter)]
    if (!part || !weight || !sameShape(part.shape, weight.shape)) {
      throw new KerneletError('ERR_FORMAT', `${path} is a damaged checkpoint: ${name} is of no weight it has`)
    }
  }
  const [first, second] = [arrays.get('expAvg'), arrays.get('expAvgSq')]
  for (const name of new Set([...(first?.keys() ?? []), ...(second?.keys() ?? [])])) {
    if (first?.has(name) && second?.has(name)) continue
    throw new KerneletError('ERR_FORMAT', `${path} is a damaged checkpoint: ${name} has one moment of two`)
  }
  const rest = new Map([...metadata].filter(([key]) => key !== field))
  return { weights, state: { step, arrays, steps }, progress, metadata: rest }
}

/** Of epochs, steps and images. */
const largestCount = 2 ** 48

function parseProgress(text: string, path: string): Progress & Pick<TrainerState, 'step' | 'steps'> {
  const damaged = (what: string): KerneletError =>
    new KerneletError('ERR_FORMAT', `${path} is a damaged checkpoint: ${what}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged('what it says of the run is not JSON')
  }
  if (typeof value !== 'object' || value === null) throw damaged(`the run is ${show(value)}`)
  const { step, steps: own, epoch, runStart, seed, optimizer, partial } = value as Record<string, unknown>
  const count = (one: unknown, name: string): number => {
    // Counted on from far below 2⁵³, where one more would change nothing.
    const isCount = Number.isSafeInteger(one) && (one as number) >= 0
    if (isCount && (name === 'seed' || (one as number) <= largestCount)) return one as number
    throw damaged(`${name} is ${show(one)}`)
  }
  if (typeof optimizer !== 'string') throw damaged(`optimizer is ${show(optimizer)}`)
  if (own !== undefined && !Array.isArray(own)) throw damaged(`steps are ${show(own)}`)
  const progress = {
    step: count(step, 'step'),
    steps: new Map(
      (own ?? []).map((entry: unknown): [string, number] => {
        if (!Array.isArray(entry) || typeof entry[0] !== 'string') throw damaged(`steps have ${show(entry)}`)
        return [entry[0], count(entry[1], 'steps')]
      }),
    ),
    epoch: count(epoch, 'epoch'),
    runStart: count(runStart, 'runStart'),
    seed: count(seed, 'seed'),
    optimizer,
  }
  for (const [name, taken] of progress.steps) {
    if (taken > progress.step) throw damaged(`${name} has ${taken} of ${progress.step} steps`)
  }
  if (progress.runStart > progress.epoch) {
    throw damaged(`the run began at epoch ${progress.runStart}, after epoch ${progress.epoch}`)
  }
  if (partial === undefined) return progress
  if (typeof partial !== 'object' || partial === null) throw damaged(`partial is ${show(partial)}`)
  const { steps, images, batchSize, lossSum, correct, seen } = partial as Record<string, unknown>
  if (typeof lossSum !== 'number' || !Number.isFinite(lossSum)) throw damaged(`lossSum is ${show(lossSum)}`)
  const part: Partial = {
    steps: count(steps, 'steps'),
    images: count(images, 'images'),
    batchSize: count(batchSize, 'batchSize'),
    lossSum,
    correct: count(correct, 'correct'),
    seen: count(seen, 'seen'),
  }
  if (part.batchSize < 1 || part.steps > Math.ceil(part.images / part.batchSize) || part.seen > part.images) {
    throw damaged(`${part.steps} steps of ${part.batchSize} images of ${part.images}, ${part.seen} seen`)
  }
  return { ...progress, partial: part }
}
