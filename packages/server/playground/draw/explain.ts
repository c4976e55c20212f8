/** What one value is made of, in words and numbers. */
import { h } from '../dom.ts'
import { largestOf, pixelsOf } from './maps.ts'
import { indexOf, type Place, placeOf, type Tap, tapsOf } from './receptive-field.ts'
import type { Activations, Network, Step } from './types.ts'

/** Numbers in a table; beyond that only sums are written. */
const MOST = 49

export function number(value: number): string {
  const size = Math.abs(value)
  if (size !== 0 && (size < 0.001 || size >= 10_000)) return value.toExponential(1)
  return value.toFixed(size < 10 ? 3 : 1).replace('-', '−')
}

/** For small squares. */
function short(value: number): string {
  return String(Number(value.toFixed(2))).replace('-', '−')
}

/** How a value came about, as elements. */
export function explain(network: Network, { values }: Activations, place: Place): Node[] {
  const { steps } = network.info
  const step = steps[place.step] as Step
  const value = values[place.step]?.[indexOf(steps, place)] ?? Number.NaN
  const where =
    step.shape.length === 3
      ? `map ${place.channel}, row ${place.y}, column ${place.x}`
      : `value ${place.channel}`
  const title = h(
    'p',
    { class: 'value' },
    h('strong', {}, step.name),
    ` · ${where} = `,
    h('code', {}, number(value)),
  )
  return [title, ...reasons(network, values, place, value)]
}

function reasons(network: Network, values: readonly Float32Array[], place: Place, value: number): Node[] {
  const { steps } = network.info
  const step = steps[place.step] as Step
  const before = step.inputs[0]
  if (before === undefined) return [text('A pixel of the drawing as the network takes it: 0 is paper.')]
  const input = steps[before] as Step
  const own = network.weights.get(place.step)
  const taps = tapsOf(steps, place, values, own?.weight)
  if (step.op === 'conv2d' && taps)
    return convolution(step, input, taps, own?.bias[place.channel] ?? 0, value)
  if (step.op === 'linear' && taps) return linear(input, taps, own?.bias[place.channel] ?? 0, value)
  if (taps && step.op === 'maxPool2d') {
    const best = taps.reduce((a, b) => (b.input > a.input ? b : a), taps[0] as Tap)
    return [
      text(`The largest of ${taps.length}, from row ${best.y}, column ${best.x} of ${input.name}:`),
      grid(
        step,
        taps.map((tap) => tap.input),
        taps.indexOf(best),
      ),
    ]
  }
  if (taps && step.op === 'avgPool2d') {
    return [
      text(`The mean of ${taps.length} values of ${input.name}:`),
      grid(
        step,
        taps.map((tap) => tap.input),
      ),
    ]
  }
  if (step.op === 'flatten') {
    const { channel, y, x } = placeOf(steps, before, place.channel)
    return [text(`The same number as ${input.name}, map ${channel}, row ${y}, column ${x}.`)]
  }
  const same = input.shape.length === step.shape.length && input.shape.every((n, d) => n === step.shape[d])
  if (!same || step.inputs.length > 1)
    return [text(`Computed from ${step.inputs.map((k) => steps[k]?.name).join(' and ')}.`)]
  const x = values[before]?.[indexOf(steps, place)] ?? Number.NaN
  if (step.op === 'relu') {
    return [formula(`max(0, ${number(x)}) = ${number(value)}`)]
  }
  if (step.op === 'scaledTanh') return [formula(`1.7159 · tanh(⅔ · ${number(x)}) = ${number(value)}`)]
  return [text(`${input.name} has ${number(x)} here.`)]
}

