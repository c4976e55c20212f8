/** LinearAttention: a state of keys by values for each head, step by step. */
import { formatShape, sameShape } from '../../../tensor/shape.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { float32 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, type Read, required } from '../value.ts'

/** What decays the state, and what corrects a value by what the state holds for its key. */
const rules: Readonly<Record<string, { gated: boolean; delta: boolean } | undefined>> = {
  linear: { gated: false, delta: false },
  gated: { gated: true, delta: false },
  delta: { gated: false, delta: true },
  gated_delta: { gated: true, delta: true },
}

/** Heads as attributes say. */
function headsOf(node: OnnxNode): [queries: number, keys: number] {
  const [queries, keys] = [node.int('q_num_heads', 0), node.int('kv_num_heads', 0)]
  if (queries > 0 && keys > 0 && queries % keys === 0) return [queries, keys]
  throw node.error('ERR_FORMAT', `q_num_heads ${queries} should be a multiple of kv_num_heads ${keys}`)
}

const LinearAttention: Read = (node) => {
  const [queries, heads] = headsOf(node)
  const name = node.text('update_rule', 'gated_delta')
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
  if (!rule) throw node.unsupported(`attribute update_rule=${name} is not supported`)
  const scale = node.float('scale', 0)
  // how many steps are taken at once changes no result
  node.ignore('chunk_size')
  return (inputs) => {
    const array = (i: number, what: string) => inputs[i] && arrayOf(node, inputs[i], what)
    const [q, k, v] = ['query', 'key', 'value'].map((what, i) =>
      arrayOf(node, required(node, inputs, i), what),
    )
    const [past, decay, beta] = [array(3, 'past_state'), array(4, 'decay'), array(5, 'beta')]
    const { shape } = q as nd.NdArray
    const [n = 0, steps = 0, width = 0] = shape
    const keySize = width / queries
    const valueSize = (v?.shape[2] ?? 0) / heads
    const state = [n, heads, keySize, valueSize]
    const fits = (one: nd.NdArray | undefined, ...wanted: number[]) => !one || sameShape(one.shape, wanted)
    const right =
      shape.length === 3 &&
      Number.isInteger(keySize) &&
      Number.isInteger(valueSize) &&
      fits(k, n, steps, heads * keySize) &&
      fits(v, n, steps, heads * valueSize) &&
      fits(past, ...state) &&
      (fits(decay, n, steps, heads) || fits(decay, n, steps, heads * keySize)) &&
      (fits(beta, n, steps, heads) || fits(beta, n, steps, 1))
    if (!right) {
      const shapes = inputs.map((one) => (one ? formatShape(one.shape) : '-')).join(', ')
      throw node.error('ERR_SHAPE', `its inputs of ${shapes} do not go with ${queries} and ${heads} heads`)
    }
    if ((rule.gated && !decay) || (rule.delta && !beta)) {
      throw node.error('ERR_FORMAT', `update_rule ${name} takes ${rule.gated && !decay ? 'decay' : 'beta'}`)
    }
    const own = nd.allocate(float32, state)
    if (past) for (const [i, one] of past.values.entries()) own.values[i] = Number(one)
    const y = nd.allocate(float32, [n, steps, queries * valueSize])
    spend(n * steps * (3 * heads + queries) * keySize * valueSize * 2)
    const factor = scale === 0 ? 1 / Math.sqrt(keySize) : scale
    const each = (one: nd.NdArray | undefined, row: number, head: number) => {
      const width = one?.shape[2] ?? 1
      return Number(one?.values[row * width + (width === 1 ? 0 : head)])
    }
    const perKey = decay?.shape[2] === heads * keySize && keySize > 1
    const got = new Float64Array(valueSize)
    for (let row = 0; row < n * steps; row++) {
      const image = Math.floor(row / steps)
      for (let h = 0; h < heads; h++) {
        const at = (image * heads + h) * keySize * valueSize
        const keyAt = (row * heads + h) * keySize
        const valueAt = (row * heads + h) * valueSize
        if (rule.gated) {
          for (let i = 0; i < keySize; i++) {
            const gate = Math.exp(perKey ? Number(decay?.values[keyAt + i]) : each(decay, row, h))
            for (let j = 0; j < valueSize; j++)
              own.values[at + i * valueSize + j] = Number(own.values[at + i * valueSize + j]) * gate
          }
        }
        got.fill(0)
        if (rule.delta) {
          for (let i = 0; i < keySize; i++)
            for (let j = 0; j < valueSize; j++)
              got[j] =
                (got[j] ?? 0) + Number(own.values[at + i * valueSize + j]) * Number(k?.values[keyAt + i])
        }
        const rate = rule.delta ? each(beta, row, h) : 1
        for (let i = 0; i < keySize; i++) {
          const key = rate * Number(k?.values[keyAt + i])
          for (let j = 0; j < valueSize; j++) {
            const place = at + i * valueSize + j
            own.values[place] =
              Number(own.values[place]) + key * (Number(v?.values[valueAt + j]) - (got[j] ?? 0))
          }
        }
      }
      for (let h = 0; h < queries; h++) {
        const at = (image * heads + Math.floor((h * heads) / queries)) * keySize * valueSize
        const queryAt = (row * queries + h) * keySize
        for (let j = 0; j < valueSize; j++) {
          let sum = 0
          for (let i = 0; i < keySize; i++)
            sum += Number(q?.values[queryAt + i]) * Number(own.values[at + i * valueSize + j])
          y.values[(row * queries + h) * valueSize + j] = factor * sum
        }
      }
    }
    return [y, own]
  }
}

export const linearAttention: Family = {
  operators: { LinearAttention: { read: LinearAttention, isKernel: true } },
}
