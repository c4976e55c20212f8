/** Chapter 2: sizes through a stack of layers. */
import type { Sized } from '../../lib/playground/notes/sizes.ts'
import { button, h } from '../dom.ts'
import { refusalLine } from './fields.ts'
import type { Surroundings } from './language.ts'
import { latest } from './latest.ts'
import { type Kind, type Layer, layerOf, type State, stacks } from './state.ts'

/** What each kind is told. */
const needs: Readonly<Record<Kind, readonly ('filters' | 'size' | 'stride' | 'padding' | 'units')[]>> = {
  conv: ['filters', 'size', 'stride', 'padding'],
  max: ['size', 'stride', 'padding'],
  mean: ['size', 'stride', 'padding'],
  relu: [],
  flatten: [],
  linear: ['units'],
}
const kinds = Object.keys(needs) as Kind[]
const least = { filters: 1, size: 1, stride: 1, padding: 0, units: 1 }
const most = { filters: 512, size: 64, stride: 64, padding: 64, units: 4096 }

export function sizes(section: HTMLElement, state: State, { t, count }: Surroundings): () => void {
  const words = t.sizes
  const body = h('tbody')
  const given = h('div', { class: 'row' })
  const total = h('p', { class: 'number' })
  const refusal = refusalLine()
  /** Where the answers go: output, rule and parameters of each row. */
  let cells: [output: HTMLElement, rule: HTMLElement, parameters: HTMLElement][] = []

  const ask = latest<Sized>('sizes', (answer, refused) => {
    const said = answer?.refusal
    refusal.show(refused ?? (said === undefined ? undefined : `${words.refused} ${said}`))
    let before: readonly number[] = state.stack.input
    for (const [i, [output, rule, parameters]] of cells.entries()) {
      const row = answer?.rows[i]
      output.textContent = row ? row.shape.join('×') : '—'
      parameters.textContent = row ? count(row.parameters) : ''
      rule.textContent = row ? ruleOf(state.stack.layers[i], before, row.shape) : ''
      before = row?.shape ?? before
    }
    const sum = (of: 'parameters' | 'multiplications'): string =>
      count(answer?.rows.reduce((all, row) => all + row[of], 0) ?? 0)
    total.textContent =
      said === undefined && answer ? words.total(sum('parameters'), sum('multiplications')) : ''
  })

  const change = (): void => ask(state.stack)

  function field(
    name: string,
    value: number,
    low: number,
    high: number,
    set: (value: number) => void,
  ): HTMLElement {
    const input = h('input', { type: 'number', min: low, max: high, step: 1, value, 'aria-label': name })
    input.addEventListener('input', () => {
      const now = input.valueAsNumber
      const right = Number.isInteger(now) && now >= low && now <= high
      input.setAttribute('aria-invalid', String(!right))
      if (!right) return
      set(now)
      change()
    })
    return input
  }

  function rowOf(layer: Layer, i: number): HTMLTableRowElement {
    const choice = h('select', { 'aria-label': `${words.number} ${i + 1}: ${words.kind}` })
    for (const kind of kinds) choice.append(h('option', { selected: kind === layer.kind }, words.kinds[kind]))
    choice.addEventListener('change', () => {
      state.stack.layers[i] = layerOf(kinds[choice.selectedIndex] ?? 'relu')
      draw()
      body.rows[i]?.querySelector('select')?.focus()
      change()
    })
    const [output, rule, parameters] = [
      h('td', { class: 'number' }),
      h('td', { class: 'faint number rule' }),
      h('td', { class: 'number' }),
    ]
    cells.push([output, rule, parameters])
    const own = needs[layer.kind]
    const cell = (...keys: readonly (typeof own)[number][]): HTMLElement => {
      const key = keys.find((one) => own.includes(one))
      if (key === undefined) return h('td')
      const name = `${words.number} ${i + 1}: ${words.long[key]}`
      return h(
        'td',
        {},
        field(name, layer[key], least[key], most[key], (value) => {
          layer[key] = value
        }),
      )
    }
    const remove = button(
      '×',
      () => {
        state.stack.layers.splice(i, 1)
        draw()
        change()
        add.focus()
      },
      { class: 'quiet', 'aria-label': words.remove(i + 1) },
    )
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, `${i + 1}`),
      h('td', {}, choice),
      cell('filters', 'units'),
      cell('size'),
      cell('stride'),
      cell('padding'),
      output,
      rule,
      parameters,
      h('td', {}, remove),
    )
  }

  const add = button(words.add, () => {
    state.stack.layers.push(layerOf('conv', { size: 3 }))
    draw()
    change()
    body.rows[state.stack.layers.length - 1]?.querySelector('select')?.focus()
  })

  function draw(): void {
    const { stack } = state
    cells = []
    const image = (['channels', 'height', 'width'] as const).map((side, i) =>
      h(
        'label',
        { class: 'inline' },
        field(`${words.input}: ${words[side]}`, stack.input[i] ?? 1, 1, i === 0 ? 512 : 1024, (value) => {
          stack.input[i] = value
        }),
        h('span', { class: 'faint', 'aria-hidden': 'true' }, words[side]),
      ),
    )
    given.replaceChildren(h('span', {}, words.input), ...image)
    body.replaceChildren(...stack.layers.map(rowOf))
    add.disabled = stack.layers.length >= 16
  }

  const heads = [
    ...[words.number, words.kind, words.amount, words.size, words.stride, words.padding].map((text) =>
      h('th', { scope: 'col' }, text),
    ),
    h('th', { scope: 'col', class: 'number' }, words.output),
    h('th', { scope: 'col' }, words.why),
    h('th', { scope: 'col', class: 'number' }, words.parameters),
    h('td'),
  ]
  const presets = (['notes', 'lenet5'] as const).map((name) =>
    button(words.presets[name], () => {
      state.stack = stacks[name]()
      draw()
      change()
    }),
  )
  draw()
  section.append(
    h('div', { class: 'row' }, ...presets),
    given,
    h(
      'div',
      { class: 'scroll' },
      h('table', { class: 'stack' }, h('thead', {}, h('tr', {}, ...heads)), body),
    ),
    refusal.element,
    h('div', { class: 'row' }, add),
    total,
  )
  return change
}

/** How the sizes come about, in numbers. */
function ruleOf(layer: Layer | undefined, before: readonly number[], after: readonly number[]): string {
  if (layer?.kind === 'flatten') return before.join(' · ')
  if (layer?.kind !== 'conv' && layer?.kind !== 'max' && layer?.kind !== 'mean') return ''
  const { size, stride, padding } = layer
  const inner = padding > 0 ? `${before[1]} + 2·${padding} − ${size}` : `${before[1]} − ${size}`
  return `⌊(${inner}) / ${stride}⌋ + 1 = ${after[1]}`
}
