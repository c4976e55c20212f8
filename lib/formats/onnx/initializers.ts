/** The tensors that a graph has of its own. */
import { show } from '../../util/show.ts'
import type { GraphProto, TensorProto } from './proto.ts'
import { dense } from './sparse.ts'
import type { DataFolder } from './tensor.ts'

/** Every initializer by name, and how to get it; one that is sparse is made dense then. */
export function initializersOf(graph: GraphProto): Map<string, (folder: DataFolder) => TensorProto> {
  return new Map([
    ...graph.initializer.map((tensor): [string, () => TensorProto] => [tensor.name, () => tensor]),
    ...graph.sparse_initializer.map((one): [string, (folder: DataFolder) => TensorProto] => {
      const name = one.values?.name ?? ''
      return [name, (folder) => dense(one, `sparse initializer ${show(name)}`, folder)]
    }),
  ])
}
