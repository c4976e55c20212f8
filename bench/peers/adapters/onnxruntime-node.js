/** onnxruntime-node: Microsoft's native runtime. */
import { versionOf } from '../version.js'

export const packages = ['onnxruntime-node']
export const onnx = true

export async function open({ onnx: file, threads }) {
  const { default: ort } = await import('onnxruntime-node')
  const session = await ort.InferenceSession.create(file, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  })
  return {
    version: versionOf('onnxruntime-node'),
    prepare(input, shape) {
      const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', input, shape) }
      return async () => (await session.run(feeds))[session.outputNames[0]].data
    },
  }
}
