import type { ChildProcess } from 'node:child_process'
import type { Agent } from 'node:http'

export interface Call {
  body: Buffer
  headers: Record<string, string>
}
export const digit: Call
export function oneImage(input: string, datatype: string, shape: readonly number[]): Call
export function send(url: string, agent: Agent, call: Call): Promise<number | string>
export function clients(
  url: string,
  count: number,
  call?: Call,
): { answered(): number; stop(): Promise<{ came: Record<string, number>; longest: number }> }

export interface Program {
  child: ChildProcess
  /** http://127.0.0.1:PORT */
  address: string
  /** Lines of the log, as they come. */
  log: Record<string, unknown>[]
  /** Resolves to the exit code. */
  ended: Promise<number | null>
}
/** Processes that serve, as the log tells. */
export function workersOf(log: readonly Record<string, unknown>[]): number[]
export function start(...args: string[]): Promise<Program>
