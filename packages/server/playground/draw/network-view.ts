/** A network with all its steps, and what is said of the value that is pointed at. */
import { h } from '../dom.ts'
import { onTheme } from '../theme.ts'
import { explain } from './explain.ts'
import { type Place, type Region, receptiveField, regionBefore, tapsOf } from './receptive-field.ts'
import { StepView } from './step-view.ts'
import type { Activations, Network, Step, Unclear } from './types.ts'

/** Told of the value that is pointed at: where in the input it comes from, and how it was computed. */
export type Pointed = (network: Network, value: { field: Region; explanation: Node[] } | undefined) => void

export class NetworkView {
  readonly element: HTMLElement
  readonly network: Network
  readonly #steps: StepView[]
  readonly #answer: HTMLElement = h('ol', { class: 'answer', 'aria-label': 'Probabilities' })
  readonly #figures: HTMLElement = h('p', { class: 'faint' })
  readonly #verdict: HTMLElement = h('p', { class: 'verdict' })
  readonly #list: HTMLElement
  readonly #pointed: Pointed
  #activations: Activations | undefined
  #pinned: Place | undefined
  #shown: Place | undefined

  constructor(network: Network, pointed: Pointed) {
    this.network = network
    this.#pointed = pointed
    const { steps, parameters, macs, connections } = network.info
    this.#steps = steps.map(
      (_, index) => new StepView(network, index, (place, stay) => this.#select(place, stay)),
    )
    const count = (n: number): string => n.toLocaleString('en')
    const size = `${count(parameters)} parameters, ${count(macs)} multiply-adds, ${count(connections)} connections`
    this.#list = h('div', { class: 'steps' }, ...this.#steps.map(({ element }) => element))
    this.element = h(
      'section',
      { class: 'network card', 'aria-label': network.title },
      h('header', {}, h('h2', {}, network.title), h('p', { class: 'faint' }, size)),
      h('div', { class: 'result' }, this.#verdict, this.#answer, this.#figures),
      this.#list,
    )
    onTheme(() => this.#paintAll())
    let width = 0
    new ResizeObserver(() => {
      if (width !== this.#list.clientWidth) this.#showValues()
      width = this.#list.clientWidth
    }).observe(this.#list)
  }

  /** What it sees in words. */
  get verdict(): string {
    return this.#verdict.textContent ?? ''
  }

  show(activations: Activations | Unclear | undefined): void {
    this.element.classList.toggle('idle', activations?.status !== 'ready')
    if (activations?.status !== 'ready') {
      this.#activations = undefined
      this.#verdict.textContent =
        activations?.status === 'several' ? 'Several signs: draw one' : 'Nothing to see yet'
      this.#figures.textContent = ''
      this.#answer.replaceChildren()
      this.#choose(undefined)
      return
    }
    this.#activations = activations
    this.#showAnswer(activations)
    this.#showValues()
    if (this.#shown) this.#choose(this.#shown)
  }

  #showAnswer({ probabilities, milliseconds }: Activations): void {
    const { labels } = this.network.info
    const ranked = [...probabilities.keys()].sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0))
    const [top = 0] = ranked
    const name = (k: number): string => labels[k] ?? String(k)
    this.#verdict.replaceChildren(h('strong', {}, name(top)), ` ${percent(probabilities[top] ?? 0)}`)
    const rows = probabilities.length <= 10 ? [...probabilities.keys()] : ranked.slice(0, 10)
    this.#answer.replaceChildren(
      ...rows.map((k) => {
        const share = probabilities[k] ?? 0
        const bar = h('span', { class: 'share' })
        bar.style.width = `${100 * share}%`
        return h(
          'li',
          { class: k === top ? 'top' : '' },
          h('span', { class: 'label' }, name(k)),
          h('span', { class: 'track', 'aria-hidden': 'true' }, bar),
          h('span', { class: 'number' }, percent(share)),
        )
      }),
    )
    const { prepare, activations, run } = milliseconds
    this.#figures.textContent =
      `Compiled, one image takes ${time(run)}. For this page: prepared in ${time(prepare)}, ` +
      `all steps in ${time(activations)}.`
  }

  #showValues(): void {
    const activations = this.#activations
    if (!activations) return
    const width = this.#list.clientWidth
    for (const [k, view] of this.#steps.entries())
      view.show(activations.values[k] ?? new Float32Array(0), width)
  }

  #paintAll(): void {
    if (this.#activations) for (const view of this.#steps) view.paint()
    if (this.#shown) this.#choose(this.#shown)
  }

  #select(place: Place | undefined, stay: boolean): void {
    if (!this.#activations) return
    if (stay) this.#pinned = place
    this.#choose(place ?? this.#pinned)
  }

  /** Explains a value and shows where it comes from. */
  #choose(place: Place | undefined): void {
    this.#shown = place
    const outlines = new Map<number, { map: number; region: Region }[]>()
    const activations = this.#activations
    if (!place || !activations) {
      this.#pinned = undefined
      this.#pointed(this.network, undefined)
    } else {
      const { steps } = this.network.info
      const explanation = explain(this.network, activations, place)
      this.#pointed(this.network, { field: receptiveField(steps, place), explanation })
      const view = this.#steps[place.step] as StepView
      outlines.set(place.step, [view.placed(place)])
      this.#outlineInputs(steps, place, activations, outlines)
    }
    for (const [k, view] of this.#steps.entries()) {
      const outlined = outlines.get(k)
      if (outlined || view.outlined) view.paint(outlined ?? [])
    }
  }

  /** The windows of the step before; of a max pool also the value that it took. */
  #outlineInputs(
    steps: readonly Step[],
    place: Place,
    { values }: Activations,
    outlines: Map<number, { map: number; region: Region }[]>,
  ): void {
    const step = steps[place.step] as Step
    for (const [k, before] of step.inputs.entries()) {
      const own = this.network.weights.get(place.step)
      const taps = tapsOf(steps, place, values, own?.weight)
      if (step.op === 'linear' || steps[before]?.shape.length !== step.shape.length) continue
      const at = { top: place.y, left: place.x, bottom: place.y, right: place.x }
      const region = regionBefore(steps, place.step, at, k)
      const channels = taps ? new Set(taps.map(({ channel }) => channel)) : new Set([place.channel])
      const list = [...channels].map((map) => ({ map, region }))
      if (step.op === 'maxPool2d' && taps?.[0]) {
        const { y, x } = taps.reduce((a, b) => (b.input > a.input ? b : a), taps[0])
        list.push({ map: place.channel, region: { top: y, left: x, bottom: y, right: x } })
      }
      if (step.shape.length === 3) outlines.set(before, list)
    }
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.0005 || share >= 0.99995 ? 0 : share < 0.995 ? 1 : 2)} %`
}

function time(milliseconds: number): string {
  return milliseconds < 0.1 ? `${(1000 * milliseconds).toFixed(1)} µs` : `${milliseconds.toFixed(1)} ms`
}
