/** Where commands get labelled images from: a folder of IDX files or of pictures. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Dataset } from '../data/dataset.ts'
import { findIdx, loadMnist, mnistFolder, type Part } from '../data/mnist.ts'
import { loadPictures } from '../data/pictures.ts'
import type { Option, Values } from './command.ts'
import { complain } from './terminal.ts'

/** Of every command that reads data. */
export const dataOption: Option = {
  type: 'string',
  value: 'DIR',
  help: "MNIST's files, or a folder of pictures a class; default KERNELET_MNIST, data/mnist",
}

/** Of every command that reads pictures. */
export const rawOption: Option = {
  type: 'boolean',
  help: "pictures as they are, all of one size; default: brought to MNIST's form",
}

/** Labelled images, and what kind of folder they came from. */
export interface Found {
  data: Dataset
  folder: string
  kind: 'IDX' | 'pictures'
  /** Whether the folder keeps what is learnt from and what is reported on apart. */
  parted: boolean
}

/**
 * Reads a part of the data that --data names. A folder of pictures may have the folders `train` and `test`; one
 * without them is read whole, whichever part is asked for.
 *
 * @param classes names of the classes where a model knows them already
 * @returns undefined when the folder has the other part only
 */
export async function readData(
  values: Values,
  part: Part,
  classes?: readonly string[],
): Promise<Found | undefined> {
  const folder = mnistFolder(values.data as string | undefined)
  const other = part === 'train' ? 'test' : 'train'
  if (findIdx(folder, part)) return { data: loadMnist(folder, part), folder, kind: 'IDX', parted: true }
  if (findIdx(folder, other)) return undefined
  const [own, others] = [join(folder, part), join(folder, other)].map(isFolder)
  if (others && !own) return undefined
  let skipped = 0
  const data = await loadPictures(own ? join(folder, part) : folder, {
    classes,
    normalize: values.raw !== true,
    onSkip: (_file, reason) => {
      skipped++
      if (skipped <= mostTold) complain(`left out: ${reason}`)
    },
  })
  if (skipped > mostTold) complain(`and ${skipped - mostTold} more were left out`)
  return { data, folder, kind: 'pictures', parted: own === true }
}

const mostTold = 5

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
