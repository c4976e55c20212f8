/** Asks the server about networks and drawings. */
import { ask, askJson, binary } from '../api.ts'
import type { Snapshot } from './pad.ts'
import type { Activations, Network, NetworkInfo, Unclear } from './types.ts'

export async function openNetwork(id: string, title: string): Promise<Network> {
  const query = `?model=${encodeURIComponent(id)}`
  const [info, response] = await Promise.all([
    askJson<NetworkInfo>(`playground/model${query}`),
    ask(`playground/weights${query}`),
  ])
  const { head, arrays } = numbersOf<{ steps: number[] }>(await response.arrayBuffer())
  const none = new Float32Array(0)
  const weights = new Map(
    head.steps.map((step, k) => [step, { weight: arrays[2 * k] ?? none, bias: arrays[2 * k + 1] ?? none }]),
  )
  return { id, title, info, weights }
}

export async function activationsOf(
  id: string,
  { data, width, height }: Snapshot,
  occlusion: boolean,
): Promise<Activations | Unclear> {
  const query = new URLSearchParams({
    model: id,
    width: String(width),
    height: String(height),
    occlusion: occlusion ? '1' : '0',
  })
  const response = await ask(`playground/activations?${query}`, binary(data))
  const { head, arrays } = numbersOf<
    (Omit<Activations, 'heat' | 'values'> & { heat?: { side: number } }) | Unclear
  >(await response.arrayBuffer())
  if (head.status !== 'ready') return head
  const [probabilities = new Float32Array(0), ...values] = arrays
  const map = head.heat && values.pop()
  const heat = head.heat && map ? { side: head.heat.side, values: map } : undefined
  return { ...head, probabilities, values, heat }
}

/** A body of numbers: the length of a header, the header as JSON, float32 arrays. */
export function numbersOf<Head>(buffer: ArrayBuffer): { head: Head; arrays: Float32Array[] } {
  const length = new DataView(buffer).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))) as Head & {
    lengths: number[]
  }
  let at = 4 + length
  const arrays = head.lengths.map((count) => {
    const array = new Float32Array(buffer, at, count)
    at += 4 * count
    return array
  })
  return { head, arrays }
}
