/** LeNet-5 as tutorials have it and as its paper has it, by their summaries. */
import { LeNet5, LeNet5Original, type Module, summary } from 'kernelet'

export interface Row {
  name: string
  shape: number[]
  parameters: number
  connections: number
}

export interface LeNets {
  tutorial: Network
  original: Network
  /** For each map of C3 the maps of S2 that it sees. */
  table: number[][]
}

export interface Network {
  rows: Row[]
  parameters: number
  connections: number
}

let known: LeNets | undefined

export function lenets(): LeNets {
  known ??= describe(new LeNet5(), new LeNet5Original())
  return known
}

function describe(tutorial: LeNet5, original: LeNet5Original): LeNets {
  return {
    tutorial: network(tutorial, [1, 28, 28]),
    original: network(original, [1, 32, 32]),
    table: original.c3.table.map((row) => [...row]),
  }
}

/** The layers of a network by the name that they begin with: `s2` and `s2_2` are one, activations go with their layer. */
function network(model: Module, input: number[]): Network {
  const { layers, parameters, connections } = summary(model, input)
  const rows: Row[] = []
  for (const { name, outputShape, ...counts } of layers) {
    const title = name.split('_', 1)[0] ?? name
    const last = rows.at(-1)
    if (counts.parameters === 0 && counts.connections === 0 && last && !/^(maxPool2d|output)/.test(title)) {
      continue
    }
    if (last?.name !== title) {
      rows.push({
        name: title,
        shape: outputShape,
        parameters: counts.parameters,
        connections: counts.connections,
      })
      continue
    }
    last.shape = outputShape
    last.parameters += counts.parameters
    last.connections += counts.connections
  }
  return { rows, parameters, connections }
}
