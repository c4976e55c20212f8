/** Teach a small network, and watch how it learns, or does not. */
import '../chart.css'
import '../draw/draw.css'
import './train.css'
import { askJson } from '../api.ts'
import { Chart } from '../chart.ts'
import { button, h } from '../dom.ts'
import type { Page } from '../page.ts'
import { bodyOf, follow, type Report } from './follow.ts'
import { Samples } from './samples.ts'

type Task = 'drawings' | 'mnist' | 'vanishing' | 'exploding'

const stories: Readonly<Record<Task, { title: string; text: string; cured?: string; cure?: string }>> = {
  drawings: {
    title: 'Your drawings',
    text: 'LeNet-5 from random weights, Adam, each drawing a little turned and moved every time. Every fifth drawing of a sign is kept to test with.',
  },
  mnist: {
    title: 'MNIST',
    text: 'LeNet-5 from random weights on 60,000 handwritten digits, Adam, 64 a step; tested with a thousand that it never sees.',
  },
  vanishing: {
    title: 'Vanishing gradient',
    text: 'Nine layers with sigmoid are to tell three arms of a spiral apart. The slope of sigmoid is at most ¼, and every layer multiplies by it: what reaches the first layers is a ten-thousandth of what the last one gets. They do not learn, and the loss stays at ln 3 ≈ 1.099.',
    cure: 'Cure it: ReLU',
    cured:
      'The same network with ReLU, whose slope is 1 wherever it is not 0, and first weights as He et al. draw them for it: all layers get gradients of one size, and learn.',
  },
  exploding: {
    title: 'Exploding gradient',
    text: 'The same network with ReLU and a learning rate far too high, 0.3. A step overshoots, the next gradient is larger, so is the next step: the norm grows until a number is infinite and training has diverged.',
    cure: 'Cure it: clip to norm 1',
    cured:
      'The same rate, but gradients longer than 1 are scaled down to 1 before the step (the curves show them before that): no step can be too long, and it learns.',
  },
}

/** 1.5e12: a loss that explodes has a dozen digits before its point. */
const power = (value: number): string => value.toExponential(1).replace('.0', '').replace('+', '')
const short = (value: number): string =>
  Math.abs(value) < 1e5 ? String(Number(value.toPrecision(3))) : power(value)
const percent = (value: number): string => `${Math.round(100 * value)} %`

export const page: Page = {
  title: 'Train',
  async mount(root) {
    const { mnist } = await askJson<{ mnist: boolean }>('playground/training')
    let task: Task = 'drawings'
    let running: AbortController | undefined
    let run: { id: number; task: Task; cured: boolean } | undefined
    const state = h('p', { class: 'state', role: 'status' })
    const story = h('p', {})
    const charts = h('div', { class: 'charts' })
    const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true })
    const start = button('Train', () => void train(false), { class: 'primary' })
    const stop = button('Stop', () => running?.abort(), { disabled: true })
    const resume = button('Resume', () => void go(`playground/train/resume?id=${run?.id}`, undefined), {
      disabled: true,
    })
    const cure = button('', () => void train(true))
    const look = h('a', { href: './?network=@trained', hidden: true }, 'Draw with this network')

    const choices = (Object.keys(stories) as Task[])
      .filter((one) => one !== 'mnist' || mnist)
      .map((one) =>
        button(stories[one].title, () => choose(one), {
          'data-task': one,
          'aria-pressed': one === task ? 'true' : 'false',
        }),
      )
    const samples = new Samples()
    samples.changed = () => show()
    root.append(
      h('h1', {}, 'Teach a small network'),
      h(
        'p',
        { class: 'lead' },
        'It learns on this server while you watch; it stops when you leave the page, or after a minute.',
      ),
      h('div', { class: 'row', role: 'group', 'aria-label': 'What it learns' }, ...choices),
      h(
        'div',
        { class: 'train' },
        h('div', { class: 'side' }, samples.element),
        h(
          'div',
          { class: 'main' },
          h(
            'section',
            { class: 'card', 'aria-label': 'Run' },
            story,
            h('div', { class: 'row' }, start, cure, stop, resume, look),
            state,
            problem,
          ),
          charts,
        ),
      ),
    )

    const curves = new Curves(charts)

    function choose(next: Task): void {
      task = next
      for (const one of choices) one.setAttribute('aria-pressed', String(one.dataset.task === task))
      show()
    }

    function show(): void {
      const { text, cure: label } = stories[task]
      const drawings = task === 'drawings'
      root.querySelector('.train')?.classList.toggle('alone', !drawings)
      samples.element.hidden = !drawings
      const ready = !drawings || (samples.classes.length >= 2 && samples.samples.length >= 4)
      story.textContent = run?.task === task && run.cured ? (stories[task].cured ?? text) : text
      start.disabled = running !== undefined || !ready
      start.textContent = drawings || task === 'mnist' ? 'Train' : 'Show it'
      cure.hidden = label === undefined
      cure.textContent = label ?? ''
      cure.disabled = running !== undefined
      stop.disabled = running === undefined
      if (drawings && !ready && run === undefined)
        state.textContent = 'Add drawings of two signs at least to begin.'
      else if (run === undefined) state.textContent = ''
    }

    async function train(cured: boolean): Promise<void> {
      run = { id: 0, task, cured }
      look.hidden = true
      const body = task === 'drawings' ? bodyOf(samples.samples, samples.classes) : undefined
      await go(`playground/train?task=${task}&cured=${cured ? 1 : 0}`, body)
    }

    async function go(path: string, body: BufferSource | undefined): Promise<void> {
      if (running) return
      running = new AbortController()
      problem.hidden = true
      resume.disabled = true
      show()
      let ended: Extract<Report, { kind: 'end' }> | undefined
      try {
        await follow(path, body, running.signal, (report) => {
          if (report.kind === 'run' && run) run.id = report.id
          else if (report.kind === 'end') ended = report
          else {
            curves.add(report)
            if (report.kind !== 'run') state.textContent = curves.state
          }
        })
      } catch (error) {
        if (!running.signal.aborted) {
          problem.hidden = false
          problem.textContent = error instanceof Error ? error.message : String(error)
        }
      }
      const stopped = running.signal.aborted || ended?.why === 'time'
      running = undefined
      resume.disabled = !stopped
      look.hidden = !(
        run &&
        (run.task === 'drawings' || run.task === 'mnist') &&
        (stopped || ended?.why === 'done')
      )
      if (stopped) state.textContent = `${curves.state} Stopped.`
      if (ended?.why === 'done') state.textContent = `${curves.state} Done.`
      if (ended?.why === 'diverged' || ended?.why === 'failed') {
        problem.hidden = false
        problem.textContent = ended.message
      }
      show()
    }
    // what a page that is left was doing is nobody's any more
    addEventListener('pagehide', () => running?.abort())
    show()
  },
}

