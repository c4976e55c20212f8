import type { ChildProcess, SpawnOptions } from 'node:child_process'
import type { Redis } from 'ioredis'

export const installed: boolean

export interface OwnRedis {
  url: string
  socket: string
  start(): Promise<void>
  stop(signal?: NodeJS.Signals): Promise<void>
  client(): Redis
}

export function startRedis(folder: string, settings?: string[]): Promise<OwnRedis>

export interface Options extends SpawnOptions {
  /** Options of node. */
  node?: string[]
  env?: Record<string, string>
  /** A program that runs the command. */
  wrapper?: string[]
}

export interface Output {
  stdout: string
  stderr: string
}

export function command(
  url: string,
  args: string[],
  options?: Options,
): Promise<Output & { status: number | null }>
export function begin(url: string, args: string[], options?: Options): { child: ChildProcess; output: Output }
export function memoryOf(pid: number): { now: number; most: number }
