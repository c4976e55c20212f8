/** onnxruntime-node as an engine behind the same routes and batches, its run synchronous where kernelet's is. */
import { createRequire } from 'node:module'
import { BatchedEngine } from '../dist/models/served.js'

const require = createRequire(new URL('../../../bench/peers/', import.meta.url))

/** @param file LeNet-5: input [n, 1, 28, 28], output [n, 10] */
export async function openOnnxruntime(file, options) {
  const ort = require('onnxruntime-node')
  const { binding, initOrt } = require('onnxruntime-node/dist/binding.js')
  initOrt()
  const session = new binding.InferenceSession()
  session.loadModel(file, {
    executionProviders: ['cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
  })
  const run = ([values]) => {
    const feeds = { input: new ort.Tensor('float32', values, [values.length / 784, 1, 28, 28]) }
    return [session.run(feeds, { output: null }, {}).output.data]
  }
  const floats = {
    type: 'FP32',
    inputBytes: [4 * 784],
    outputLengths: [10],
    run,
    // no other thread: the event loop waits, as it does in onnxruntime-node's own run()
    runAsync: async (inputs) => run(inputs.map((values) => values.slice())),
  }
  const engine = new BatchedEngine(
    {
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 1, 28, 28] }],
      outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 10] }],
      floats,
      pixels: { scale: [1 / 255], shift: [0] },
      dispose: () => session.dispose(),
    },
    options,
    options.measures,
  )
  return { engine, classifier: undefined }
}
