/** What a model tells of its work; metrics.ts gives it to Prometheus. */

export interface Measures {
  /** A batch has run. Microseconds. */
  batch(images: number, compute: number): void
}

/** Where nobody looks. */
export const unmeasured: Measures = { batch() {} }
