/** How the server does: its own metrics of the last minutes. */
import '../chart.css'
import './service.css'
import { ask, askJson } from '../api.ts'
import { Chart } from '../chart.ts'
import { h } from '../dom.ts'
import type { Page } from '../page.ts'
import { mean, parseMetrics, quantile, type Sample, total } from './metrics.ts'

/** Milliseconds between two looks, and how many are kept. */
const EVERY = 1000
const KEPT = 180
/** Milliseconds between two looks of Node at its event loop, which it counts as delay. */
const RESOLUTION = 10

const milliseconds = (seconds: number | null): number | null => (seconds === null ? null : 1000 * seconds)
const short = (value: number): string => String(Number(value.toPrecision(3)))

export const page: Page = {
  title: 'Service',
  async mount(root) {
    const rate = new Chart({
      title: 'Answers a second',
      x: 'seconds',
      curves: [
        { label: 'answered', colour: '--accent' },
        { label: 'refused or failed', colour: '--warm' },
      ],
      format: short,
    })
    const latency = new Chart({
      title: 'From a request to its answer, ms',
      x: 'seconds',
      curves: [
        { label: 'half are faster', colour: '--accent' },
        { label: '99 % are faster', colour: '--warm' },
      ],
      format: short,
    })
    const batches = new Chart({
      title: 'Images a batch',
      x: 'seconds',
      curves: [{ label: 'mean', colour: '--accent' }],
      format: short,
    })
    const loop = new Chart({
      title: 'Delay of the event loop, ms',
      x: 'seconds',
      curves: [{ label: '99th percentile since the last look', colour: '--accent' }],
      format: short,
    })
    const tiles = h('dl', { class: 'tiles' })
    const models = h('tbody', {})
    const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true })
    const { version } = await askJson<{ version: string }>('v2')
    root.append(
      h('h1', {}, 'How the server does'),
      h(
        'p',
        { class: 'lead' },
        `kernelet ${version}. Looked at every second while this page is open; the playground’s own requests are not counted. `,
        h('a', { href: './routes' }, 'All routes'),
        ' · ',
        h('a', { href: './metrics' }, 'metrics for Prometheus'),
      ),
      problem,
      tiles,
      h('div', { class: 'charts' }, rate.element, latency.element, batches.element, loop.element),
      h(
        'section',
        { class: 'card', 'aria-label': 'Models' },
        h('h2', {}, 'Models'),
        h(
          'div',
          { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Figures of models' },
          h(
            'table',
            {},
            h(
              'thead',
              {},
              h(
                'tr',
                {},
                h('th', { scope: 'col' }, 'model'),
                ...['answered', 'failed', 'waiting', 'mean ms'].map((name) =>
                  h('th', { scope: 'col', class: 'number' }, name),
                ),
              ),
            ),
            models,
          ),
        ),
      ),
    )

    let before: { at: number; samples: Sample[] } | undefined
    const begin = performance.now()
    const lists: (number | null)[][] = Array.from({ length: 7 }, () => [])
    const look = async (): Promise<void> => {
      const samples = parseMetrics(await (await ask('metrics')).text())
      const at = performance.now()
      showTiles(tiles, samples)
      models.replaceChildren(...rowsOf(samples))
      if (before) {
        const seconds = (at - before.at) / 1000
        const old = before.samples
        const grown = (name: string): number => Math.max(0, total(samples, name) - total(old, name)) / seconds
        const now = [
          Math.round((at - begin) / 1000),
          grown('kernelet_requests_total'),
          grown('kernelet_failures_total'),
          milliseconds(quantile(old, samples, 'kernelet_request_seconds', 0.5)),
          milliseconds(quantile(old, samples, 'kernelet_request_seconds', 0.99)),
          mean(old, samples, 'kernelet_batch_images'),
          Math.max(0, (milliseconds(total(samples, 'nodejs_eventloop_lag_p99_seconds')) ?? 0) - RESOLUTION),
        ]
        for (const [k, value] of now.entries()) {
          lists[k]?.push(value)
          if ((lists[k]?.length ?? 0) > KEPT) lists[k]?.shift()
        }
        const [time = [], answered = [], failed = [], half = [], most = [], images = [], lag = []] = lists
        rate.show([time, answered, failed])
        latency.show([time, half, most])
        batches.show([time, images])
        loop.show([time, lag])
      }
      before = { at, samples }
    }
    const turn = async (): Promise<void> => {
      if (document.visibilityState === 'visible') {
        try {
          await look()
          problem.hidden = true
        } catch (error) {
          before = undefined
          problem.hidden = false
          problem.textContent = `The server does not answer: ${error instanceof Error ? error.message : error}`
        }
      } else before = undefined
      setTimeout(turn, EVERY)
    }
    await turn()
  },
}

function showTiles(tiles: HTMLElement, samples: readonly Sample[]): void {
  const failures = total(samples, 'kernelet_failures_total')
  const started = total(samples, 'process_start_time_seconds')
  const figures: [string, string][] = [
    ['Answered', Math.round(total(samples, 'kernelet_requests_total')).toLocaleString('en')],
    ['Refused or failed', failures.toLocaleString('en')],
    ['Images that wait', total(samples, 'kernelet_queue_images').toLocaleString('en')],
    ['Memory', `${Math.round(total(samples, 'process_resident_memory_bytes') / 2 ** 20)} MB`],
    ['Up for', started > 0 ? duration(Date.now() / 1000 - started) : '–'],
  ]
  tiles.replaceChildren(
    ...figures.map(([name, value]) => h('div', { class: 'card' }, h('dt', {}, name), h('dd', {}, value))),
  )
}

function rowsOf(samples: readonly Sample[]): HTMLElement[] {
  const names = new Set(
    samples
      .filter(({ name }) => /^kernelet_(requests_total|queue_images|model_loads_total)$/.test(name))
      .map(({ labels }) => labels.model ?? ''),
  )
  return [...names].sort().map((model) => {
    const of = (name: string): number => total(samples, name, { model })
    const count = of('kernelet_request_seconds_count')
    const each = count > 0 ? short((1000 * of('kernelet_request_seconds_sum')) / count) : '–'
    const figures = ['kernelet_requests_total', 'kernelet_failures_total', 'kernelet_queue_images'].map(
      (name) => of(name).toLocaleString('en'),
    )
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, model),
      ...[...figures, each].map((figure) => h('td', { class: 'number' }, figure)),
    )
  })
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`
}
