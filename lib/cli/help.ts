/** The texts of --help. */
import { formatTable } from '../util/text-table.ts'
import type { Command, Option } from './command.ts'
import { type Named, words } from './registry.ts'

/** Environment variables of the program and the library; docs/environment.md says more of each. */
export const environment: readonly (readonly [name: string, meaning: string])[] = [
  ['KERNELET_ISA', 'instruction set: scalar, sse, avx2, avx512 or neon'],
  ['KERNELET_THREADS', 'threads of a model that is not told how many'],
  ['KERNELET_MNIST', 'folder of labelled images where --data is not given'],
  ['KERNELET_VERBOSE', '1: a line a step on stderr, with its time, for every run of a compiled model'],
  ['NO_COLOR', 'set it to have no colours'],
]

export const exitCodes = '0 all went well, 1 some of the input failed, 2 the command line is wrong'

export function programHelp(commands: readonly Named[]): string {
  return `kernelet: small convolutional networks, natively

Usage: kernelet COMMAND [options]

Commands:
${table([...commands.map(([name, { summary }]) => [name, summary] as const), ...Object.entries(words)])}

Options:
${table([
  ['-h, --help', 'show help; after a command, for that command'],
  ['-v, --version', 'show the version'],
])}

Environment:
${table(environment)}

Exit codes: ${exitCodes}.`
}

/** @param below its subcommands */
export function commandHelp(name: string, command: Command, below: readonly Named[]): string {
  return `Usage: kernelet ${name} ${command.usage}

${command.description}
${below.length > 0 ? `\nCommands:\n${table(below.map(([words, { summary }]) => [words, summary]))}\n` : ''}
Options:
${table(optionRows(command))}

Examples:
${command.examples.map(([line, meaning]) => `  ${line}\n      ${meaning}`).join('\n')}`
}

/** `-o, --out FILE` and what it does, --help at the end. */
export function optionRows({ options }: Command): (readonly [term: string, meaning: string])[] {
  return [...Object.entries(options), ['help', helpOption] as const].map(
    ([option, { short, value, help }]) => [
      `${short ? `-${short}, ` : ''}--${option}${value ? ` ${value}` : ''}`,
      help,
    ],
  )
}

/** Of every command. */
export const helpOption: Option = { type: 'boolean', short: 'h', help: 'show this help' }

/** Two columns; on a terminal the second is broken to its width. */
function table(rows: readonly (readonly [term: string, meaning: string])[]): string {
  const { isTTY, columns = 0 } = process.stdout
  const indent = Math.max(...rows.map(([term]) => term.length)) + 4
  const width = isTTY && columns > 0 ? Math.max(24, columns - indent) : Number.POSITIVE_INFINITY
  return formatTable(
    rows.flatMap(([term, meaning]) =>
      wrap(meaning, width).map((line, i) => [i === 0 ? `  ${term}` : '', line]),
    ),
    [],
  )
}

/** Lines of at most so many characters, broken between words. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}
