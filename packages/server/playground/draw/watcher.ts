/** From a drawing to what networks see of it: one request is under way at a time, and the newest drawing wins. */
import { activationsOf } from './network.ts'
import type { Snapshot } from './pad.ts'
import type { Activations, HeatKind, Unclear } from './types.ts'

/** The name of the measurements: from the event that changed the drawing to the frame that shows all maps. */
export const MEASURE = 'stroke-to-maps'

export interface Watched {
  /** Networks to ask, by id. */
  networks(): readonly string[]
  /** undefined: there is no drawing. */
  snapshot(): Snapshot | undefined
  /** How what mattered is to be found. */
  heat(): HeatKind | undefined
  show(results: ReadonlyMap<string, Activations | Unclear | undefined>): void
  failed(error: unknown): void
}

export class Watcher {
  readonly #watched: Watched
  /** The time of the newest change that nobody has asked about. */
  #since: number | undefined
  #asking = false

  constructor(watched: Watched) {
    this.#watched = watched
  }

  /** The drawing is another since then, in the time of events. */
  changed(since: number = performance.now()): void {
    this.#since = since
    if (!this.#asking) void this.#ask()
  }

  async #ask(): Promise<void> {
    this.#asking = true
    while (this.#since !== undefined) {
      const since = this.#since
      this.#since = undefined
      const { networks, snapshot, heat, show, failed } = this.#watched
      try {
        const drawing = snapshot()
        const ids = networks()
        const results = drawing && (await Promise.all(ids.map((id) => activationsOf(id, drawing, heat()))))
        await new Promise<void>((resolve) => requestAnimationFrame(() => resolve()))
        show(new Map(ids.map((id, k) => [id, results?.[k]])))
        if (results) performance.measure(MEASURE, { start: since, end: performance.now() })
      } catch (error) {
        failed(error)
      }
    }
    this.#asking = false
  }
}