function convolution(step: Step, input: Step, taps: Tap[], bias: number, value: number): Node[] {
  const channels = [...new Set(taps.map(({ channel }) => channel))]
  const sums = channels.map((channel) =>
    taps.reduce((sum, tap) => (tap.channel === channel ? sum + tap.input * tap.weight : sum), 0),
  )
  const strongest =
    channels[sums.reduce((best, sum, k) => (Math.abs(sum) > Math.abs(sums[best] ?? 0) ? k : best), 0)]
  const shown = taps.filter(({ channel }) => channel === strongest)
  const nodes: Node[] = []
  const count = `${taps.length} multiplications`
  nodes.push(
    text(
      channels.length === 1
        ? `${count}: the window times the filter, added up, plus the bias.`
        : `${count}: for each of ${channels.length} maps of ${input.name} the window times its filter, added up, plus the bias. Below: map ${strongest}, which counts most.`,
    ),
  )
  const parts =
    sums.length > 6
      ? `Σ of ${sums.length} sums ${number(sums.reduce((a, b) => a + b, 0))}`
      : sums.map(number).join(' + ')
  nodes.push(formula(`${parts} + bias ${number(bias)} = ${number(value)}`.replaceAll('+ −', '− ')))
  if (shown.length <= MOST) {
    const of = (what: string, number: (tap: Tap) => number) => labelled(what, grid(step, shown.map(number)))
    const sign = (text: string) => h('span', { 'aria-hidden': 'true' }, text)
    nodes.push(
      h(
        'div',
        { class: 'product' },
        of('window', (tap) => tap.input),
        sign('×'),
        of('filter', (tap) => tap.weight),
        sign('='),
        of('products', (tap) => tap.input * tap.weight),
      ),
    )
  }
  return nodes
}

function linear(input: Step, taps: Tap[], bias: number, value: number): Node[] {
  const strongest = taps
    .map((tap) => ({ ...tap, product: tap.input * tap.weight }))
    .sort((a, b) => Math.abs(b.product) - Math.abs(a.product))
    .slice(0, 5)
  const rows = strongest.map(({ channel, input: x, weight, product }) =>
    h(
      'tr',
      {},
      h('td', {}, String(channel)),
      ...[x, weight, product].map((one) => h('td', { class: 'number' }, number(one))),
    ),
  )
  const head = [`of ${input.name}`, 'value', 'weight', 'product'].map((name, k) =>
    h('th', { scope: 'col', class: k > 0 ? 'number' : '' }, name),
  )
  const sum = taps.reduce((all, tap) => all + tap.input * tap.weight, 0)
  return [
    text(`All ${taps.length} values times their weights, added up, plus the bias. What counts most:`),
    h('table', {}, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows)),
    formula(`Σ ${number(sum)} + bias ${number(bias)} = ${number(value)}`.replaceAll('+ −', '− ')),
  ]
}

/** Numbers on their colours, in the rows and columns of a window. */
function grid(step: Step, values: readonly number[], best = -1): HTMLElement {
  const columns = step.window?.kernelSize[1] ?? values.length
  const rows: HTMLElement[] = []
  const largest = largestOf(Float32Array.from(values))
  const { data } = pixelsOf(Float32Array.from(values), values.length, 1, largest)
  for (let i = 0; i < values.length; i += columns) {
    const cells = values.slice(i, i + columns).map((value, k) => {
      const cell = h('td', { class: i + k === best ? 'best' : '' }, short(value))
      const [red = 0, green = 0, blue = 0] = data.subarray(4 * (i + k), 4 * (i + k) + 3)
      cell.style.background = `rgb(${red} ${green} ${blue})`
      cell.style.color = inkOn(red, green, blue)
      return cell
    })
    rows.push(h('tr', {}, ...cells))
  }
  return h('table', { class: 'window' }, h('tbody', {}, ...rows))
}

/** Black or white, whichever is read better: contrast as WCAG 2 has it. */
function inkOn(...rgb: number[]): string {
  const [red = 0, green = 0, blue = 0] = rgb.map((level) => {
    const share = level / 255
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
  return (luminance + 0.05) ** 2 > 0.05 * 1.05 ? '#000' : '#fff'
}

function labelled(label: string, element: HTMLElement): HTMLElement {
  return h('figure', {}, element, h('figcaption', { class: 'faint' }, label))
}

function text(content: string): HTMLElement {
  return h('p', { class: 'faint' }, content)
}

function formula(content: string): HTMLElement {
  return h('p', {}, h('code', {}, content))
}
