/** The options that the bench commands share, and how their values are read. */

import { native } from '../../backend/node-addon.ts'
import { shapeOf } from '../../bench/networks/parse.ts'
import { messageOf } from '../../util/errors.ts'
import { type Option, UsageError, type Values } from '../command.ts'
import { didYouMean } from '../suggest.ts'

export const FORMATS = ['md', 'json', 'csv'] as const
export type Format = (typeof FORMATS)[number]

/** Of every command that measures. */
export const measuring: Readonly<Record<string, Option>> = {
  repetitions: { type: 'string', value: 'N', help: 'how often each is measured, in turns; default 10' },
  'min-time': { type: 'string', value: 'SECONDS', help: 'length of a repetition; default 0.05' },
  filter: { type: 'string', value: 'REGEX', help: 'only benchmarks whose name matches' },
}

/** Of every command. */
export const output: Readonly<Record<string, Option>> = {
  output: { type: 'string', short: 'o', value: 'FORMAT', help: 'md (the default), json or csv' },
  json: { type: 'boolean', help: 'the same as -o json' },
  out: { type: 'string', value: 'FILE', help: 'also write the JSON report to a file' },
}

export const plot: Option = { type: 'string', value: 'FILE', help: 'draw the result as SVG' }

export const choices: Readonly<Record<'isa' | 'batch' | 'threads', Option>> = {
  isa: { type: 'string', value: 'LIST', help: 'instruction sets, or all; default: the best here' },
  batch: { type: 'string', value: 'LIST', help: 'images a call' },
  threads: { type: 'string', value: 'LIST', help: 'threads a call' },
}

/** `avx2,sse` as a list; `all`: every instruction set this machine has. */
export function isas(values: Values): string[] {
  const { supported, chosen, compiled } = native().isa()
  if (values.isa === undefined) return [chosen]
  if (values.isa === 'all') return supported
  return words(values.isa as string, 'isa').map((name) => {
    if (supported.includes(name)) return name
    const why = compiled.includes(name) ? 'is not supported here' : 'is unknown'
    throw new UsageError(
      `--isa: ${name} ${why}; this machine has ${supported.join(', ')}${didYouMean(name, supported)}`,
    )
  })
}

/** A comma list. */
export function words(text: string, option: string): string[] {
  const list = text.split(',').map((word) => word.trim())
  if (list.some((word) => word === ''))
    throw new UsageError(`--${option}: expected A,B,C but received '${text}'`)
  return [...new Set(list)]
}

/** A comma list of known words; the first of them where the option is not given. */
export function oneOf<T extends string>(known: readonly T[], values: Values, option: string): T[] {
  return words(String(values[option] ?? known[0]), option).map((word) => {
    const found = known.find((each) => each === word)
    if (found !== undefined) return found
    throw new UsageError(
      `--${option}: expected ${known.join(' or ')} but received '${word}'${didYouMean(word, known)}`,
    )
  })
}

/** A comma list of numbers from 1 up. */
export function counts(values: Values, option: string, otherwise: readonly number[]): number[] {
  const text = values[option]
  if (text === undefined) return [...otherwise]
  return words(text as string, option).map((word) => count(word, option))
}

export function count(text: string, option: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) {
    throw new UsageError(`--${option}: expected a number from 1 up but received '${text}'`)
  }
  return Number(text)
}

/** Threads: 1 and, where there are more CPUs, 2. */
export function usualThreads(): number[] {
  return native().threads().usable > 1 ? [1, 2] : [1]
}

export function seconds(values: Values, option: string, otherwise: number): number {
  const text = values[option]
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!(value > 0 && value <= 60)) {
    throw new UsageError(`--${option}: expected seconds, more than 0 and at most 60, but received '${text}'`)
  }
  return value
}

export function regex(values: Values, option: string): RegExp | undefined {
  const text = values[option]
  if (text === undefined) return undefined
  try {
    return new RegExp(text as string)
  } catch (error) {
    throw new UsageError(`--${option}: ${messageOf(error)}`)
  }
}

/** `--input 3x224x224`: the shape of an image, where a file leaves it open. */
export function shapeOption(values: Values): number[] | undefined {
  if (values.input === undefined) return undefined
  try {
    return shapeOf(String(values.input), '--input')
  } catch (error) {
    throw new UsageError(messageOf(error))
  }
}

export function format(values: Values): Format {
  const name = values.output ?? (values.json ? 'json' : 'md')
  if (values.json && name !== 'json') throw new UsageError(`--json contradicts -o ${name}`)
  const found = FORMATS.find((known) => known === name)
  if (found === undefined) throw new UsageError(`-o: expected ${FORMATS.join(', ')} but received '${name}'`)
  return found
}
