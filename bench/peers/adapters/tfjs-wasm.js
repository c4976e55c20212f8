/** TensorFlow.js with its WebAssembly backend; the network in its fused operations, channels last. */
import { readFileSync } from 'node:fs'
import { versionOf } from '../version.js'

export const packages = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm']
export const onnx = false

export async function open({ weights, threads }) {
  if (threads > 1) throw new Error('tfjs-backend-wasm has one thread in Node')
  const tf = await import('@tensorflow/tfjs-core')
  await import('@tensorflow/tfjs-backend-wasm')
  await tf.setBackend('wasm')
  await tf.ready()
  const state = readSafetensors(weights)
  const tensor = (name, shape = state[name].shape) => tf.tensor(state[name].data, shape)
  // [oc, ic, kh, kw] → [kh, kw, ic, oc]; [out, in] → [in, out]
  const filter = (name) => tf.transpose(tensor(name), [2, 3, 1, 0])
  const matrix = (name) => tf.transpose(tensor(name), [1, 0])
  // the first linear layer reads 16 × 4 × 4 flattened; here it is 4 × 4 × 16
  const first = tf.reshape(tf.transpose(tensor('fc1.weight', [120, 16, 4, 4]), [2, 3, 1, 0]), [256, 120])
  const conv = [1, 2].map((i) => ({ filter: filter(`conv${i}.weight`), bias: tensor(`conv${i}.bias`) }))
  const linear = [first, matrix('fc2.weight'), matrix('fc3.weight')].map((b, i) => ({
    b,
    bias: tensor(`fc${i + 1}.bias`),
  }))
  const forward = (input) => {
    let x = input
    for (const { filter, bias } of conv) {
      x = tf.fused.conv2d({ x, filter, strides: 1, pad: 'valid', bias, activation: 'relu' })
      x = tf.maxPool(x, 2, 2, 'valid')
    }
    x = tf.reshape(x, [-1, 256])
    linear.forEach(({ b, bias }, i) => {
      x = tf.fused.matMul({ a: x, b, bias, activation: i < 2 ? 'relu' : 'linear' })
    })
    return x
  }
  return {
    version: versionOf('@tensorflow/tfjs-backend-wasm'),
    prepare(input, [batch]) {
      // one channel: channels first and last are the same
      const images = tf.tensor(input, [batch, 28, 28, 1])
      return () => {
        const output = tf.tidy(() => forward(images))
        const data = output.dataSync()
        output.dispose()
        return data
      }
    },
  }
}

/** The float32 tensors of a safetensors file. */
function readSafetensors(file) {
  const content = readFileSync(file)
  const begin = 8 + Number(content.readBigUInt64LE(0))
  const header = JSON.parse(content.toString('utf8', 8, begin))
  delete header.__metadata__
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const bytes = content.subarray(begin + from, begin + to)
        return [name, { shape, data: new Float32Array(Uint8Array.from(bytes).buffer) }]
      },
    ),
  )
}
