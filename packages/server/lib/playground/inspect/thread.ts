/** The thread in which networks are looked into: what takes long there keeps no request waiting. */
import { parentPort } from 'node:worker_threads'
import { KerneletError } from 'kernelet'
import { Network, type NetworkInfo } from './network.ts'
import type { Drawing } from './prepare.ts'
import { openSource } from './sources.ts'

/** Which network, and what changes when its file does. */
export interface Wanted {
  id: string
  file: string | undefined
  stamp: string
}

export type Question = { model: Wanted } & (
  | { verb: 'describe' }
  | { verb: 'weights' }
  | { verb: 'activations'; drawing: Drawing; occlusion: boolean }
)

export type Answer = NetworkInfo | ArrayBuffer

export interface FromMain {
  id: number
  question: Question
}
export interface FromThread {
  id: number
  value?: Answer
  error?: { code: string | undefined; message: string }
}

/** How many networks are kept open. */
const MOST = 4
const open = new Map<string, { stamp: string; network: Network }>()

function networkOf({ id, file, stamp }: Wanted): Network {
  const known = open.get(id)
  open.delete(id)
  if (known?.stamp === stamp) {
    // the one used last is closed last
    open.set(id, known)
    return known.network
  }
  known?.network.dispose()
  const network = new Network(openSource(id, file))
  open.set(id, { stamp, network })
  for (const [oldest, { network: old }] of open) {
    if (open.size <= MOST) break
    old.dispose()
    open.delete(oldest)
  }
  return network
}

function answer(question: Question): Answer {
  const network = networkOf(question.model)
  if (question.verb === 'describe') return network.info
  if (question.verb === 'weights') return network.weights()
  return network.activations(question.drawing, question.occlusion)
}

parentPort?.on('message', ({ id, question }: FromMain) => {
  try {
    const value = answer(question)
    const message: FromThread = { id, value }
    parentPort?.postMessage(message, value instanceof ArrayBuffer ? [value] : [])
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    const code = cause instanceof KerneletError ? cause.code : undefined
    parentPort?.postMessage({ id, error: { code, message } } satisfies FromThread)
  }
})
