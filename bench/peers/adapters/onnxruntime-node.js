/** onnxruntime-node: Microsoft's native runtime. */
import { versionOf } from '../version.js'

export const packages = ['onnxruntime-node']
export const convolutions = true

export async function open({ onnx, threads }) {
  const { default: ort } = await import('onnxruntime-node')
  const session = await ort.InferenceSession.create(onnx, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  })
  return {
    version: versionOf('onnxruntime-node'),
    prepare(input, shape) {
      const feeds = { input: new ort.Tensor('float32', input, shape) }
      return async () => (await session.run(feeds)).output.data
    },
  }
}
