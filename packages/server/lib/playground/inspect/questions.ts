/** Questions about a network that a thread answers, and the thread's part of it. */
import { parentPort } from 'node:worker_threads'
import { KerneletError } from 'kernelet'
import type { HeatKind, NetworkInfo } from './info.ts'
import type { Network } from './network.ts'
import type { Drawing } from './prepare.ts'

/** Which network, and what changes when its file does. */
export interface Wanted {
  id: string
  file: string | undefined
  stamp: string
}

export type Question = { model: Wanted } & (
  | { verb: 'describe' }
  | { verb: 'weights' }
  | { verb: 'activations'; drawing: Drawing; heat: HeatKind | undefined }
)

export type Answer = NetworkInfo | ArrayBuffer

export interface FromMain {
  id: number
  question: Question
}
export interface FromThread<A = Answer> {
  id: number
  value?: A
  error?: { code: string | undefined; message: string }
}

/** Answers a question with the network that it is about. */
export function answerWith({ id, question }: FromMain, networkOf: (model: Wanted) => Network): void {
  try {
    const network = networkOf(question.model)
    const value =
      question.verb === 'describe'
        ? network.info
        : question.verb === 'weights'
          ? network.weights()
          : network.activations(question.drawing, question.heat)
    const message: FromThread = { id, value }
    parentPort?.postMessage(message, value instanceof ArrayBuffer ? [value] : [])
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    const code = cause instanceof KerneletError ? cause.code : undefined
    parentPort?.postMessage({ id, error: { code, message } } satisfies FromThread)
  }
}
