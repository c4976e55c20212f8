/** What a page is told of a network. */

/** A step of a network, as the page draws it. */
export interface StepInfo {
  name: string
  op: string
  /** Indices of the steps whose values it takes. */
  inputs: number[]
  /** Of one image. */
  shape: number[]
  /** How many of its channels answers carry. */
  shown: number
  window?: { kernelSize: number[]; stride: number[]; padding: number[]; dilation: number[] }
  groups?: number
  /** Shape of the weight, where it has one. */
  weight?: readonly number[]
  /** For each output channel the input channels it sees, where that is not all. */
  table?: readonly (readonly number[])[]
}

export interface NetworkInfo {
  steps: StepInfo[]
  labels: readonly string[]
  input: { shape: readonly number[]; fit: string; colour: string }
  parameters: number
  macs: number
  connections: number
  /** What the last step's values are: scores for softmax, or probabilities already. */
  outputs: 'scores' | 'probabilities'
}

/** How what mattered is found: by covering parts of the drawing, or by the gradient of the answer. */
export type HeatKind = 'occlusion' | 'gradient'
export const heatKinds: readonly HeatKind[] = ['occlusion', 'gradient']

/** What an answer says of its map of what mattered; its values are the last of the body's arrays. */
export type HeatHead = { kind: HeatKind } & ({ rows: number; columns: number } | { problem: string })
