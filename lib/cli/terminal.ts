/** Output: results on stdout, everything else on stderr, colour only where a person looks. */

const STYLES = { bold: 1, dim: 2, red: 31, yellow: 33 } as const

/** A line of result. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** A line about what went wrong. */
export function complain(text: string): void {
  process.stderr.write(`${style(process.stderr, 'red', 'kernelet:')} ${text}\n`)
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

/** A reader that goes away (`| head`) is no error: what it did not want to see is not printed. */
export function allowClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      process.exit()
    })
  }
}
