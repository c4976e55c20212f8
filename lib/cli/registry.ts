/** The commands there are: files of `commands/`, .js when built, .ts in the sources. */
import { readdirSync } from 'node:fs'
import { extension, moduleUrl } from '../util/package-files.ts'
import type { Command } from './command.ts'

/** Words that do what an option does. */
export const words: Readonly<Record<string, string>> = {
  help: 'show help; with a command, for that: help train',
  version: 'show the version',
}

const folder = new URL('.', moduleUrl('cli/commands/x'))

export function commandNames(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(extension) && !file.endsWith(`.d${extension}`))
    .map((file) => file.slice(0, -extension.length))
    .sort()
}

export async function load(name: string): Promise<Command> {
  const url: string = moduleUrl(`cli/commands/${name}`).href
  return ((await import(url)) as { command: Command }).command
}

/** A command under the words that call it: `bench kernels`. */
export type Named = readonly [name: string, command: Command]

/** The commands below one. */
export async function subcommandsOf(name: string, command: Command): Promise<Named[]> {
  const below = Object.entries(command.subcommands ?? {})
  return Promise.all(below.map(async ([word, get]) => [`${name} ${word}`, await get()] as const))
}

/** Every command, each followed by those below it. */
export async function allCommands(): Promise<Named[]> {
  const lists = commandNames().map(async (name) => {
    const command = await load(name)
    return [[name, command] as const, ...(await subcommandsOf(name, command))]
  })
  return (await Promise.all(lists)).flat()
}
