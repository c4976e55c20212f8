/**
 * A process of its own for a runtime that takes part in `kernelet bench peers` or `models`: loads the adapter it is told,
 * and does what the parent asks. Between requests it waits, so contenders do not disturb each other.
 */
import type { CompileOptions } from '../compile/options.ts'
import { peakBytes } from './peak-bytes.ts'
import { type Sampler, timeCalls, timePromises } from './stopwatch.ts'

/** What every adapter exports; kernelet's own is adapter-kernelet.ts, the others are in bench/peers/adapters. */
export interface Adapter {
  open(task: Task): Promise<Runtime>
}

/** The model to load: whichever of these an adapter understands. */
export interface Task {
  /** A file with the model. */
  onnx: string
  /** A safetensors file with LeNet-5's weights, if that is the model. */
  weights: string
  /** The convolution, if that is the model. */
  problem: string | null
  /** How kernelet compiles the file, if the model is neither of these. */
  network: CompileOptions | null
  threads: number
}

export interface Runtime {
  version: string
  /** Takes the first input, shape with the batch in front; returns what is timed: one inference, its first result readable. */
  prepare(input: Float32Array, shape: readonly number[]): () => Float32Array | Promise<Float32Array>
}

export type Request =
  /** Loads the adapter and model and runs one input; without an adapter does nothing. */
  | { do: 'open'; adapter: string | null; task: Task; input: Float32Array; shape: number[] }
  /** Prepares an input under a key and returns the result. */
  | { do: 'prepare'; key: string; input: Float32Array; shape: number[] }
  | { do: 'sample'; key: string; ms: number }

/** Answers, in order; `error` says why there is none. */
export interface Replies {
  open: { version: string; ms: number; rss: number; peak: number }
  prepare: { output: Float32Array }
  sample: { iterations: number; samples: Float64Array; cpu: number }
}

let runtime: Runtime | undefined
const prepared: Map<string, Sampler> = new Map()

async function answer(request: Request): Promise<Replies[keyof Replies]> {
  switch (request.do) {
    case 'open': {
      const begin = performance.now()
      if (request.adapter !== null) {
        const { open } = (await import(request.adapter)) as Adapter
        runtime = await open(request.task)
        await runtime.prepare(request.input, request.shape)()
      }
      const ms = performance.now() - begin
      return { version: runtime?.version ?? '', ms, rss: process.memoryUsage.rss(), peak: peakBytes() }
    }
    case 'prepare': {
      const call = runtime!.prepare(request.input, request.shape)
      const result = call()
      const output = Float32Array.from(await result)
      const sampler =
        result instanceof Promise
          ? timePromises(call as () => Promise<unknown>)
          : timeCalls(() => void call())
      prepared.set(request.key, sampler)
      return { output }
    }
    case 'sample':
      return prepared.get(request.key)!(request.ms)
  }
}

process.on('message', async (request: Request) => {
  try {
    process.send!(await answer(request))
  } catch (error) {
    process.send!({ error: error instanceof Error ? error.message : String(error) })
  }
})
