/** One step of a network: its maps, and its filters. */
import { h } from '../dom.ts'
import { connectionTable } from './connection-table.ts'
import { type Layout, largestOf, layoutOf, outline, paintMaps, valueAt } from './maps.ts'
import type { Place, Region } from './receptive-field.ts'
import type { Network, Step } from './types.ts'

/** Maps that are drawn of one step. */
const MOST = 32
/** Values that are drawn of a step without maps. */
const MOST_VALUES = 420

const words: Readonly<Record<string, string>> = {
  input: 'the prepared drawing',
  conv2d: 'convolution',
  relu: 'ReLU: what is below 0 becomes 0',
  maxPool2d: 'max pooling: the largest of each window',
  avgPool2d: 'average pooling: the mean of each window',
  adaptiveAvgPool2d: 'average of each map',
  flatten: 'maps laid out in a row',
  linear: 'fully connected',
  scaledTanh: 'A·tanh(S·a)',
  softmax: 'softmax: scores become probabilities',
  pad: 'a margin of ground',
  mul: 'multiplied',
  concat: 'joined',
  add: 'added',
  batchNorm: 'batch normalisation',
}

export function describeStep({ name, op, shape, window }: Step): { title: string; what: string } {
  const kernel = window ? ` ${window.kernelSize.join('×')}` : ''
  const [what = op, ...why] = (words[op] ?? op).split(':')
  const reason = why.length > 0 ? `:${why.join(':')}` : ''
  const size =
    shape.length === 3 && (shape[1] !== 1 || shape[2] !== 1)
      ? `${shape[0]} ${shape[0] === 1 ? 'map' : 'maps'} of ${shape[1]}×${shape[2]}`
      : `${shape.join('×')} values`
  return { title: name, what: `${what}${kernel}${reason}, ${size}` }
}

export class StepView {
  readonly element: HTMLElement
  readonly canvas: HTMLCanvasElement
  readonly #step: Step
  readonly #index: number
  readonly #original: boolean
  #layout: Layout
  #values: Float32Array = new Float32Array(0)
  #outlined: { map: number; region: Region }[] = []

