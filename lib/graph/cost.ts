/** What a graph makes one hold is bounded by what it brings: a few nodes can ask for any size. */
import { types } from 'node:util'
import { elements } from '../tensor/shape.ts'
import type { StoredFloats } from '../tensor/stored.ts'
import { storedOf } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { bufferOf } from '../util/typed-array.ts'
import type { Graph } from './graph.ts'

/** Numbers that any graph may hold: a gibibyte of values, and a quarter of that in copies of its weights. */
const freeValues = 2 ** 28
const freeWeights = 2 ** 26

/** And more for each number that it brings. Real networks hold ten values for each of weights and inputs. */
const valuesForEach = 256
const copiesOfEach = 16

/**
 * Checks what the values of all nodes of a graph take for `batch` images, and its weights, of which every node has its
 * own copy in a plan.
 *
 * @throws KerneletError `ERR_UNSUPPORTED`
 */
export function checkCost(who: string, { nodes }: Graph, batch = 1): void {
  const buffers = new Set<ArrayBufferLike>()
  const files = new Set<StoredFloats>()
  let [values, copies, brought] = [0, 0, batch * elements(nodes[0]?.shape ?? [])]
  for (const { shape, weight, bias, mean, variance } of nodes) {
    values += batch * elements(shape)
    for (const tensor of [weight, bias, mean, variance]) {
      if (!tensor) continue
      copies += elements(tensor.shape)
      const stored = storedOf(tensor)
      if (stored) {
        if (!files.has(stored)) brought += stored.length
        files.add(stored)
        continue
      }
      const data: unknown = tensor.data
      if (!types.isFloat32Array(data)) continue
      const buffer = bufferOf(data)
      if (buffers.has(buffer)) continue
      buffers.add(buffer)
      brought += buffer.byteLength / Float32Array.BYTES_PER_ELEMENT
    }
  }
  const bound = (what: string, count: number, most: number) => {
    if (count <= most) return
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${who}: ${what} of all nodes are ${count} numbers; with ${brought} in weights and input at most ${most} are made`,
    )
  }
  bound('values', values, freeValues + valuesForEach * brought)
  bound('weights', copies, freeWeights + copiesOfEach * brought)
}
