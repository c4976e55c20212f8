import { type Command, EXIT, UsageError } from '../command.ts'
import { completions } from '../completions.ts'
import { allCommands } from '../registry.ts'
import { didYouMean } from '../suggest.ts'
import { print } from '../terminal.ts'

export const command: Command = {
  summary: 'print what lets bash, zsh or fish complete commands and options',
  usage: 'SHELL',
  description: `Prints a script for bash, zsh or fish. Once it is read, the tab key completes commands, options and
files after kernelet.`,
  options: {},
  examples: [
    ['eval "$(kernelet completion bash)"', 'in ~/.bashrc'],
    ['eval "$(kernelet completion zsh)"', 'in ~/.zshrc, after compinit'],
    ['kernelet completion fish > ~/.config/fish/completions/kernelet.fish', 'once'],
  ],
  positionals: true,
  async run(_, [shell, ...more]) {
    const shells = Object.keys(completions)
    if (shell === undefined || more.length > 0) {
      throw new UsageError(`completion: expected one of ${shells.join(', ')}`)
    }
    const script = Object.hasOwn(completions, shell) ? completions[shell] : undefined
    if (!script) {
      throw new UsageError(
        `completion: expected one of ${shells.join(', ')} but received ${shell}${didYouMean(shell, shells)}`,
      )
    }
    print(script(await allCommands()))
    return EXIT.ok
  },
}
