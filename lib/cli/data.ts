/** Where commands get labelled images from: a folder of IDX files or of pictures. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { loadCsv } from '../data/csv.ts'
import type { Dataset } from '../data/dataset.ts'
import { findIdx, loadMnist, mnistFolder, type Part } from '../data/mnist.ts'
import { type LoadPicturesOptions, loadPictures } from '../data/pictures.ts'
import { colours, fits, type Preparation } from '../vision/classifier/preparation.ts'
import { type Option, UsageError, type Values } from './command.ts'
import { complain } from './terminal.ts'

/** Of every command that reads data. */
export const dataOption: Option = {
  type: 'string',
  value: 'DATA',
  help: 'MNIST, a folder of pictures a class, or a .csv; default KERNELET_MNIST, data/mnist',
}

/** Of every command that reads pictures. */
export const rawOption: Option = {
  type: 'boolean',
  help: "pictures as they are, all of one size; default: brought to MNIST's form",
}

/** Of every command that reads pictures. */
export const fitOption: Option = {
  type: 'string',
  value: 'HOW',
  help: `how pictures come to 28×28: ${fits.join(', ')}; default digit`,
}

/** Of every command that reads pictures. */
export const colourOption: Option = {
  type: 'string',
  value: 'NAME',
  help: 'grey (the default), or rgb with --fit crop, pad or stretch',
}

/** How pictures are brought to their form. */
export type Form = Partial<Pick<Preparation, 'fit' | 'colour'>>

/** Labelled images, and what kind of folder they came from. */
export interface Found {
  data: Dataset
  /** How their pictures were, or are to be, brought to this form. */
  form: Pick<Preparation, 'fit' | 'colour'>
  folder: string
  kind: 'IDX' | 'pictures' | 'pixels'
  /** Whether the folder keeps what is learnt from and what is reported on apart. */
  parted: boolean
}

/**
 * Reads a part of the data that --data names. A folder of pictures may have the folders `train` and `test`; one
 * without them is read whole, whichever part is asked for.
 *
 * @param classes names of the classes where a model knows them already
 * @param known how a model has its pictures, where the command line does not say
 * @returns undefined when the folder has the other part only
 */
export async function readData(
  values: Values,
  part: Part,
  classes?: readonly string[],
  known: Form = {},
): Promise<Found | undefined> {
  const form = formOf(values, known)
  const folder = mnistFolder(values.data as string | undefined)
  if (/\.(?:csv|tsv)$/i.test(folder) && !isFolder(folder)) return readTable(values, folder, form, classes)
  const other = part === 'train' ? 'test' : 'train'
  if (findIdx(folder, part)) {
    const data = loadMnist(folder, part)
    const isField = data.shape.join() === '1,28,28'
    const fit = form.fit ?? (isField ? 'digit' : 'stretch')
    return { data, form: { fit, colour: 'grey' }, folder, kind: 'IDX', parted: true }
  }
  if (findIdx(folder, other)) return undefined
  const [own, others] = [join(folder, part), join(folder, other)].map(isFolder)
  if (others && !own) return undefined
  const data = await tellingOfSkipped((onSkip) =>
    loadPictures(own ? join(folder, part) : folder, { classes, ...howOf(values, form), onSkip }),
  )
  const asTheyAre = { fit: 'stretch', colour: 'grey' } as const
  const done = values.raw === true ? asTheyAre : { fit: form.fit ?? 'digit', colour: form.colour ?? 'grey' }
  return { data, form: done, folder, kind: 'pictures', parted: own === true }
}

/** @throws UsageError */
function formOf(values: Values, known: Form): Form {
  const word = <T extends string>(option: string, words: readonly T[]): T | undefined => {
    const given = values[option]
    const found = words.find((each) => each === given)
    if (given === undefined || found !== undefined) return found
    throw new UsageError(`--${option}: expected ${words.join(', ')} but received '${given}'`)
  }
  const fit = word('fit', fits) ?? known.fit
  const colour = word('colour', colours) ?? known.colour
  if (values.raw === true && (values.fit !== undefined || values.colour !== undefined)) {
    throw new UsageError('--raw takes pictures as they are: it does not go with --fit and --colour')
  }
  if (colour !== undefined && colour !== 'grey' && (fit ?? 'digit') === 'digit') {
    throw new UsageError(
      `--colour ${colour} goes with --fit ${fits.filter((each) => each !== 'digit').join(', ')}`,
    )
  }
  return { ...(fit && { fit }), ...(colour && { colour }) }
}

function howOf(values: Values, form: Form): LoadPicturesOptions {
  return values.raw === true ? { normalize: false } : form
}

async function readTable(
  values: Values,
  file: string,
  form: Form,
  classes: readonly string[] | undefined,
): Promise<Found> {
  const data = await tellingOfSkipped((onSkip) => loadCsv(file, { classes, ...howOf(values, form), onSkip }))
  const ofPixels = data.names === undefined
  const isField = data.shape.join() === '1,28,28'
  const fit = form.fit ?? (ofPixels && !isField ? 'stretch' : 'digit')
  const colour = data.shape[0] === 1 ? 'grey' : (form.colour ?? 'rgb')
  return { data, form: { fit, colour }, folder: file, kind: ofPixels ? 'pixels' : 'pictures', parted: false }
}

async function tellingOfSkipped(
  load: (onSkip: (file: string, reason: string) => void) => Promise<Dataset>,
): Promise<Dataset> {
  let skipped = 0
  const data = await load((_file, reason) => {
    skipped++
    if (skipped <= mostTold) complain(`left out: ${reason}`)
  })
  if (skipped > mostTold) complain(`and ${skipped - mostTold} more were left out`)
  return data
}

const mostTold = 5

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
