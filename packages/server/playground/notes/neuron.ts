/** Chapter 6: one neuron with sliders, and its training step by step. */
import type { Neuron } from '../../lib/playground/notes/neuron.ts'
import { askJson } from '../api.ts'
import { Chart } from '../chart.ts'
import { button, h } from '../dom.ts'
import { refusalLine, select, slider } from './fields.ts'
import type { Surroundings } from './language.ts'
import { latest } from './latest.ts'
import { firstState, type State } from './state.ts'

export function neuron(section: HTMLElement, state: State, { t, number }: Surroundings): () => void {
  const words = t.neuron
  let answer: Neuron | undefined
  const formula = h('p', { class: 'sum number', 'aria-live': 'polite' })
  const results = {
    output: h('dd', { class: 'number' }),
    loss: h('dd', { class: 'number' }),
    error: h('dd', { class: 'number' }),
  }
  const after = h('p', { class: 'faint number' })
  const refusal = refusalLine()
  const chart = new Chart({
    title: words.chart,
    x: words.z,
    curves: [
      { label: words.output, colour: '--accent' },
      { label: words.now, colour: '--warm', dots: 'only' },
    ],
    range: [-0.05, 1.05],
    nothing: '–',
    format: number,
  })
  let curve: { sum: number; output: number }[] = []

  const one = (label: string, limit: number, value: number, set: (value: number) => void) =>
    slider(label, { least: -limit, most: limit, step: 0.1, value }, number, (now) => {
      set(now)
      change()
    })
  const own = (): State['neuron'] => state.neuron
  const w = [0, 1].map((i) =>
    one(words.weight(i + 1), 5, own().weights[i] ?? 0, (value) => {
      own().weights[i] = value
    }),
  )
  const x = [0, 1].map((i) =>
    one(words.input(i + 1), 5, own().inputs[i] ?? 0, (value) => {
      own().inputs[i] = value
    }),
  )
  const b = one(words.bias, 5, own().bias, (value) => {
    own().bias = value
  })
  const rate = slider(words.rate, { least: 0.1, most: 2, step: 0.1, value: own().rate }, number, (value) => {
    own().rate = value
    change()
  })

  const ask = latest<Neuron>('neuron', (answered, refused) => {
    refusal.show(refused)
    answer = answered
    step.disabled = !answered
    if (!answered) return
    const { weights, inputs, bias } = own()
    const factors = weights.map((weight, i) => `${bracketed(weight)}·${bracketed(inputs[i] ?? 0)}`)
    formula.replaceChildren(
      h('span', {}, `z = ${factors.join(' + ')} + ${bracketed(bias)}`),
      h('span', {}, `= ${answered.products.map(bracketed).join(' + ')} + ${bracketed(bias)}`),
      h('span', {}, '= ', h('strong', {}, number(answered.sum))),
    )
    for (const name of ['output', 'loss', 'error'] as const)
      results[name].textContent = number(answered[name])
    after.textContent = words.after(number(answered.next.output))
    draw()
  })

  function bracketed(value: number): string {
    return value < 0 ? `(${number(value)})` : number(value)
  }

  function draw(): void {
    if (!answer || curve.length === 0) return
    const { sum, output } = answer
    const points = [...curve, { sum, output }].sort((a, c) => a.sum - c.sum)
    chart.show([
      points.map((point) => point.sum),
      points.map((point) => point.output),
      points.map((point) => (point.sum === sum ? point.output : null)),
    ])
  }

  const change = (): void => ask(own())

  const step = button(
    words.step,
    () => {
      if (!answer) return
      const { next } = answer
      own().weights = [...next.weights]
      own().bias = next.bias
      show()
      change()
    },
    { class: 'primary' },
  )
  const start = button(words.start, () => {
    const { weights, bias } = firstState().neuron
    own().weights = weights
    own().bias = bias
    show()
    change()
  })
  function show(): void {
    for (const [i, one] of w.entries()) one.set(own().weights[i] ?? 0)
    b.set(own().bias)
  }

  section.append(
    h(
      'div',
      { class: 'two' },
      h(
        'div',
        { class: 'sliders' },
        ...[...w, ...x, b, rate].map(({ element }) => element),
        select(
          words.answer,
          [
            [1, '1'],
            [0, '0'],
          ] as const,
          own().answer,
          (value) => {
            own().answer = value
            change()
          },
        ),
      ),
      chart.element,
    ),
    formula,
    refusal.element,
    h(
      'dl',
      { class: 'figures' },
      ...(['output', 'loss', 'error'] as const).map((name) =>
        h('div', {}, h('dt', {}, words[name]), results[name]),
      ),
    ),
    h('div', { class: 'row' }, step, start, after),
  )
  askJson<typeof curve>('./playground/notes/sigmoid').then(
    (points) => {
      curve = points
      draw()
    },
    (error: unknown) => refusal.show(error instanceof Error ? error.message : String(error)),
  )
  return change
}
