/** The texts of --help. */
import { formatTable } from '../util/text-table.ts'
import type { Command } from './command.ts'

export function programHelp(commands: readonly (readonly [name: string, command: Command])[]): string {
  return `kernelet: small convolutional networks, natively

Usage: kernelet COMMAND [options]

Commands:
${table(commands.map(([name, { summary }]) => [name, summary]))}

Options:
${table([
  ['-h, --help', 'show help; after a command, for that command'],
  ['-v, --version', 'show the version'],
])}

Environment:
${table([
  ['KERNELET_ISA', 'instruction set: scalar, sse, avx2, avx512 or neon'],
  ['KERNELET_THREADS', 'threads of a model that is not told how many'],
  ['KERNELET_VERBOSE', '1: a line a step on stderr, with its time, for every run of a compiled model'],
  ['NO_COLOR', 'set it to have no colours'],
])}

Exit codes: 0 all went well, 1 some of the input failed, 2 the command line is wrong.`
}

/** @param below its subcommands */
export function commandHelp(
  name: string,
  command: Command,
  below: readonly (readonly [name: string, command: Command])[],
): string {
  const options = Object.entries(command.options).map(([option, { short, value, help }]) => [
    `${short ? `-${short}, ` : ''}--${option}${value ? ` ${value}` : ''}`,
    help,
  ])
  return `Usage: kernelet ${name} ${command.usage}

${command.description}
${below.length > 0 ? `\nCommands:\n${table(below.map(([word, { summary }]) => [`${name} ${word}`, summary]))}\n` : ''}
Options:
${table([...options, ['-h, --help', 'show this help']])}

Examples:
${command.examples.map(([line, meaning]) => `  ${line}\n      ${meaning}`).join('\n')}`
}

function table(rows: readonly (readonly string[])[]): string {
  return formatTable(
    rows.map(([term, meaning]) => [`  ${term}`, meaning as string]),
    [],
  )
}
