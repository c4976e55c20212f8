/** Curves in the colours of the page, by uPlot. */
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import './chart.css'
import { colour, h } from './dom.ts'
import { onTheme } from './theme.ts'

export interface Curve {
  label: string
  /** A custom property of the theme; default: one after the other from its palette. */
  colour?: string
  dashed?: boolean
  /** Whether its values are dots: beside the line, or without one; default: a line alone. */
  dots?: 'too' | 'only'
}

export interface ChartOptions {
  title: string
  /** Of the numbers along the bottom. */
  x: string
  curves: Curve[]
  /** Powers of ten upwards. */
  logarithmic?: boolean
  /** The lowest and highest value upwards, where they are known beforehand. */
  range?: [number, number]
  format?: (value: number) => string
  /** What is said of a curve without values, to those who do not see it. */
  nothing?: string
}

const HEIGHT = 190

export class Chart {
  readonly element: HTMLElement
  readonly #options: ChartOptions
  readonly #place: HTMLElement = h('div', { class: 'plot' })
  #plot: uPlot | undefined
  #data: (number | null)[][]

  constructor(options: ChartOptions) {
    this.#options = options
    this.#data = [[], ...options.curves.map(() => [])]
    this.#place.setAttribute('role', 'img')
    this.element = h('figure', { class: 'chart card' }, h('figcaption', {}, options.title), this.#place)
    this.#describe()
    onTheme(() => this.#draw())
    new ResizeObserver(() => this.#resize()).observe(this.#place)
  }

  /** The numbers along the bottom, then those of each curve: null where there is none. */
  show(data: (number | null)[][]): void {
    this.#data = data
    this.#plot?.setData(data as unknown as uPlot.AlignedData)
    this.#describe()
  }

  /** For those who do not see it: the last value of each curve. */
  #describe(): void {
    const { title, curves, format = String, nothing = 'nothing yet' } = this.#options
    const last = curves.map(({ label }, k) => {
      const value = this.#data[k + 1]?.findLast((one) => one !== null)
      return `${label}: ${value === undefined || value === null ? nothing : format(value)}`
    })
    this.#place.setAttribute('aria-label', `${title}. ${last.join(', ')}`)
  }

  #resize(): void {
    const width = this.#place.clientWidth
    if (width === 0) return
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT })
    else this.#draw()
  }

  #draw(): void {
    const width = this.#place.clientWidth
    if (width === 0) return
    this.#plot?.destroy()
    const { x, curves, logarithmic = false, range, format } = this.#options
    const [ink, line] = [colour('--faint'), colour('--line')]
    const axis: uPlot.Axis = {
      stroke: ink,
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    }
    this.#plot = new uPlot(
      {
        width,
        height: HEIGHT,
        legend: { live: false },
        cursor: { show: false },
        scales: {
          x: { time: false },
          y: logarithmic
            ? { distr: 3 }
            : range
              ? { range }
              : { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.05 : 1] },
        },
        axes: [
          { ...axis, label: x, labelSize: 18, labelFont: '12px system-ui, sans-serif', size: 30 },
          {
            ...axis,
            ...(logarithmic && { grid: { ...axis.grid, filter: onlyPowers } }),
            size: 56,
            values: (_, ticks) =>
              ticks.map((tick) =>
                tick === null ? '' : format ? format(tick) : logarithmic ? power(tick) : String(tick),
              ),
          },
        ],
        series: [
          {},
          ...curves.map(({ label, colour: own, dashed, dots }, k) => {
            const stroke = colour(own ?? `--curve-${Math.round((8 * k) / Math.max(1, curves.length - 1))}`)
            const alone = dots === 'only'
            return {
              label,
              stroke,
              width: alone ? 0 : 2,
              spanGaps: true,
              points: dots ? { show: true, size: alone ? 12 : 6, fill: stroke } : { show: false },
              ...(dashed && { dash: [6, 4] }),
            }
          }),
        ],
      },
      this.#data as unknown as uPlot.AlignedData,
      this.#place,
    )
  }
}

function power(tick: number): string {
  const exponent = Math.log10(tick)
  return Math.abs(exponent - Math.round(exponent)) < 1e-6 ? `1e${Math.round(exponent)}` : ''
}

/** Lines at powers of ten, not at what lies between. */
function onlyPowers(_: uPlot, ticks: number[]): (number | null)[] {
  return ticks.map((tick) => (power(tick) === '' ? null : tick))
}