/** The curves of a run. */
class Curves {
  readonly #place: HTMLElement
  #charts: { loss: Chart; accuracy: Chart; gradient: Chart } | undefined
  #steps: number[] = []
  #loss: (number | null)[][] = [[], []]
  #accuracy: (number | null)[][] = [[], []]
  #layers: (number | null)[][] = []
  #painting = false
  /** Where the run is, in words. */
  state = ''
  #total = 0

  constructor(place: HTMLElement) {
    this.#place = place
  }

  add(report: Report): void {
    if (report.kind === 'begin') this.#begin(report)
    if (report.kind === 'steps') {
      this.#steps.push(report.step)
      for (const [list, value] of [
        [this.#loss[0], report.loss],
        [this.#loss[1], null],
        [this.#accuracy[0], report.accuracy],
        [this.#accuracy[1], null],
      ] as const) {
        list?.push(value)
      }
      // nothing lies at 0 on an axis of powers
      for (const [k, norm] of report.layers.entries()) this.#layers[k]?.push(norm > 0 ? norm : null)
      this.state = `Step ${report.step} of ${this.#total}, loss ${report.loss < 1e5 ? report.loss.toFixed(3) : power(report.loss)}, ${percent(report.accuracy)} of what it learns from right.`
    }
    if (report.kind === 'unseen') {
      const last = this.#steps.length - 1
      if (last < 0) return
      if (this.#loss[1]) this.#loss[1][last] = report.loss
      if (this.#accuracy[1]) this.#accuracy[1][last] = report.accuracy
    }
    this.#paint()
  }

  #begin({ layers, steps }: Extract<Report, { kind: 'begin' }>): void {
    this.#total = steps
    this.#steps = []
    this.#loss = [[], []]
    this.#accuracy = [[], []]
    this.#layers = layers.map(() => [])
    const both = [
      { label: 'learns from', colour: '--accent' },
      { label: 'never seen', colour: '--warm', dashed: true },
    ]
    this.#charts = {
      loss: new Chart({ title: 'Loss', x: 'step', curves: both, format: short }),
      accuracy: new Chart({ title: 'Accuracy', x: 'step', curves: both, range: [0, 1], format: percent }),
      gradient: new Chart({
        title: 'Gradient norm of each layer, first to last',
        x: 'step',
        curves: layers.map((label) => ({ label })),
        logarithmic: true,
      }),
    }
    const { loss, accuracy, gradient } = this.#charts
    gradient.element.classList.add('wide')
    this.#place.replaceChildren(loss.element, accuracy.element, gradient.element)
  }

  /** With the next frame. */
  #paint(): void {
    if (this.#painting) return
    this.#painting = true
    requestAnimationFrame(() => {
      this.#painting = false
      this.#charts?.loss.show([this.#steps, ...this.#loss])
      this.#charts?.accuracy.show([this.#steps, ...this.#accuracy])
      this.#charts?.gradient.show([this.#steps, ...this.#layers])
    })
  }
}
