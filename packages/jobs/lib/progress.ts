/** A bar on a terminal, and nothing elsewhere. */

const WIDTH = 24

export class Bar {
  readonly #stream: NodeJS.WriteStream
  readonly #start: number = performance.now()
  #first: number | undefined
  #shown = false

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream
  }

  show(done: number, all: number, more = ''): void {
    if (!this.#stream.isTTY) return
    this.#first ??= done
    const seconds = (performance.now() - this.#start) / 1000
    const rate = (done - this.#first) / seconds
    const full = Math.round((WIDTH * done) / Math.max(1, all))
    const left = rate > 0 ? `, ${Math.ceil((all - done) / rate)} s left` : ''
    this.#shown = true
    this.#stream.write(
      `\r\x1b[K${'█'.repeat(full)}${'░'.repeat(WIDTH - full)} ${Math.floor((100 * done) / Math.max(1, all))} %  ` +
        `${count(done)} of ${count(all)}, ${count(Math.round(rate))} a second${left}${more}`,
    )
  }

  clear(): void {
    if (this.#shown) this.#stream.write('\r\x1b[K')
    this.#shown = false
  }
}

/** 1,234,567 */
export function count(number: number): string {
  return number.toLocaleString('en-US')
}
