/** Lines over an axis, by uPlot, in the colours of the theme. */
import 'uplot/dist/uPlot.min.css'
import uPlot from 'uplot'
import { colour, h } from '../dom.ts'
import { onTheme } from '../theme.ts'

export interface ChartOptions {
  title: string
  x: string
  lines: readonly { name: string; as: 'line' | 'points' | 'both' }[]
  logarithmic?: boolean
  format(value: number): string
}

const HEIGHT = 220

export class Chart {
  readonly element: HTMLElement
  readonly #options: ChartOptions
  readonly #place: HTMLElement
  #data: uPlot.AlignedData
  #plot: uPlot | undefined

  constructor(options: ChartOptions) {
    this.#options = options
    this.#place = h('div', { class: 'plot', role: 'img', 'aria-label': options.title })
    this.element = h('figure', { class: 'chart' }, h('figcaption', {}, options.title), this.#place)
    this.#data = [[], ...options.lines.map(() => [])]
    onTheme(() => this.#draw())
    new ResizeObserver(() => {
      const width = this.#place.clientWidth
      if (this.#plot && width > 0) this.#plot.setSize({ width, height: HEIGHT })
      else this.#draw()
    }).observe(this.#place)
  }

  show(data: uPlot.AlignedData): void {
    this.#data = data
    if (this.#plot) this.#plot.setData(data)
    else this.#draw()
  }

  #draw(): void {
    const width = this.#place.clientWidth
    if (width === 0) return
    this.#plot?.destroy()
    const { x, lines, logarithmic, format } = this.#options
    const [faint, line] = [colour('--faint'), colour('--line')]
    const colours = [colour('--accent'), colour('--warm')]
    const axis: uPlot.Axis = {
      stroke: faint,
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1 },
      font: '12px system-ui, sans-serif',
      labelFont: '12px system-ui, sans-serif',
    }
    this.#plot = new uPlot(
      {
        width,
        height: HEIGHT,
        scales: { x: { time: false }, y: logarithmic ? { distr: 3 } : {} },
        axes: [
          { ...axis, label: x, labelSize: 20 },
          {
            ...axis,
            size: 64,
            values: (_plot, values) => values.map((one) => (one === null ? '' : format(one))),
          },
        ],
        cursor: { drag: { x: false, y: false } },
        legend: { show: false },
        series: [
          {},
          ...lines.map(({ name, as }, i) => ({
            label: name,
            stroke: colours[i] ?? faint,
            width: as === 'points' ? 0 : 2,
            points: { show: as !== 'line', size: as === 'points' ? 12 : 5, fill: colours[i] ?? faint },
          })),
        ],
      },
      this.#data,
      this.#place,
    )
  }
}
