/** The networks that a weight file names in its metadata (`model`), and what is read from such a file. */

import { viewTensors } from '../formats/dtype.ts'
import { readSafetensors } from '../formats/safetensors.ts'
import { withoutInit } from '../nn/init.ts'
import type { Module } from '../nn/module.ts'
import { KerneletError } from '../util/errors.ts'
import type { FileSource } from '../util/source.ts'
import { LeNet5 } from './lenet5.ts'
import { LeNet5Original } from './lenet5-1998/model.ts'

/** A model for images of so many channels and so many classes. */
export type Make = (channels: number, classes: number) => Module

/** By the name that goes into `model` of a weight file's metadata. */
export const modelsByName: Readonly<Record<string, Make>> = {
  lenet5: (channels, classes) => new LeNet5(channels, classes),
  'lenet5-1998': () => new LeNet5Original(),
}

/** A model with the weights of a file, and what the file says besides. */
export interface NamedModelFile {
  model: Module
  /** Name of the model. */
  name: string
  /** Channels of its input. */
  channels: number
  metadata: ReadonlyMap<string, string>
}

/**
 * The model that a safetensors file holds.
 *
 * @param given its name; default: as the file says, else lenet5
 * @throws KerneletError `ERR_UNSUPPORTED` for a name there is no model of; `ERR_STATE_DICT` where the weights are not
 *   those of the model; otherwise as `loadSafetensors`
 */
export function loadNamedModel(file: FileSource, given?: string): NamedModelFile {
  const { tensors, metadata } = readSafetensors(file)
  const weights = viewTensors(tensors)
  // Checkpoints are weight files with more in them.
  for (const key of weights.keys()) if (key.startsWith('@')) weights.delete(key)
  const name = given ?? metadata.get('model') ?? 'lenet5'
  const make = Object.hasOwn(modelsByName, name) ? modelsByName[name] : undefined
  if (!make) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `The weights are of a model called ${JSON.stringify(name)}; by name there are ` +
        `${Object.keys(modelsByName).join(', ')}, others are given with the weights`,
    )
  }
  const channels = [...weights.values()].find(({ shape }) => shape.length === 4)?.shape[1] ?? 1
  // The last layer's: by its name, since files are in the order of names.
  const outputs = weights.get('fc3.bias')?.shape[0] ?? 10
  const model = withoutInit(() => make(channels, outputs))
  model.loadStateDict(weights)
  return { model, name, channels, metadata }
}
