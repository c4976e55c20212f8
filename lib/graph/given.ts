/** Tells a graph from a model. What a graph from outside is made of is checked by code that is loaded with the first. */
import { checkGraph } from './check-graph.ts'
import { type Graph, isGraph } from './graph.ts'

/** A checked copy of a graph, or undefined for something that is none; see `checkGraph`. */
export function graphGiven(value: unknown): Graph | undefined {
  try {
    if (!isGraph(value)) return undefined
  } catch {
    // what cannot be looked at is named there
  }
  return checkGraph(value)
}
