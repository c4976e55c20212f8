/** An engine that computes nothing, behind the same routes and batches: what is left is HTTP, which no network can save. */
import { BatchedEngine } from '../dist/models/served.js'

export async function openNothing(_file, options) {
  const outputs = new Float32Array(options.maxBatch * 10)
  const plan = (type, size) => {
    const run = ([values]) => [outputs.subarray(0, (values.length / 784) * 10)]
    const runAsync = async (inputs) => run(inputs)
    return { type, inputBytes: [size * 784], outputLengths: [10], run, runAsync }
  }
  const engine = new BatchedEngine(
    {
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 1, 28, 28] }],
      outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 10] }],
      floats: plan('FP32', 4),
      bytes: plan('UINT8', 1),
      pixels: { scale: [1 / 255], shift: [0] },
      dispose: () => undefined,
    },
    options,
    options.measures,
  )
  return { engine, classifier: undefined }
}
