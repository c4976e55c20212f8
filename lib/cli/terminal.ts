/** Output: results on stdout, everything else on stderr, colour only where a person looks. */
import { EXIT } from './command.ts'

const STYLES = { bold: 1, dim: 2, red: 31, yellow: 33 } as const

/** A line of result. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** A line beside the results, on stderr. Where that cannot be written the work goes on. */
export function tell(text: string): void {
  showProgress('')
  put(`${text}\n`)
}

/** A line about what went wrong. */
export function complain(text: string): void {
  tell(`${style(process.stderr, 'red', 'kernelet:')} ${text}`)
}

let shown = false

/** A line that the next one takes the place of: on stderr, where a person looks. '' takes it away. */
export function showProgress(text: string): void {
  const { stderr } = process
  if (!stderr.isTTY || (text === '' && !shown)) return
  shown = text !== ''
  put(`\r\x1b[K${text.slice(0, Math.max(20, (stderr.columns || 80) - 1))}`)
}

function put(text: string): void {
  try {
    process.stderr.write(text)
  } catch (error) {
    if (!isOutputFault(error)) throw error
  }
}

/** Pretty JSON as the result. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** `text` in a style, if the stream is a terminal that has colours and `NO_COLOR` is not set. */
export function style(
  stream: NodeJS.WriteStream & { fd: 1 | 2 },
  name: keyof typeof STYLES,
  text: string,
): string {
  return stream.isTTY && stream.hasColors() ? `\x1b[${STYLES[name]}m${text}\x1b[0m` : text
}

/** Text from a file, with what could steer the terminal written out. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

/** Whether stdout or stderr, rather than a file of the work, could not be written: a full disk at `> file`. */
export function isOutputFault(error: unknown): error is NodeJS.ErrnoException {
  const { syscall, path } = (error ?? {}) as NodeJS.ErrnoException
  return error instanceof Error && syscall === 'write' && path === undefined
}

/**
 * Output that cannot be written ends the program: quietly where its reader went away (`| head`), which did not want
 * to see more; else with a line that says why and exit code 1. What becomes of stderr ends nothing.
 */
export function endWithOutput(): void {
  process.stderr.on('error', () => {})
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    complain(`the output cannot be written: ${error.message}`)
    process.exit(EXIT.failed)
  })
}
