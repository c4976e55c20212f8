/** What a command of the `kernelet` program is made of. */
import type { KerneletErrorCode } from '../util/errors.ts'

/** Exit codes: all went well; some of the input failed; the command line itself is wrong. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const

export interface Option {
  /** `string` takes a value, `boolean` does not. */
  type: 'string' | 'boolean'
  /** A letter: o for -o. */
  short?: string
  /** What the value is, in capitals: FILE. */
  value?: string
  help: string
}

/** The options as given; those left out are absent. */
export type Values = { readonly [name: string]: string | boolean | undefined }

/**
 * A file `commands/NAME.ts` that exports a `command` of this form is all it takes to add `kernelet NAME`.
 */
export interface Command {
  /** One line for the list of commands. */
  summary: string
  /** What follows the name: `FILE… [options]`. */
  usage: string
  /** Paragraphs below the usage line. */
  description: string
  /** Besides --help. */
  options: Readonly<Record<string, Option>>
  /** Command lines with what they do. */
  examples: readonly (readonly [line: string, meaning: string])[]
  /** Whether words that are no options are taken. */
  positionals: boolean
  /** Commands below this one, loaded when asked for: `kernelet bench kernels`. */
  subcommands?: Readonly<Record<string, () => Promise<Command>>>
  /** In place of `run`, for a command whose arguments are another package's: they are handed on as they are. */
  raw?(args: readonly string[]): Promise<number>
  /** @returns the exit code */
  run(values: Values, positionals: string[]): number | Promise<number>
}

/** A wrong command line: printed as one line with a hint at --help, exit code 2. */
export class UsageError extends Error {}

/** Errors that come from a wrong option or environment variable rather than from the input. */
export const USAGE_CODES: readonly KerneletErrorCode[] = ['ERR_ARGUMENT', 'ERR_ISA']
