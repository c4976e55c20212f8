/**
 * Parts of networks beside onnxruntime-node, one image, one thread: recurrent layers, norms, attention, resizing,
 * transposed convolutions. Each is a network of its own, written as ONNX and measured by `kernelet bench models`.
 *
 *     node bench/parts.mjs [options of bench models]
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as k from 'kernelet'
import { fail } from './script.mjs'

/** A module of one function, with the layers that it calls. */
function net(layers, compute) {
  return new (class extends k.Module {
    constructor() {
      super()
      Object.assign(this, layers)
    }

    forward(x) {
      return compute(x, this)
    }
  })()
}

/** Self-attention over n tokens of width `size`, as in a vision transformer. */
const attention = (n, size, heads) =>
  net({ qkv: new k.Linear(size, 3 * size), out: new k.Linear(size, size) }, (x, { qkv, out }) => {
    const each = size / heads
    const all = k.permute(k.reshape(qkv.forward(x), [-1, n, 3, heads, each]), [0, 2, 3, 1, 4])
    const [q, key, v] = [0, 1, 2].map((i) => k.reshape(k.slice(all, 1, i, i + 1), [-1, heads, n, each]))
    const shares = k.softmax(k.mul(k.matmul(q, k.permute(key, [0, 1, 3, 2])), each ** -0.5), -1)
    return out.forward(k.reshape(k.permute(k.matmul(shares, v), [0, 2, 1, 3]), [-1, n, size]))
  })

const upsample = (options) => net({}, (x) => k.interpolate(x, options))
const sequence = { batchFirst: true }

/** By name: the network, and the shape of one image. */
const parts = {
  'LSTM 50×64→64': [new k.LSTM(64, 64, sequence), [50, 64]],
  'LSTM 32×128→256': [new k.LSTM(128, 256, sequence), [32, 128]],
  'LSTM 40×64→2·128, 2 layers': [
    new k.LSTM(64, 128, { ...sequence, bidirectional: true, numLayers: 2 }),
    [40, 64],
  ],
  'GRU 50×64→64': [new k.GRU(64, 64, sequence), [50, 64]],
  'GRU 32×128→256': [new k.GRU(128, 256, sequence), [32, 128]],
  'RNN 50×64→64': [new k.RNN(64, 64, sequence), [50, 64]],
  'LayerNorm 196×384': [new k.LayerNorm(384), [196, 384]],
  'LayerNorm 49×768': [new k.LayerNorm(768), [49, 768]],
  'GroupNorm 8, 64×56×56': [new k.GroupNorm(8, 64), [64, 56, 56]],
  'InstanceNorm 64×56×56': [new k.InstanceNorm2d(64, { affine: true }), [64, 56, 56]],
  'Softmax 12×196×196': [new k.Softmax(-1), [12, 196, 196]],
  'attention 196×192, 3 heads': [attention(196, 192, 3), [196, 192]],
  'attention 49×96, 3 heads': [attention(49, 96, 3), [49, 96]],
  'GELU 196×768': [new k.GELU(), [196, 768]],
  'mean of 64×56×56': [net({}, (x) => k.adaptiveAvgPool2d(x, 1)), [64, 56, 56]],
  'argmax of 21×64×64': [net({}, (x) => k.argmax(x, 1)), [21, 64, 64]],
  'cumsum 64×256': [net({}, (x) => k.cumsum(x, -1)), [64, 256]],
  'bilinear ×2, 32×56×56': [upsample({ scaleFactor: 2, mode: 'bilinear' }), [32, 56, 56]],
  'bilinear corners, 32×56×56→100×100': [
    upsample({ size: [100, 100], mode: 'bilinear', alignCorners: true }),
    [32, 56, 56],
  ],
  'nearest ×2, 32×56×56': [upsample({ scaleFactor: 2 }), [32, 56, 56]],
  'ConvTranspose 2×2 /2, 64→32, 28×28': [
    new k.ConvTranspose2d(64, 32, { kernelSize: 2, stride: 2 }),
    [64, 28, 28],
  ],
  'ConvTranspose 4×4 /2, 64→32, 28×28': [
    new k.ConvTranspose2d(64, 32, { kernelSize: 4, stride: 2, padding: 1 }),
    [64, 28, 28],
  ],
  'PixelShuffle 2, 64×56×56': [new k.PixelShuffle(2), [64, 56, 56]],
  'Conv1d 9, 64→64, 256': [new k.Conv1d(64, 64, { kernelSize: 9, padding: 4 }), [64, 256]],
}

const folder = mkdtempSync(join(tmpdir(), 'kernelet-parts-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
k.manualSeed(1)
const files = Object.entries(parts).map(([name, [network, inputShape]], i) => {
  const file = join(folder, `${i}.onnx`)
  k.saveOnnx(network, file, { inputShape })
  return { name, file }
})
const command = fileURLToPath(new URL('../bin/kernelet.js', import.meta.url))
const rows = []
for (const { name, file } of files) {
  const options = ['--peer', 'onnxruntime-node', '-o', 'json', ...process.argv.slice(2)]
  const child = spawnSync(process.execPath, [command, 'bench', 'models', file, ...options], {
    encoding: 'utf8',
  })
  // 2: an option that there is not
  if (child.status !== 0) fail(`${name}: ${child.stderr.trim()}`, child.status ?? 1)
  const medians = JSON.parse(child.stdout).benchmarks.filter((one) => one.aggregate_name === 'median')
  const of = (runtime) =>
    medians.find((one) => one.name.endsWith(`/threads:1/${runtime}_median`))?.real_time / 1000
  const [own, other] = [of('kernelet'), of('onnxruntime-node')]
  if (other === undefined) fail(child.stderr.trim() || `${name}: onnxruntime-node was not measured`)
  rows.push([name, own, other])
}
console.log('| part | kernelet µs | onnxruntime-node µs | ratio |\n| --- | --- | --- | --- |')
for (const [name, own, other] of rows) {
  console.log(`| ${name} | ${own.toFixed(1)} | ${other.toFixed(1)} | ${(other / own).toFixed(2)} |`)
}
const ratios = rows.map(([, own, other]) => other / own)
const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length)
console.log(`| geometric mean | | | ${mean.toFixed(2)} |`)
console.log(`| lowest | | | ${Math.min(...ratios).toFixed(2)} |`)