  /**
   * @param select told of the value that is pointed at; `undefined` when none is any more
   */
  constructor(network: Network, index: number, select: (place: Place | undefined, stay: boolean) => void) {
    this.#index = index
    this.#step = network.info.steps[index] as Step
    // F6 of 1998 was made to look like a picture of 7×12
    this.#original = network.info.steps.some(({ table }) => table !== undefined)
    const { title, what } = describeStep(this.#step)
    this.canvas = h('canvas', {
      tabindex: 0,
      role: 'application',
      'aria-roledescription': 'maps',
      'aria-label': `${title}, ${what}. Arrow keys go from value to value.`,
    })
    this.#layout = this.#layoutWithin(320)
    const hidden = this.#step.shape.length === 3 ? (this.#step.shape[0] ?? 1) - this.#layout.count : 0
    const some = this.#layout.count === 1 ? 'one of them shown' : `the first ${this.#layout.count} shown`
    const head = h(
      'header',
      {},
      h('h3', {}, title),
      h('span', { class: 'faint' }, hidden > 0 ? `${what}; ${some}` : what),
    )
    this.element = h('section', { class: 'step' }, head, h('div', { class: 'scroll' }, this.canvas))
    const filters = this.#filters(network)
    if (filters) this.element.append(filters)
    if (this.#step.table) this.element.append(connectionTable(this.#step.table))
    this.#listen(select)
  }

  get layout(): Layout {
    return this.#layout
  }

  /** Draws other values, within a width of the screen. */
  show(values: Float32Array, available: number): void {
    this.#values = values
    this.#layout = this.#layoutWithin(available)
    this.paint()
  }

  /** Draws what is there; outlines windows. */
  paint(outlined: { map: number; region: Region }[] = this.#outlined): void {
    this.#outlined = outlined
    paintMaps(this.canvas, this.#layout, this.#values, largestOf(this.#values))
    for (const { map, region } of outlined) {
      if (map < this.#layout.count) outline(this.canvas, this.#layout, map, this.#onScreen(region))
    }
  }

  get outlined(): boolean {
    return this.#outlined.length > 0
  }

  /** The map and region that show a place. */
  placed({ channel, y, x }: Place): { map: number; region: Region } {
    return {
      map: this.#isVector ? 0 : channel,
      region: this.#isVector ? line(channel) : { top: y, left: x, bottom: y, right: x },
    }
  }

  get #isVector(): boolean {
    const { shape } = this.#step
    return shape.length !== 3 || (shape[1] === 1 && shape[2] === 1)
  }

  /** Values without height and width lie in lines, as text does. */
  #onScreen(region: Region): Region {
    if (!this.#isVector) return region
    const row = Math.floor(region.left / this.#layout.columns)
    const column = region.left % this.#layout.columns
    return { top: row, left: column, bottom: row, right: column }
  }

  #layoutWithin(available: number): Layout {
    const { shape, shown } = this.#step
    if (!this.#isVector) return layoutOf(Math.min(MOST, shown), shape[1] ?? 1, shape[2] ?? 1, available)
    const count = Math.min(
      MOST_VALUES,
      shape.reduce((product, side) => product * side, 1),
    )
    const cell = count <= 10 ? 24 : 10
    const fitting = Math.max(1, Math.floor(available / cell))
    const wanted = this.#original && count === 84 ? 7 : count <= 10 ? 10 : count <= 84 ? 42 : 60
    const columns = Math.min(count, wanted, fitting)
    const rows = Math.ceil(count / columns)
    return { columns, rows, cell, across: 1, count: 1, width: columns * cell, height: rows * cell }
  }

  #listen(select: (place: Place | undefined, stay: boolean) => void): void {
    const { canvas } = this
    let chosen: Place | undefined
    const at = (event: MouseEvent): Place | undefined => {
      const { left, top } = canvas.getBoundingClientRect()
      const found = valueAt(this.#layout, event.clientX - left, event.clientY - top)
      if (!found) return undefined
      const { map, row, column } = found
      if (!this.#isVector) return { step: this.#index, channel: map, y: row, x: column }
      const channel = row * this.#layout.columns + column
      return channel < this.#values.length ? { step: this.#index, channel, y: 0, x: 0 } : undefined
    }
    canvas.addEventListener('pointermove', (event) => {
      if (event.pointerType === 'mouse') select(at(event), false)
    })
    canvas.addEventListener('pointerleave', () => select(undefined, false))
    canvas.addEventListener('click', (event) => select((chosen = at(event)), true))
    canvas.addEventListener('keydown', (event) => {
      const next = this.#moved(chosen ?? { step: this.#index, channel: 0, y: 0, x: 0 }, event.key)
      if (event.key === 'Escape') select((chosen = undefined), true)
      if (!next) return
      event.preventDefault()
      select((chosen = next), true)
    })
  }

  #moved({ step, channel, y, x }: Place, key: string): Place | undefined {
    const { columns, rows, count } = this.#layout
    if (this.#isVector) {
      const by: Readonly<Record<string, number>> = {
        ArrowLeft: -1,
        ArrowRight: 1,
        ArrowUp: -columns,
        ArrowDown: columns,
        Enter: 0,
      }
      const move = by[key]
      if (move === undefined) return undefined
      return { step, channel: Math.min(this.#values.length - 1, Math.max(0, channel + move)), y: 0, x: 0 }
    }
    const last = (value: number, size: number): number => Math.min(size - 1, Math.max(0, value))
    if (key === 'ArrowLeft') return { step, channel, y, x: last(x - 1, columns) }
    if (key === 'ArrowRight') return { step, channel, y, x: last(x + 1, columns) }
    if (key === 'ArrowUp') return { step, channel, y: last(y - 1, rows), x }
    if (key === 'ArrowDown') return { step, channel, y: last(y + 1, rows), x }
    if (key === 'PageDown') return { step, channel: last(channel + 1, count), y, x }
    if (key === 'PageUp') return { step, channel: last(channel - 1, count), y, x }
    return key === 'Enter' ? { step, channel, y, x } : undefined
  }

  /** The weights of a convolution as small pictures, a row for each map that they make. */
  #filters(network: Network): HTMLElement | undefined {
    const { op, weight: shape } = this.#step
    const weights = network.weights.get(this.#index)
    if (op !== 'conv2d' || !shape || !weights || (shape[2] === 1 && shape[3] === 1)) return undefined
    const [outputs = 1, inputs = 1, rows = 1, columns = 1] = shape
    const [shownOutputs, shownInputs] = [Math.min(16, outputs), Math.min(16, inputs)]
    const canvas = h('canvas', {
      role: 'img',
      'aria-label': `${outputs} filters of ${inputs}×${rows}×${columns}`,
    })
    const note =
      inputs === 1
        ? 'One filter for each map.'
        : `A row for each map that is made, a column for each map it is made of${
            shownOutputs < outputs || shownInputs < inputs ? '; the first ones' : ''
          }.`
    const details = h(
      'details',
      {},
      h('summary', {}, `Filters (${outputs} of ${inputs === 1 ? '' : `${inputs}×`}${rows}×${columns})`),
      h('p', { class: 'faint' }, note),
      h(
        'div',
        { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': `Filters of ${this.#step.name}` },
        canvas,
      ),
    )
    details.addEventListener('toggle', () => {
      const size = rows * columns
      const count = shownOutputs * shownInputs
      const values = new Float32Array(count * size)
      for (let out = 0; out < shownOutputs; out++) {
        const from = out * inputs * size
        values.set(weights.weight.subarray(from, from + shownInputs * size), out * shownInputs * size)
      }
      const plain = layoutOf(count, rows, columns, Number.POSITIVE_INFINITY)
      const cell = Math.max(2, Math.round((inputs === 1 ? 45 : 25) / columns))
      const across = inputs === 1 ? shownOutputs : shownInputs
      const down = count / across
      const layout = {
        ...plain,
        cell,
        across,
        width: across * (columns * cell + 6) - 6,
        height: down * (rows * cell + 6) - 6,
      }
      paintMaps(canvas, layout, values, largestOf(values))
    })
    return details
  }
}

function line(channel: number): Region {
  return { top: 0, left: channel, bottom: 0, right: channel }
}
