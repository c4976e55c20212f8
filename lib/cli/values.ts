/** Numbers and files on the command line. */
import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { KerneletError } from '../util/errors.ts'
import { UsageError, type Values } from './command.ts'

/** An integer option from `minimum` up. */
export function integer(values: Values, option: string, otherwise: number, minimum = 1): number {
  const text = values[option]
  if (text === undefined) return otherwise
  const value = Number(text)
  if (/^\d{1,16}$/.test(String(text)) && Number.isSafeInteger(value) && value >= minimum) return value
  throw new UsageError(`--${option}: expected an integer from ${minimum} up but received '${text}'`)
}

/** What a number may be. */
export interface Bounds {
  above?: number
  from?: number
  below?: number
}

/** A number option within bounds. */
export function number<T>(
  values: Values,
  option: string,
  otherwise: T,
  { above, from, below }: Bounds = {},
): number | T {
  const text = values[option]
  if (text === undefined) return otherwise
  const value = Number(text)
  const fits =
    String(text).trim() !== '' &&
    Number.isFinite(value) &&
    !(above !== undefined && value <= above) &&
    !(from !== undefined && value < from) &&
    !(below !== undefined && value >= below)
  if (fits) return value
  const bounds = [
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(from === undefined ? [] : [`of at least ${from}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
  ].join(' and ')
  throw new UsageError(
    `--${option}: expected a number${bounds === '' ? '' : ` ${bounds}`} but received '${text}'`,
  )
}

/** The file that a picture is to be written to, by an option; refused where its name says that it is of another kind. */
export function pictureName(values: Values, option: string, endings: readonly string[]): string | undefined {
  const name = values[option] as string | undefined
  if (name === undefined || endings.some((ending) => name.toLowerCase().endsWith(ending))) return name
  throw new UsageError(
    `--${option}: expected a name that ends in ${endings.join(' or ')} but received '${name}'`,
  )
}

/**
 * A file that is to be written when all the work is done can be: its folder is there, and it is none itself.
 *
 * @throws KerneletError `ERR_IO`
 */
export function mustBeWritable(file: string): void {
  const isFolder = (path: string): boolean =>
    statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
  const isWritable = (path: string): boolean => {
    try {
      accessSync(path, constants.W_OK)
      return true
    } catch {
      return false
    }
  }
  const folder = dirname(file)
  const why = isFolder(file)
    ? 'it is a folder'
    : isFolder(folder)
      ? isWritable(folder) || isWritable(file)
        ? undefined
        : 'permission denied'
      : `there is no folder ${folder}`
  if (why !== undefined) throw new KerneletError('ERR_IO', `${file} cannot be written: ${why}`)
}
