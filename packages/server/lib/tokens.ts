/** Bearer tokens, compared in a time that does not tell how much of one was right. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { unreadableFor } from './errors.ts'
import { SettingsError } from './settings.ts'

export class Tokens {
  readonly #digests: readonly Buffer[]

  private constructor(tokens: readonly string[]) {
    this.#digests = tokens.map(digest)
  }

  /** @throws SettingsError for a file that cannot be read or holds none */
  static read(file: string): Tokens {
    let lines: string[]
    try {
      lines = readFileSync(file, 'utf8').split('\n')
    } catch (cause) {
      throw new SettingsError(`--token-file: ${file} cannot be read: ${unreadableFor(cause)}`)
    }
    const tokens = lines.map((line) => line.trim()).filter((line) => line !== '')
    if (tokens.length > 0) return new Tokens(tokens)
    throw new SettingsError(`--token-file: ${file} holds no token`)
  }

  /** @param authorization the header: `Bearer …` */
  accept(authorization: string | undefined): boolean {
    const given = digest(/^Bearer +(.+)$/i.exec(authorization ?? '')?.[1] ?? '')
    let found = false
    for (const one of this.#digests) {
      if (timingSafeEqual(one, given)) found = true
    }
    return found
  }
}

/** Of one length, whatever the token's. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
