/** Asks the server about networks and drawings. */
import { ask, askJson, binary } from '../api.ts'
import type { Snapshot } from './pad.ts'
import type { Activations, HeatHead, HeatKind, Network, NetworkInfo, Unclear } from './types.ts'

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
  kind: HeatKind | undefined,
): Promise<Activations | Unclear> {
  const query = new URLSearchParams({
    model: id,
    width: String(width),
    height: String(height),
    ...(kind && { heat: kind }),
  })
  const response = await ask(`playground/activations?${query}`, binary(data))
  const { head, arrays } = numbersOf<(Omit<Activations, 'heat' | 'values'> & { heat?: HeatHead }) | Unclear>(
    await response.arrayBuffer(),
  )
  if (head.status !== 'ready') return head
  const [probabilities = new Float32Array(0), ...values] = arrays
  const heat = head.heat && { head: head.heat, values: 'rows' in head.heat ? values.pop() : undefined }
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
