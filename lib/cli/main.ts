/** The `kernelet` program: finds the command, reads its options, turns errors into lines and exit codes. */
import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { KerneletError, messageOf } from '../util/errors.ts'
import { extension, moduleUrl } from '../util/package-files.ts'
import { version } from '../util/version.ts'
import { type Command, EXIT, USAGE_CODES, UsageError } from './command.ts'
import { commandHelp, programHelp } from './help.ts'
import { didYouMean } from './suggest.ts'
import { allowClosedPipe, complain, print } from './terminal.ts'

/**
 * @param args the command line without `node` and the program
 * @returns the exit code
 */
export async function main(args: readonly string[]): Promise<number> {
  allowClosedPipe()
  const [name, ...rest] = args
  let about = ''
  try {
    if (name === '--version' || name === '-v') {
      print(version)
      return EXIT.ok
    }
    if (name === '--help' || name === '-h' || name === undefined) {
      const help = programHelp(
        await Promise.all(commandNames().map(async (each) => [each, await load(each)] as const)),
      )
      if (name !== undefined) {
        print(help)
        return EXIT.ok
      }
      process.stderr.write(`${help}\n`)
      return EXIT.usage
    }
    if (name.startsWith('-')) throw new UsageError(`unknown option ${name}; a command comes first`)
    if (!commandNames().includes(name)) {
      throw new UsageError(`unknown command ${name}${didYouMean(name, commandNames())}`)
    }
    let command = await load(name)
    if (command.raw) return await command.raw(rest)
    let left = rest
    about = `${name} `
    // `bench kernels …`: a word that is no option names a command below
    if (command.subcommands && left[0] !== undefined && !left[0].startsWith('-')) {
      const names = Object.keys(command.subcommands)
      if (!names.includes(left[0])) {
        throw new UsageError(`${name}: unknown command ${left[0]}${didYouMean(left[0], names)}`)
      }
      about = `${name} ${left[0]} `
      command = await command.subcommands[left[0]]!()
      left = left.slice(1)
    }
    return await runCommand(about.trimEnd(), command, left)
  } catch (error) {
    if (error instanceof UsageError) {
      complain(`${error.message} (see kernelet ${about}--help)`)
      return EXIT.usage
    }
    if (error instanceof KerneletError) {
      complain(error.message)
      return USAGE_CODES.includes(error.code) ? EXIT.usage : EXIT.failed
    }
    throw error
  }
}

async function runCommand(name: string, command: Command, args: string[]): Promise<number> {
  const options = {
    ...Object.fromEntries(
      Object.entries(command.options).map(([option, { type, short }]) => [
        option,
        { type, ...(short !== undefined && { short }) },
      ]),
    ),
    help: { type: 'boolean', short: 'h' },
  } as const
  // A first, lenient pass finds unknown options: parseArgs's own message for them offers no remedy.
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true })
  for (const token of tokens) {
    if (token.kind === 'option' && !Object.hasOwn(options, token.name)) {
      const hint = didYouMean(
        token.rawName,
        Object.keys(options).map((option) => `--${option}`),
      )
      throw new UsageError(`${name}: unknown option ${token.rawName}${hint}`)
    }
    if (token.kind === 'positional' && !command.positionals) {
      throw new UsageError(`${name}: unexpected ${token.value}`)
    }
  }
  const { values, positionals } = parse(() => parseArgs({ args, options, allowPositionals: true }), name)
  if (values.help) {
    const below = Object.entries(command.subcommands ?? {})
    print(
      commandHelp(name, command, await Promise.all(below.map(async ([word, get]) => [word, await get()]))),
    )
    return EXIT.ok
  }
  return command.run(values, positionals)
}

function parse<T>(parser: () => T, name: string): T {
  try {
    return parser()
  } catch (error) {
    throw new UsageError(`${name}: ${messageOf(error).split('\n')[0]}`)
  }
}

/** Commands are the files of `commands/`, .js when built, .ts in the sources. */
const folder = new URL('.', moduleUrl('cli/commands/x'))

function commandNames(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(extension) && !file.endsWith(`.d${extension}`))
    .map((file) => file.slice(0, -extension.length))
    .sort()
}

async function load(name: string): Promise<Command> {
  const url: string = moduleUrl(`cli/commands/${name}`).href
  return ((await import(url)) as { command: Command }).command
}
