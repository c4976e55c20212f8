/** Chapter 1: a convolution, window by window. */
import type { Convolved } from '../../lib/playground/notes/convolution.ts'
import { button, h } from '../dom.ts'
import { integer, refusalLine, select } from './fields.ts'
import { EditableGrid, type Place, ResultGrid } from './grid.ts'
import type { Surroundings } from './language.ts'
import { latest } from './latest.ts'
import { filters, type State } from './state.ts'

/** Milliseconds a window stays while it plays. */
const PACE = 900

export function convolution(
  section: HTMLElement,
  state: State,
  { t, number }: Surroundings,
  again: () => void,
): () => void {
  const words = t.convolution
  let answer: Convolved | undefined
  let place: Place = [0, 0]
  let playing: ReturnType<typeof setInterval> | undefined

  const image = new EditableGrid(words.image, t, () => again())
  const filter = new EditableGrid(words.filter, t, () => {
    preset()
    again()
  })
  const map = new ResultGrid(words.map, t, number, (picked) => {
    if (playing === undefined) look(picked)
  })
  const refusal = refusalLine()
  const sum = h('p', { class: 'sum number', 'aria-live': 'polite' })
  const size = h('p', { class: 'faint number' })
  const which = h('span', { class: 'faint' })
  const play = button(words.play, () => (playing === undefined ? start() : stop()))
  const back = button(words.back, () => walk(-1))
  const next = button(words.next, () => walk(1), { class: 'primary' })
  const settings = h('div', { class: 'row' })

  const rows = (): number => answer?.map.length ?? 0
  const columns = (): number => answer?.map[0]?.length ?? 0

  function look(to: Place): void {
    place = [Math.min(to[0], Math.max(0, rows() - 1)), Math.min(to[1], Math.max(0, columns() - 1))]
    const [row, column] = place
    const products = answer?.products[row * columns() + column]
    if (!answer || !products) return
    map.select(place)
    const [high, wide] = [state.filter.length, state.filter[0]?.length ?? 0]
    image.mark([row * state.stride, column * state.stride], high, wide)
    const terms = products.map((_, i) => {
      const [r, c] = [Math.floor(i / wide), i % wide]
      const pixel = answer?.padded[row * state.stride + r]?.[column * state.stride + c] ?? 0
      return `${number(pixel)}·${bracketed(state.filter[r]?.[c] ?? 0)}`
    })
    sum.replaceChildren(
      h('span', {}, terms.join(' + ')),
      h('span', {}, `= ${products.map(bracketed).join(' + ')}`),
      h('span', {}, '= ', h('strong', {}, number(answer.map[row]?.[column] ?? 0))),
    )
    const at = row * columns() + column
    which.textContent = words.window(at + 1, rows() * columns())
  }

  function bracketed(value: number): string {
    return value < 0 ? `(${number(value)})` : number(value)
  }

  function walk(by: number): void {
    const all = rows() * columns()
    if (all === 0) return
    const at = (place[0] * columns() + place[1] + by + all) % all
    look([Math.floor(at / columns()), at % columns()])
  }

  function start(): void {
    play.textContent = words.stop
    sum.setAttribute('aria-live', 'off')
    walk(1)
    playing = setInterval(() => (section.isConnected ? walk(1) : stop()), PACE)
  }

  function stop(): void {
    clearInterval(playing)
    playing = undefined
    play.textContent = words.play
    sum.setAttribute('aria-live', 'polite')
  }

  const ask = latest<Convolved>('convolution', (answered, refused) => {
    refusal.show(refused)
    answer = answered
    for (const one of [back, next, play]) one.disabled = answered === undefined
    if (!answered) {
      stop()
      map.show([])
      sum.replaceChildren()
      size.textContent = which.textContent = ''
      return
    }
    map.show(answered.map)
    const rule = (n: number, k: number, out: number): string =>
      `⌊(${n} + 2·${state.padding} − ${k}) / ${state.stride}⌋ + 1 = ${out}`
    size.textContent = `${words.size}: ${rule(state.image.length, state.filter.length, rows())}`
    look(place)
  })

  function preset(): void {
    const same = filters.find(({ rows }) => JSON.stringify(rows) === JSON.stringify(state.filter))
    const choices = [
      ['own', words.own] as const,
      ...filters.map(({ name }) => [name, words.presets[name]] as const),
    ]
    const sides = [
      select(words.preset, choices, same?.name ?? 'own', (name) => {
        const chosen = filters.find((one) => one.name === name)
        if (chosen) state.filter = chosen.rows.map((row) => [...row])
        changed()
      }),
      integer(words.imageSize, 3, 8, state.image.length, (side) => {
        state.image = resized(state.image, side)
        changed()
      }),
      integer(words.filterSize, 1, 5, state.filter.length, (side) => {
        state.filter = resized(state.filter, side)
        changed()
      }),
      integer(words.padding, 0, 2, state.padding, (padding) => {
        state.padding = padding
        changed()
      }),
      integer(words.stride, 1, 3, state.stride, (stride) => {
        state.stride = stride
        changed()
      }),
    ]
    // the field that has the focus keeps it
    const at = [...settings.children].findIndex((field) => field.contains(document.activeElement))
    settings.replaceChildren(...sides)
    sides[at]?.querySelector('select')?.focus()
  }

  function changed(): void {
    preset()
    image.show(state.image, state.padding)
    filter.show(state.filter)
    again()
  }

  preset()
  image.show(state.image, state.padding)
  filter.show(state.filter)
  section.append(
    settings,
    refusal.element,
    h(
      'div',
      { class: 'beside' },
      h(
        'div',
        { class: 'work' },
        h(
          'div',
          { class: 'equation' },
          image.element,
          h('span', { class: 'sign', 'aria-hidden': 'true' }, '∗'),
          filter.element,
          h('span', { class: 'sign', 'aria-hidden': 'true' }, '='),
          map.element,
        ),
        h('div', { class: 'row' }, back, next, play, which),
        sum,
        size,
      ),
      h(
        'ul',
        { class: 'faint terms' },
        h('li', {}, h('strong', {}, words.padding), `: ${words.terms.padding}`),
        h('li', {}, h('strong', {}, words.stride), `: ${words.terms.stride}`),
        h('li', {}, words.terms.turn),
      ),
    ),
  )
  return () => ask({ ...state, stack: undefined })
}

/** The upper left part, or more of it with zeros. */
function resized(rows: number[][], side: number): number[][] {
  return Array.from({ length: side }, (_, r) => Array.from({ length: side }, (_, c) => rows[r]?.[c] ?? 0))
}
