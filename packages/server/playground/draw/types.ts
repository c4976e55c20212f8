/** What the server tells of a network, and of its values for a drawing. */

import type { HeatHead, HeatKind, NetworkInfo, StepInfo } from '../../lib/playground/inspect/info.ts'

export type { HeatHead, HeatKind, NetworkInfo }
export type Step = StepInfo

export interface Weights {
  weight: Float32Array
  bias: Float32Array
}

export interface Box {
  x: number
  y: number
  width: number
  height: number
}

/** Every step's values for one drawing. */
export interface Activations {
  status: 'ready'
  boxes: Box[]
  milliseconds: { prepare: number; activations: number; run: number }
  probabilities: Float32Array
  /** By step. */
  values: Float32Array[]
  /** What mattered, if that was asked; no values where it cannot be told. */
  heat: { head: HeatHead; values: Float32Array | undefined } | undefined
}

/** Nothing to look at, or more than one sign. */
export interface Unclear {
  status: 'nothing' | 'several'
  boxes: Box[]
}

/** A network of the server. */
export interface Network {
  id: string
  title: string
  info: NetworkInfo
  /** By step. */
  weights: Map<number, Weights>
}
