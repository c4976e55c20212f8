/** Where one collects drawings with what they are. */
import { button, h } from '../dom.ts'
import { pixelsOf } from '../draw/maps.ts'
import { activationsOf } from '../draw/network.ts'
import { Pad, snapshotOf } from '../draw/pad.ts'
import { exampleOf } from '../draw/strokes.ts'
import type { Sample } from './follow.ts'

/** Drawings of each digit that a click adds. */
const EXAMPLES = 10
/** Thumbnails of a class. */
const SHOWN = 12

export class Samples {
  readonly element: HTMLElement
  readonly #byName = new Map<string, Float32Array[]>()
  readonly #list: HTMLElement = h('div', { class: 'samples' })
  readonly #said: HTMLElement = h('p', { class: 'faint', 'aria-live': 'polite' })
  /** Told when there are others. */
  changed: () => void = () => undefined
  #busy = false

  constructor() {
    const pad = new Pad('Drawing to learn from', 'samples-help', () => undefined)
    const name = h('input', { id: 'sample-name', value: '0', maxlength: 40, size: 6, autocomplete: 'off' })
    const add = (): void => {
      if (!pad.empty) void this.#add(name.value.trim(), pad.snapshot()).then((added) => added && pad.clear())
    }
    name.addEventListener('keydown', ({ key }) => key === 'Enter' && add())
    this.element = h(
      'section',
      { class: 'card', 'aria-label': 'Drawings to learn from' },
      h('h2', {}, 'Drawings'),
      h('div', { class: 'paper' }, pad.element),
      h(
        'div',
        { class: 'row' },
        h('label', { for: 'sample-name' }, 'This is a'),
        name,
        button('Add', add, { class: 'primary' }),
        button('Clear', () => pad.clear()),
      ),
      h(
        'p',
        { class: 'faint', id: 'samples-help' },
        'Draw a sign, say what it is, add it; a dozen of each of two signs will do. Keys: arrows move the pen, space lowers and lifts it.',
      ),
      h(
        'div',
        { class: 'row' },
        button(`Add ${EXAMPLES} of each digit`, () => void this.#addExamples()),
        button('Remove all', () => {
          this.#byName.clear()
          this.#show()
        }),
      ),
      this.#said,
      this.#list,
    )
    this.#show()
  }

  get classes(): string[] {
    return [...this.#byName.keys()]
  }

  get samples(): Sample[] {
    return [...this.#byName.values()].flatMap((images, label) => images.map((image) => ({ image, label })))
  }

  async #add(name: string, snapshot: Parameters<typeof activationsOf>[1]): Promise<boolean> {
    if (name === '') {
      this.#said.textContent = 'Say what it is first.'
      return false
    }
    const prepared = await activationsOf('@lenet5', snapshot, undefined)
    const image = prepared.status === 'ready' ? prepared.values[0] : undefined
    if (!image) {
      this.#said.textContent =
        prepared.status === 'several' ? 'These are several signs: draw one.' : 'There is nothing to see.'
      return false
    }
    this.#byName.set(name, [...(this.#byName.get(name) ?? []), image.slice()])
    this.#show()
    return true
  }

  async #addExamples(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    for (let digit = 0; digit < 10; digit++) {
      for (let k = 0; k < EXAMPLES; k++) {
        await this.#add(String(digit), snapshotOf(exampleOf(digit, Math.random)))
      }
    }
    this.#busy = false
  }

  #show(): void {
    const rows = [...this.#byName].map(([name, images]) => {
      const shown = images.slice(-SHOWN).map((image) => {
        const canvas = h('canvas', { width: 28, height: 28, 'aria-hidden': 'true' })
        canvas.getContext('2d')?.putImageData(pixelsOf(image, 28, 28, 1), 0, 0)
        return canvas
      })
      return h(
        'div',
        { class: 'class' },
        h('strong', {}, name),
        h('span', { class: 'faint' }, `${images.length}`),
        h('span', { class: 'thumbs' }, ...shown),
      )
    })
    this.#list.replaceChildren(...rows)
    const count = this.samples.length
    this.#said.textContent =
      count === 0
        ? 'None yet.'
        : `${count} ${count === 1 ? 'drawing' : 'drawings'} of ${rows.length} ${rows.length === 1 ? 'sign' : 'signs'}.`
    this.changed()
  }
}
