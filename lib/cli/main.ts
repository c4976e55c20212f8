/** The `kernelet` program: finds the command, reads its options, turns errors into lines and exit codes. */
import { statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { KerneletError, messageOf } from '../util/errors.ts'
import { version } from '../util/version.ts'
import { type Command, EXIT, USAGE_CODES, UsageError } from './command.ts'
import { commandHelp, programHelp } from './help.ts'
import { commandNames, load, subcommandsOf, words } from './registry.ts'
import { didYouMean } from './suggest.ts'
import { complain, endWithOutput, isOutputFault, print, tell } from './terminal.ts'

/**
 * @param args the command line without `node` and the program
 * @returns the exit code
 */
export async function main(args: readonly string[]): Promise<number> {
  const about: string[] = []
  try {
    endWithOutput()
    return await run(args, about)
  } catch (error) {
    if (error instanceof UsageError) {
      complain(`${error.message} (see kernelet ${[...about, '--help'].join(' ')})`)
      return EXIT.usage
    }
    if (error instanceof KerneletError) {
      complain(error.message)
      return USAGE_CODES.includes(error.code) ? EXIT.usage : EXIT.failed
    }
    if (isOutputFault(error)) {
      complain(`the output cannot be written: ${messageOf(error)}`)
      return EXIT.failed
    }
    throw error
  }
}

/** @param about gets the words of the command that was found */
async function run(args: readonly string[], about: string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === 'version' && (rest[0] === '--help' || rest[0] === '-h')) return run(['help'], about)
  if (name === '--version' || name === '-v' || name === 'version') {
    if (rest.length > 0) throw new UsageError(`version: unexpected ${rest[0]}`)
    print(version)
    return EXIT.ok
  }
  if (name === undefined) {
    tell(await wholeHelp())
    return EXIT.usage
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    const of = rest.filter((word) => word !== '--help' && word !== '-h')
    if (of.length > 0) return await run([...of, '--help'], about)
    print(await wholeHelp())
    return EXIT.ok
  }
  let command = await load(known(name))
  about.push(name)
  if (command.raw) return await command.raw(rest)
  let left = rest
  // `bench kernels …`: a word that is no option names a command below
  if (command.subcommands && left[0] !== undefined && !left[0].startsWith('-')) {
    const names = Object.keys(command.subcommands)
    if (!names.includes(left[0])) {
      const isData = 'data' in command.options && statSync(left[0], { throwIfNoEntry: false }) !== undefined
      const hint = isData ? `; did you mean kernelet ${name} --data ${left[0]}?` : didYouMean(left[0], names)
      throw new UsageError(`${name}: unknown command ${left[0]}${hint}`)
    }
    about.push(left[0])
    command = await command.subcommands[left[0]]!()
    left = left.slice(1)
  }
  return await runCommand(about.join(' '), command, left)
}

async function wholeHelp(): Promise<string> {
  return programHelp(await Promise.all(commandNames().map(async (name) => [name, await load(name)] as const)))
}

/** The name of a command, if it is one. */
function known(name: string): string {
  if (commandNames().includes(name)) return name
  if (name.startsWith('-')) {
    const hint = didYouMean(name, ['--help', '--version']) || '; a command comes first'
    throw new UsageError(`unknown option ${name}${hint}`)
  }
  const hint = didYouMean(name, [...commandNames(), ...Object.keys(words)])
  const isFile = hint === '' && statSync(name, { throwIfNoEntry: false }) !== undefined
  throw new UsageError(
    `unknown command ${name}${isFile ? `; did you mean kernelet classify ${name}?` : hint}`,
  )
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
    print(commandHelp(name, command, await subcommandsOf(name, command)))
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
