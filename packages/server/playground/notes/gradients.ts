/** Chapter 7: what is left of a gradient after many layers. */
import type { Gradients } from '../../lib/playground/notes/gradients.ts'
import { Chart } from '../chart.ts'
import { h } from '../dom.ts'
import { refusalLine, select, slider } from './fields.ts'
import type { Surroundings } from './language.ts'
import { latest } from './latest.ts'
import type { State } from './state.ts'

/** A first layer that gets less, or more, of a gradient is in trouble. */
const LITTLE = 1e-3
const MUCH = 1e3

export function gradients(section: HTMLElement, state: State, { t, number }: Surroundings): () => void {
  const words = t.gradients
  const own = state.gradients
  const figures = {
    slope: h('dd', { class: 'number' }),
    factor: h('dd', { class: 'number' }),
    first: h('dd', { class: 'number' }),
  }
  const verdict = h('p', { class: 'notice', 'aria-live': 'polite' })
  const refusal = refusalLine()
  const chart = new Chart({
    title: words.chart,
    x: words.layer,
    curves: [{ label: words.left, colour: '--accent', dots: 'too' }],
    nothing: '–',
    logarithmic: true,
    format: number,
  })
  const ask = latest<Gradients>('gradients', (answer, refused) => {
    refusal.show(refused)
    if (!answer) return
    const first = answer.left.at(-1) ?? 0
    figures.slope.textContent = number(answer.slope)
    figures.factor.textContent = number(answer.factor)
    figures.first.textContent = number(first)
    const size = Math.abs(first)
    verdict.textContent =
      size === 0 ? words.dead : size < LITTLE ? words.vanishes : size > MUCH ? words.explodes : words.fine
    verdict.classList.toggle('warm', size < LITTLE || size > MUCH)
    // of a logarithmic scale: sizes, and nothing where there is none
    const sizes = answer.left.map((one) => (one === 0 ? null : Math.abs(one))).reverse()
    chart.show([sizes.map((_, i) => i + 1), sizes])
  })
  const change = (): void => ask(own)
  const one = (
    label: string,
    key: 'weight' | 'sum' | 'layers',
    least: number,
    most: number,
    step: number,
  ): HTMLElement =>
    slider(label, { least, most, step, value: own[key] }, number, (value) => {
      own[key] = value
      change()
    }).element
  section.append(
    h(
      'div',
      { class: 'two' },
      h(
        'div',
        { class: 'sliders' },
        select(
          words.activation,
          [
            ['sigmoid', 'σ'],
            ['tanh', 'tanh'],
            ['relu', 'ReLU'],
          ] as const,
          own.activation,
          (value) => {
            own.activation = value
            change()
          },
        ),
        one(words.weight, 'weight', -6, 6, 0.1),
        one(words.sum, 'sum', -6, 6, 0.1),
        one(words.layers, 'layers', 2, 30, 1),
      ),
      chart.element,
    ),
    h(
      'dl',
      { class: 'figures' },
      ...(['slope', 'factor', 'first'] as const).map((name) =>
        h('div', {}, h('dt', {}, words[name]), figures[name]),
      ),
    ),
    refusal.element,
    verdict,
  )
  return change
}
