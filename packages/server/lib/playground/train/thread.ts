/** The thread that trains: slices of some steps, a report after each, and between them time for questions. */
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { DivergedError, KerneletError, Tensor } from 'kernelet'
import { Network } from '../inspect/network.ts'
import { answerWith, type FromMain } from '../inspect/questions.ts'
import type { TrainingReport } from './report.ts'
import { makeTask, type Task, type TaskRequest } from './tasks.ts'

/** Go on for so many milliseconds, or stop. */
export type TrainingOrder = { kind: 'go'; milliseconds: number } | { kind: 'stop' }

/** Milliseconds between two looks at what was never trained with. */
const LOOK = 500

class Run {
  readonly #task: Task
  readonly #layers: string[]
  #order: Uint32Array
  #next: number
  #elapsed = 0
  #seed = 1
  #going = false
  #stop = false
  #looked: { step: number; network: Network } | undefined

  constructor(task: Task) {
    this.#task = task
    const { data, unseen, network, steps } = task
    this.#order = Uint32Array.from({ length: data.length }, (_, k) => k)
    this.#next = data.length
    this.#layers = [...new Set(network.namedParameters().map(([name]) => layerOf(name)))]
    const { classes, length: images } = data
    tell({ kind: 'begin', images, unseen: unseen?.length ?? 0, classes, layers: this.#layers, steps })
  }

  stop(): void {
    this.#stop = true
  }

  /** Trains until time or steps are over, or it is stopped; then says why it ended. */
  async go(milliseconds: number): Promise<void> {
    if (this.#going) return
    this.#going = true
    this.#stop = false
    const begin = performance.now()
    const { trainer, steps, pace } = this.#task
    let looked = Number.NEGATIVE_INFINITY
    try {
      while (trainer.steps < steps && !this.#stop && performance.now() - begin < milliseconds) {
        const since = performance.now()
        this.#slice()
        if (performance.now() - looked > LOOK) {
          await this.#evaluate()
          looked = performance.now()
        }
        const rest = pace - (performance.now() - since)
        await (rest > 0 ? pause(rest) : turn())
      }
      await this.#evaluate()
      const done = trainer.steps >= steps
      const why = done ? 'done' : this.#stop ? 'stopped' : 'time'
      tell({ kind: 'end', why, message: '' })
    } catch (error) {
      const why = error instanceof DivergedError ? 'diverged' : 'failed'
      tell({ kind: 'end', why, message: error instanceof Error ? error.message : String(error) })
    }
    this.#going = false
  }

  /** The network as it is now. */
  get network(): Network {
    const { opened, trainer } = this.#task
    if (!opened) throw new KerneletError('ERR_UNSUPPORTED', 'This network takes points, not drawings')
    if (this.#looked?.step !== trainer.steps) {
      this.#looked?.network.dispose()
      this.#looked = { step: trainer.steps, network: new Network(opened) }
    }
    return this.#looked.network
  }

  #slice(): void {
    const { trainer, stride, steps } = this.#task
    const begin = performance.now()
    let [loss, correct, images, gradientNorm] = [0, 0, 0, 0]
    const count = Math.min(stride, steps - trainer.steps)
    for (let k = 0; k < count; k++) {
      const { x, labels } = this.#batch()
      const report = trainer.step(x, labels)
      loss += report.loss / count
      correct += report.correct
      images += labels.length
      gradientNorm = report.gradientNorm
    }
    const squares = new Map<string, number>()
    for (const [name, gradient] of trainer.gradients()) {
      const layer = layerOf(name)
      squares.set(
        layer,
        gradient.reduce((sum, one) => sum + one * one, squares.get(layer) ?? 0),
      )
    }
    this.#elapsed += performance.now() - begin
    tell({
      kind: 'steps',
      step: trainer.steps,
      elapsed: this.#elapsed,
      loss,
      accuracy: correct / images,
      gradientNorm,
      layers: this.#layers.map((layer) => Math.sqrt(squares.get(layer) ?? 0)),
    })
  }

  async #evaluate(): Promise<void> {
    const { unseen, trainer } = this.#task
    if (!unseen) return
    const { accuracy, loss } = await trainer.evaluate(unseen)
    tell({ kind: 'unseen', step: trainer.steps, accuracy, loss })
  }

  /** The next images in an order of this epoch; the last ones of an epoch begin the next. */
  #batch(): { x: Tensor | Uint8Array; labels: Int32Array } {
    const { data, batchSize } = this.#task
    if (this.#next + batchSize > this.#order.length) {
      this.#next = 0
      for (let k = this.#order.length - 1; k > 0; k--) {
        const other = Math.floor(this.#random() * (k + 1))
        const one = this.#order[k] ?? 0
        this.#order[k] = this.#order[other] ?? 0
        this.#order[other] = one
      }
    }
    const indices = this.#order.subarray(this.#next, this.#next + batchSize)
    this.#next += batchSize
    const { imageLength, images, shape } = data
    const labels = Int32Array.from(indices, (k) => data.labels[k] ?? 0)
    const bytes = images instanceof Uint8Array
    const x = bytes
      ? new Uint8Array(indices.length * imageLength)
      : new Float32Array(indices.length * imageLength)
    for (const [k, index] of indices.entries()) {
      x.set(images.subarray(index * imageLength, (index + 1) * imageLength), k * imageLength)
    }
    return { x: x instanceof Uint8Array ? x : new Tensor(x, [indices.length, ...shape]), labels }
  }

  /** 0 … 1, the same in every run (Park and Miller 1988). */
  #random(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647
    return this.#seed / 2_147_483_647
  }
}

function layerOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf('.'))
}

function tell(report: TrainingReport): void {
  parentPort?.postMessage({ report })
}

let run: Run | undefined
try {
  run = new Run(makeTask(workerData as TaskRequest))
} catch (error) {
  tell({ kind: 'end', why: 'failed', message: error instanceof Error ? error.message : String(error) })
}

parentPort?.on('message', (message: TrainingOrder | FromMain) => {
  if ('question' in message) {
    answerWith(message, () => {
      if (run) return run.network
      throw new KerneletError('ERR_UNSUPPORTED', 'There is no network')
    })
  } else if (message.kind === 'stop') run?.stop()
  else void run?.go(message.milliseconds)
})
