/** What the visitor has changed; it stays when the language does not. */
import type { Grid } from '../../lib/playground/notes/read.ts'

export type Kind = 'conv' | 'max' | 'mean' | 'relu' | 'flatten' | 'linear'

export interface Layer {
  kind: Kind
  filters: number
  size: number
  stride: number
  padding: number
  units: number
}

export const layerOf = (kind: Kind, given: Partial<Layer> = {}): Layer => ({
  kind,
  filters: 6,
  size: kind === 'conv' ? 5 : 2,
  stride: kind === 'conv' ? 1 : 2,
  padding: 0,
  units: 10,
  ...given,
})

export interface Stack {
  input: [channels: number, height: number, width: number]
  layers: Layer[]
}

/** The two stacks that notes show. */
export const stacks: Readonly<Record<'notes' | 'lenet5', () => Stack>> = {
  notes: () => ({
    input: [3, 128, 128],
    layers: [
      layerOf('conv', { filters: 6 }),
      layerOf('max'),
      layerOf('conv', { filters: 16 }),
      layerOf('max'),
      layerOf('flatten'),
    ],
  }),
  lenet5: () => ({
    input: [1, 28, 28],
    layers: [
      layerOf('conv', { filters: 6 }),
      layerOf('relu'),
      layerOf('max'),
      layerOf('conv', { filters: 16 }),
      layerOf('relu'),
      layerOf('max'),
      layerOf('flatten'),
      layerOf('linear', { units: 120 }),
      layerOf('relu'),
      layerOf('linear', { units: 84 }),
      layerOf('relu'),
      layerOf('linear', { units: 10 }),
    ],
  }),
}

export interface State {
  image: Grid
  filter: Grid
  padding: number
  stride: number
  pool: number
  stack: Stack
  neuron: { weights: number[]; inputs: number[]; bias: number; answer: 0 | 1; rate: number }
  gradients: { activation: 'sigmoid' | 'tanh' | 'relu'; weight: number; sum: number; layers: number }
}

export const filters: readonly {
  name: 'vertical' | 'horizontal' | 'mean' | 'sharpen' | 'corner'
  rows: Grid
}[] = [
  {
    name: 'vertical',
    rows: [
      [1, 0, -1],
      [1, 0, -1],
      [1, 0, -1],
    ],
  },
  {
    name: 'horizontal',
    rows: [
      [1, 1, 1],
      [0, 0, 0],
      [-1, -1, -1],
    ],
  },
  {
    name: 'sharpen',
    rows: [
      [0, -1, 0],
      [-1, 5, -1],
      [0, -1, 0],
    ],
  },
  {
    name: 'mean',
    rows: [
      [0.25, 0.25],
      [0.25, 0.25],
    ],
  },
  {
    name: 'corner',
    rows: [
      [1, 0],
      [0, -1],
    ],
  },
]

export function firstState(): State {
  return {
    image: [
      [1, 2, 0, 1],
      [0, 3, 1, 0],
      [2, 1, 0, 2],
      [1, 0, 2, 3],
    ],
    filter: filters[0]!.rows.map((row) => [...row]),
    padding: 0,
    stride: 1,
    pool: 2,
    stack: stacks.notes(),
    neuron: { weights: [2, -1], inputs: [1, 3], bias: 0.5, answer: 1, rate: 0.1 },
    gradients: { activation: 'sigmoid', weight: 1, sum: 0, layers: 8 },
  }
}
