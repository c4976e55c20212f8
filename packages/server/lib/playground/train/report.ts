/** What the thread that trains tells, and the page shows. */
export type TrainingReport =
  | {
      kind: 'begin'
      images: number
      unseen: number
      classes: readonly string[]
      layers: string[]
      steps: number
    }
  | {
      kind: 'steps'
      step: number
      /** Milliseconds that training has taken. */
      elapsed: number
      /** Means since the last report. */
      loss: number
      accuracy: number
      /** Of the last step: over all weights before clipping, and by layer. */
      gradientNorm: number
      layers: number[]
    }
  | { kind: 'unseen'; step: number; accuracy: number; loss: number }
  | { kind: 'end'; why: 'done' | 'time' | 'stopped' | 'diverged' | 'failed'; message: string }
