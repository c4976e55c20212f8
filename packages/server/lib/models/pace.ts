/** How long what waits will take, by what the like of it took. */
import { expectedLate } from '../errors.ts'

/** How much of a new figure goes into the known one: a slow one more is an accident. */
const SHARE = 1 / 8

export class Pace {
  /** Milliseconds of an image. */
  #each: number
  /** When what runs now is expected to end. */
  #until = Number.NEGATIVE_INFINITY

  /** @param each milliseconds of an image, as far as is known */
  constructor(each = 0) {
    this.#each = each
  }

  begin(images: number, now: number): void {
    this.#until = now + images * this.#each
  }

  /** So many images took so many milliseconds. */
  end(images: number, milliseconds: number): void {
    this.#until = Number.NEGATIVE_INFINITY
    this.#each += SHARE * (milliseconds / images - this.#each)
  }

  /**
   * @param images that wait, those asked for among them
   * @throws RequestError overloaded where these are expected to take longer than `most` milliseconds from now
   */
  check(images: number, most: number, now: number): void {
    const expected = Math.max(0, this.#until - now) + images * this.#each
    if (expected > most) throw expectedLate(expected, most)
  }
}
