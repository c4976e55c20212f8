/** What mattered: its switch, its map over the drawing, and how to read that. */
import { h } from '../dom.ts'
import { largestOf, pixelsOf } from './maps.ts'
import { markOf } from './mark.ts'
import type { Activations, HeatKind, Network, Unclear } from './types.ts'

const ways: Readonly<
  Record<HeatKind, { title: string; text: string; ends: [negative: string, positive: string] }>
> = {
  occlusion: {
    title: 'covering',
    text: 'Each place is covered in turn, and coloured by how much less sure, or surer, the network is then.',
    ends: ['surer without', 'less sure without'],
  },
  gradient: {
    title: 'gradient',
    text: 'Each pixel is coloured by the slope of the winning score there, times its ink (in a photograph: its distance from grey).',
    ends: ['speaks against', 'speaks for'],
  },
}

export class Heat {
  /** Lies over the drawing. */
  readonly canvas: HTMLCanvasElement = h('canvas', { class: 'heat', 'aria-hidden': 'true', hidden: true })
  readonly element: HTMLElement
  readonly #shown: HTMLInputElement = h('input', { type: 'checkbox', id: 'heat' })
  readonly #way: HTMLSelectElement = h(
    'select',
    { 'aria-label': 'Found by' },
    ...Object.entries(ways).map(([kind, { title }]) => h('option', { value: kind }, title)),
  )
  readonly #legend: HTMLElement = h('div', { class: 'heat-legend', hidden: true })

  /** @param changed told when another map is wanted, or none */
  constructor(changed: () => void) {
    this.element = h(
      'div',
      { class: 'heat-switch' },
      h('div', { class: 'row' }, h('label', { class: 'check' }, this.#shown, 'What mattered, by'), this.#way),
      this.#legend,
    )
    this.#shown.addEventListener('change', changed)
    this.#way.addEventListener('change', () => {
      // who chooses how wants to see it
      this.#shown.checked = true
      changed()
    })
  }

  /** What is wanted; undefined: nothing. */
  get kind(): HeatKind | undefined {
    return this.#shown.checked ? (this.#way.value as HeatKind) : undefined
  }

  /** Shows the map that came, if it is still wanted. */
  show(network: Network | undefined, activations: Activations | Unclear | undefined): void {
    const { kind } = this
    const heat = activations?.status === 'ready' ? activations.heat : undefined
    this.canvas.hidden = true
    this.#legend.hidden = kind === undefined
    if (!kind) return
    const wanted = heat?.head.kind === kind ? heat : undefined
    const largest = wanted?.values ? largestOf(wanted.values) : 0
    const problem =
      wanted && 'problem' in wanted.head
        ? wanted.head.problem
        : wanted && largest === 0
          ? 'No pixel moves the answer here, as far as the digits of float32 tell.'
          : undefined
    this.#explain(kind, problem)
    if (!network || activations?.status !== 'ready' || !wanted?.values || !('rows' in wanted.head)) return
    const { rows, columns } = wanted.head
    this.canvas.hidden = false
    this.canvas.width = columns
    this.canvas.height = rows
    this.canvas.getContext('2d')?.putImageData(pixelsOf(wanted.values, columns, rows, largest, true), 0, 0)
    const [, height = 1, width = 1] = network.info.input.shape
    const whole = markOf(network, activations, { top: 0, left: 0, bottom: height - 1, right: width - 1 })
    for (const [name, value] of [
      ['left', whole.x],
      ['top', whole.y],
      ['width', whole.width],
      ['height', whole.height],
    ] as const) {
      this.canvas.style[name] = `${100 * value}%`
    }
  }

  #explain(kind: HeatKind, problem: string | undefined): void {
    const { text, ends } = ways[kind]
    const [negative, positive] = ends
    // spoken again only when it is another
    const said = `${kind} ${problem ?? ''}`
    if (this.#legend.dataset.said === said) return
    this.#legend.dataset.said = said
    this.#legend.replaceChildren(
      h('div', { class: 'scale', 'aria-hidden': 'true' }),
      h('div', { class: 'row ends faint' }, h('span', {}, negative), h('span', {}, positive)),
      h('p', { class: 'faint' }, text),
      ...(problem === undefined ? [] : [h('p', { class: 'notice warm', role: 'status' }, problem)]),
    )
  }
}
