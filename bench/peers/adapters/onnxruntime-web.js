/** onnxruntime-web: the same runtime in WebAssembly, with SIMD. */
import { versionOf } from '../version.js'

export const packages = ['onnxruntime-web']
export const onnx = true

export async function open({ onnx: file, threads }) {
  const ort = await import('onnxruntime-web')
  ort.env.wasm.numThreads = threads
  const { readFileSync } = await import('node:fs')
  const session = await ort.InferenceSession.create(readFileSync(file), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  })
  return {
    version: versionOf('onnxruntime-web'),
    prepare(input, shape) {
      const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', input, shape) }
      return async () => (await session.run(feeds))[session.outputNames[0]].data
    },
  }
}
