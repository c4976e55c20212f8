/** Scripts that let a shell complete `kernelet …`, made from the commands themselves. */
import type { Command, Option } from './command.ts'
import { helpOption } from './help.ts'
import { type Named, words } from './registry.ts'

/** By the shell's name: from all commands, each followed by those below it, to a script without a last newline. */
export const completions: Readonly<Record<string, (commands: readonly Named[]) => string>> = {
  bash,
  zsh,
  fish,
}

/** What follows `kernelet`: a word, what it is, and the words that may follow it. */
interface Entry {
  word: string
  summary: string
  command: Command | undefined
  below: Named[]
}

function entriesOf(commands: readonly Named[]): Entry[] {
  const top = commands.filter(([name]) => !name.includes(' '))
  return [
    ...top.map(([word, command]) => ({
      word,
      command,
      summary: command.summary,
      below: commands
        .filter(([name]) => name.startsWith(`${word} `))
        .map(([name, one]) => [name.slice(word.length + 1), one] as const),
    })),
    ...Object.entries(words).map(([word, summary]) => ({ word, summary, command: undefined, below: [] })),
  ]
}

/** A raw command's options are another package's; this program knows its --help only. */
function optionsOf(command: Command | undefined): (readonly [name: string, option: Option])[] {
  return command ? [...Object.entries(command.options), ['help', helpOption] as const] : []
}

/** Words of which one may come next. */
function after({ word, below }: Entry, commands: readonly Entry[]): string[] {
  if (word === 'help') return commands.map((one) => one.word).filter((one) => !Object.hasOwn(words, one))
  if (word === 'completion') return Object.keys(completions)
  return below.map(([one]) => one)
}

const flags = (command: Command | undefined): string[] =>
  optionsOf(command).flatMap(([name, { short }]) => [`--${name}`, ...(short ? [`-${short}`] : [])])

/** Options with a value: a file may follow, which is what bash falls back to. */
const taking = (command: Command | undefined): string[] =>
  optionsOf(command)
    .filter(([, { type }]) => type === 'string')
    .flatMap(([name, { short }]) => [`--${name}`, ...(short ? [`-${short}`] : [])])

function bash(commands: readonly Named[]): string {
  const entries = entriesOf(commands)
  const cases = entries.flatMap((entry) => [
    ...entry.below.map(([word, command]) => bashCase(`'${entry.word} ${word}'`, command, [])),
    bashCase(`'${entry.word} '*`, entry.command, after(entry, entries)),
  ])
  return `# bash completion for kernelet: eval "$(kernelet completion bash)"
_kernelet() {
  local word=\${COMP_WORDS[COMP_CWORD]} last=\${COMP_WORDS[COMP_CWORD-1]} options= values= next=
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W '${[...entries.map((entry) => entry.word), '--help', '--version'].join(' ')}' -- "$word"))
    return
  fi
  local second=
  (( COMP_CWORD > 2 )) && second=\${COMP_WORDS[2]}
  case "\${COMP_WORDS[1]} $second" in
${cases.join('\n')}
  esac
  [[ " $values " == *" $last "* ]] && return
  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif (( COMP_CWORD == 2 )) && [[ -n $next ]]; then COMPREPLY=($(compgen -W "$next" -- "$word"))
  fi
}
complete -o default -F _kernelet kernelet`
}

function bashCase(pattern: string, command: Command | undefined, next: readonly string[]): string {
  const set = [
    ['options', flags(command)],
    ['values', taking(command)],
    ['next', next],
  ] as const
  return `    ${pattern}) ${set.map(([name, list]) => `${name}='${list.join(' ')}'`).join(' ')} ;;`
}

/** In single quotes, which zsh and fish read alike but for the quote itself, of which there is none here. */
const quoted = (text: string): string => `'${text.replaceAll("'", '’')}'`

function zsh(commands: readonly Named[]): string {
  const entries = entriesOf(commands)
  const described = (list: readonly (readonly [string, string])[]) =>
    list.map(([word, meaning]) => quoted(`${word}:${meaning.replaceAll(':', '\\:')}`)).join(' ')
  const cases = entries.map((entry) => {
    const next = after(entry, entries)
    const below = entry.below.map(
      ([word, command]) => `      ${word}) shift words; (( CURRENT-- )); ${zshArguments(command)}; return ;;`,
    )
    const first =
      entry.below.length > 0
        ? [
            `      if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then`,
            `        list=(${described(entry.below.map(([word, { summary }]) => [word, summary]))})`,
            `        _describe command list; return`,
            '      fi',
            '      case $words[2] in',
            ...below,
            '      esac',
          ]
        : next.length > 0
          ? [`      (( CURRENT == 2 )) && { _values word ${next.map(quoted).join(' ')}; return }`]
          : []
    return [`    ${entry.word})`, ...first, `      ${zshArguments(entry.command)} ;;`].join('\n')
  })
  return `#compdef kernelet
# zsh completion for kernelet: eval "$(kernelet completion zsh)", or a file _kernelet in $fpath
_kernelet() {
  local -a list
  if (( CURRENT == 2 )); then
    list=(${described(entries.map(({ word, summary }) => [word, summary]))})
    _describe command list
    return
  fi
  shift words; (( CURRENT-- ))
  case $words[1] in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _kernelet ]]; then _kernelet "$@"; else compdef _kernelet kernelet; fi`
}

function zshArguments(command: Command | undefined): string {
  const options = optionsOf(command).flatMap(([name, { short, type, value, help }]) => {
    const text = `[${help.replaceAll(/[[\]\\]/g, '\\$&')}]`
    const rest = type === 'string' ? `:${value ?? 'value'}:_files` : ''
    return [`--${name}`, ...(short ? [`-${short}`] : [])].map((flag) => quoted(`${flag}${text}${rest}`))
  })
  return ['_arguments', ...options, ...(command?.positionals ? ["'*:file:_files'"] : [])].join(' ')
}

function fish(commands: readonly Named[]): string {
  const entries = entriesOf(commands)
  const first = entries.map(
    ({ word, summary }) =>
      `complete -c kernelet -n __fish_use_subcommand -f -a ${word} -d ${quoted(summary)}`,
  )
  const rest = entries.flatMap((entry) => {
    const seen = `__fish_seen_subcommand_from ${entry.word}`
    const below = entry.below.map(([word]) => word)
    const alone = below.length > 0 ? `${seen}; and not __fish_seen_subcommand_from ${below.join(' ')}` : seen
    const next = after(entry, entries)
    return [
      ...(next.length > 0 ? [`complete -c kernelet -n '${alone}' -f -a '${next.join(' ')}'`] : []),
      ...fishOptions(alone, entry.command),
      ...entry.below.flatMap(([word, command]) =>
        fishOptions(`${seen}; and __fish_seen_subcommand_from ${word}`, command),
      ),
    ]
  })
  return ['# fish completion for kernelet: ~/.config/fish/completions/kernelet.fish', ...first, ...rest].join(
    '\n',
  )
}

function fishOptions(condition: string, command: Command | undefined): string[] {
  return optionsOf(command).map(
    ([name, { short, type, help }]) =>
      `complete -c kernelet -n '${condition}' -l ${name}${short ? ` -s ${short}` : ''}` +
      `${type === 'string' ? ' -r -F' : ''} -d ${quoted(help)}`,
  )
}
