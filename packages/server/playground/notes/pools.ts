/** Chapter 3: ReLU and pools, and in which order. */
import type { Convolved } from '../../lib/playground/notes/convolution.ts'
import type { Grid } from '../../lib/playground/notes/read.ts'
import { h } from '../dom.ts'
import { integer, refusalLine } from './fields.ts'
import { ResultGrid } from './grid.ts'
import type { Surroundings } from './language.ts'
import { latest } from './latest.ts'
import type { State } from './state.ts'

export function pools(section: HTMLElement, state: State, { t, number }: Surroundings): () => void {
  const words = t.pools
  let answer: Convolved | undefined
  const map = new ResultGrid(words.map, t, number)
  const relu = new ResultGrid(words.relu, t, number)
  const mean = new ResultGrid(words.mean, t, number)
  const from = h('p', { class: 'number', 'aria-live': 'polite' })
  const max = new ResultGrid(words.max, t, number, ([row, column]) => look(row, column))
  const orders = {
    max: new ResultGrid(words.maxFirst, t, number),
    mean: new ResultGrid(words.meanFirst, t, number),
  }
  const verdicts = { max: h('p', { class: 'verdict' }), mean: h('p', { class: 'verdict' }) }
  const refusal = refusalLine()

  function look(row: number, column: number): void {
    const made = answer?.pools
    const place = made?.from[row * (made.reluMax[0]?.length ?? 0) + column]
    if (!made || !place) return
    max.select([row, column])
    relu.mark([row * state.pool, column * state.pool], state.pool, place)
    from.textContent = words.from(
      number(made.reluMax[row]?.[column] ?? 0),
      t.place(place[0] + 1, place[1] + 1),
    )
  }

  const ask = latest<Convolved>('convolution', (answered, refused) => {
    answer = answered
    const made = answered?.pools
    refusal.show(refused ?? answered?.refusal)
    map.show(answered?.map ?? [])
    relu.show(answered?.relu ?? [])
    for (const [grid, rows] of [
      [max, made?.reluMax],
      [mean, made?.reluMean],
      [orders.max, made?.maxRelu],
      [orders.mean, made?.meanRelu],
    ] as const)
      grid.show(rows ?? [])
    from.textContent = ''
    const say = (line: HTMLElement, one: Grid | undefined, other: Grid | undefined): void => {
      const same = JSON.stringify(one) === JSON.stringify(other)
      line.textContent = made ? (same ? `= ${words.same}` : `≠ ${words.differs}`) : ''
      line.classList.toggle('differs', !same)
    }
    say(verdicts.max, made?.reluMax, made?.maxRelu)
    say(verdicts.mean, made?.reluMean, made?.meanRelu)
    look(0, 0)
  })

  const change = (): void =>
    ask({ image: state.image, filter: state.filter, padding: 1, stride: 1, pool: state.pool })
  section.append(
    h(
      'div',
      { class: 'row' },
      integer(words.size, 1, 4, state.pool, (size) => {
        state.pool = size
        change()
      }),
    ),
    refusal.element,
    h(
      'div',
      { class: 'equation' },
      map.element,
      h('span', { class: 'sign', 'aria-hidden': 'true' }, '→'),
      relu.element,
      h('span', { class: 'sign', 'aria-hidden': 'true' }, '→'),
      max.element,
      mean.element,
    ),
    from,
    h('h3', {}, words.order),
    h('p', { class: 'faint' }, words.orderText),
    h(
      'div',
      { class: 'equation' },
      h('div', {}, orders.max.element, verdicts.max),
      h('div', {}, orders.mean.element, verdicts.mean),
    ),
  )
  return change
}
