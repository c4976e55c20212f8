/** A run of training on the server, told of line by line; leaving off the lines stops it. */
import type { TrainingReport } from '../../lib/playground/train/report.ts'
import { ask } from '../api.ts'

export type Report = { kind: 'run'; id: number } | TrainingReport

/** A drawing as a network takes it: 784 numbers of 0 … 1. */
export interface Sample {
  image: Float32Array
  label: number
}

/**
 * Follows a run to its end.
 *
 * @param path of the route, with what is wanted
 * @throws Refusal; AbortError after the signal
 */
export async function follow(
  path: string,
  body: BufferSource | undefined,
  signal: AbortSignal,
  told: (report: Report) => void,
): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream' }
  const response = await ask(path, { method: 'POST', headers, body: body ?? new Uint8Array(0), signal })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = (await reader?.read()) ?? { value: undefined, done: true }
    if (done) return
    const lines = (rest + value).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) told(JSON.parse(line) as Report)
  }
}

/** Drawings as a body: the length of a header, the header as JSON, float32. */
export function bodyOf(samples: readonly Sample[], classes: readonly string[]): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(
    JSON.stringify({ labels: samples.map(({ label }) => label), classes }),
  )
  const start = 4 + 4 * Math.ceil(json.length / 4)
  const size = samples[0]?.image.length ?? 0
  const body = new Uint8Array(start + 4 * size * samples.length).fill(0x20, 4, start)
  new DataView(body.buffer).setUint32(0, start - 4, true)
  body.set(json, 4)
  const numbers = new Float32Array(body.buffer, start)
  for (const [k, { image }] of samples.entries()) numbers.set(image, k * size)
  return body
}
