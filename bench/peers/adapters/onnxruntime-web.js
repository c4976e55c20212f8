/** onnxruntime-web: the same runtime in WebAssembly, with SIMD. */
import { versionOf } from '../version.js'

export const packages = ['onnxruntime-web']
export const convolutions = true

export async function open({ onnx, threads }) {
  const ort = await import('onnxruntime-web')
  ort.env.wasm.numThreads = threads
  const { readFileSync } = await import('node:fs')
  const session = await ort.InferenceSession.create(readFileSync(onnx), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  })
  return {
    version: versionOf('onnxruntime-web'),
    prepare(input, shape) {
      const feeds = { input: new ort.Tensor('float32', input, shape) }
      return async () => (await session.run(feeds)).output.data
    },
  }
}
