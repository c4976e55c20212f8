/** The models that commands know by name, and the weight files they are kept in. */

import { loadNamedModel, type Make, modelsByName } from '../models/by-name.ts'
import type { Module } from '../nn/module.ts'
import { KerneletError } from '../util/errors.ts'
import { packageFile } from '../util/package-files.ts'
import { knownFrom } from '../vision/classifier/network.ts'
import { UsageError } from './command.ts'
import type { Form } from './data.ts'
import { didYouMean } from './suggest.ts'

/** For --help. */
export const modelNames: string = Object.keys(modelsByName).join(', ')

/** @throws UsageError */
function modelByName(name: string): Make {
  const make = Object.hasOwn(modelsByName, name) ? modelsByName[name] : undefined
  if (make) return make
  throw new UsageError(`--model: unknown model ${name}${didYouMean(name, Object.keys(modelsByName))}`)
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
  /** How its pictures are brought to their form, where the file says so. */
  form: Form
}

/**
 * A model with the weights of a file.
 *
 * @param name of the model; default: as the file says, else lenet5
 * @throws KerneletError for a file that cannot be read or does not fit; UsageError for an unknown model
 */
export function loadModel(file: string, name?: string): WeightFile {
  if (name !== undefined) modelByName(name)
  const found = loadNamedModel(file, name)
  const { labels, temperature = 1, ...known } = knownFrom(found.metadata, file)
  return {
    model: found.model,
    name: found.name,
    mean: single(known.mean, 0, 'mean', file),
    std: single(known.std, 1, 'std', file),
    temperature,
    classes: labels && [...labels],
    form: { ...(known.fit && { fit: known.fit }), ...(known.colour && { colour: known.colour }) },
  }
}

/** The one number that values of all channels share. */
function single(
  value: number | readonly number[] | undefined,
  otherwise: number,
  name: string,
  file: string,
): number {
  const [first = otherwise, ...more] = typeof value === 'number' ? [value] : (value ?? [])
  if (more.every((one) => one === first)) return first
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${file}: expected one number for ${name} but it has one a channel`,
  )
}
