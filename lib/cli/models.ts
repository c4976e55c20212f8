/** The models that commands know by name, and the weight files they are kept in. */

import { loadSafetensors, readSafetensors } from '../formats/safetensors.ts'
import { LeNet5 } from '../models/lenet5.ts'
import { LeNet5Original } from '../models/lenet5-1998/model.ts'
import { withoutInit } from '../nn/init.ts'
import type { Module } from '../nn/module.ts'
import { KerneletError } from '../util/errors.ts'
import { packageFile } from '../util/package-files.ts'
import { show } from '../util/show.ts'
import { UsageError } from './command.ts'
import { didYouMean } from './suggest.ts'

/** A model for images of so many channels and so many classes. */
export type Make = (channels: number, classes: number) => Module

const models: Readonly<Record<string, Make>> = {
  lenet5: (channels, classes) => new LeNet5(channels, classes),
  'lenet5-1998': () => new LeNet5Original(),
}

/** For --help. */
export const modelNames: string = Object.keys(models).join(', ')

/** @throws UsageError */
function modelByName(name: string): Make {
  const make = Object.hasOwn(models, name) ? models[name] : undefined
  if (make) return make
  throw new UsageError(`--model: unknown model ${name}${didYouMean(name, Object.keys(models))}`)
}

/**
 * A model that is trained with one of the usual losses.
 *
 * @throws UsageError
 */
export function trainableByName(name: string): Make {
  const make = modelByName(name)
  if (name !== 'lenet5-1998') return make
  throw new UsageError(`--model: ${name} has a criterion of its own; examples/lenet5-1998.js trains it`)
}

export const shippedWeights: string = packageFile('models/lenet5-mnist.safetensors')

/** What a weight file says besides the weights. */
export interface WeightFile {
  model: Module
  /** Name of the model. */
  name: string
  mean: number
  std: number
  temperature: number
  /** Names of the classes, where the file has them. */
  classes: string[] | undefined
}

/**
 * A model with the weights of a file.
 *
 * @param name of the model; default: as the file says, else lenet5
 * @throws KerneletError for a file that cannot be read or does not fit; UsageError for an unknown model
 */
export function loadModel(file: string, name?: string): WeightFile {
  const { metadata } = readSafetensors(file)
  const weights = loadSafetensors(file)
  // Checkpoints are weight files with more in them.
  for (const key of weights.keys()) if (key.startsWith('@')) weights.delete(key)
  const chosen = name ?? metadata.get('model') ?? 'lenet5'
  const make = modelByName(chosen)
  const all = [...weights.values()]
  const channels = all.find(({ shape }) => shape.length === 4)?.shape[1] ?? 1
  // The last layer's: by its name, since files are in the order of names.
  const outputs = weights.get('fc3.bias')?.shape[0] ?? 10
  const model = withoutInit(() => make(channels, outputs))
  model.loadStateDict(weights)
  const classes = metadata.get('classes')
  return {
    model,
    name: chosen,
    mean: figure(metadata, 'mean', 0, file),
    std: figure(metadata, 'std', 1, file),
    temperature: figure(metadata, 'temperature', 1, file),
    classes: classes === undefined ? undefined : classes.split(','),
  }
}

function figure(
  metadata: ReadonlyMap<string, string>,
  name: string,
  otherwise: number,
  file: string,
): number {
  const text = metadata.get(name)
  if (text === undefined) return otherwise
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && (name === 'mean' || value > 0)) return value
  throw new KerneletError('ERR_FORMAT', `${file}: expected a number for ${name} but found ${show(text)}`)
}
