/** A graph as a native plan: as the cost model chooses, as measuring does, or as an earlier measurement says. */
import type { NativeCompileOptions, NativeGraph, NativePlan } from '../backend/backend.ts'
import { native } from '../backend/node-addon.ts'
import type { Graph } from '../graph/graph.ts'
import { storedOf } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { type CompileOptions, tuneBatchOf } from './options.ts'
import { type Tuning, tuningGiven, tuningKey, tuningOf, unfit } from './tuning.ts'

/** The plan, tuned where that is asked for, or as a tuning says. */
export function planOf(
  nodes: NativeGraph,
  graph: Graph,
  options: NativeCompileOptions,
  { tuned, ...asked }: CompileOptions,
): { plan: NativePlan; tuning?: Tuning; tuned?: string } {
  const compile = (more: NativeCompileOptions): NativePlan => compiled(nodes, graph, { ...options, ...more })
  const batch = tuneBatchOf({ ...asked, tuned })
  if (batch === undefined && tuned === undefined) return { plan: compiled(nodes, graph, options) }
  const key = tuningKey(graph, asked, asked.numerics ?? 'exact')
  if (batch !== undefined) {
    const plan = compile({ tuneBatch: batch })
    return { plan, tuning: tuningOf(plan, graph, key, batch), tuned: 'measured' }
  }
  const given = tuningGiven(tuned, key)
  if ('reason' in given) return { plan: compile({}), tuned: `not used: ${given.reason}` }
  try {
    return { plan: compile(given.choices), tuning: given.tuning, tuned: 'given' }
  } catch (error) {
    // (what no tuning on this machine gave)
    if (!(error instanceof KerneletError && error.message.startsWith('tuned: '))) throw error
    const { reason } = unfit(error.message.slice('tuned: '.length), given.tuning.strict ?? true)
    return { plan: compile({}), tuned: `not used: ${reason}` }
  }
}

/** The plan, made of files that were not written to meanwhile. */
function compiled(nodes: NativeGraph, graph: Graph, options: NativeCompileOptions): NativePlan {
  const files = new Set(graph.nodes.flatMap(({ weight }) => (weight && storedOf(weight)?.file) ?? []))
  const check = () => {
    for (const file of files) file.checkUnchanged()
  }
  check()
  let plan: NativePlan | undefined
  try {
    plan = native().compile(nodes, options)
    check()
    return plan
  } catch (error) {
    plan?.dispose()
    // what was cut short meanwhile is named
    check()
    throw error
  }
}
