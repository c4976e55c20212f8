/**
 * Queue and compute of a request without HTTP: calls are handed to the engine itself, so many at a time, each of which
 * calls again when it is answered. `node inside.mjs kernelet|onnxruntime FILE CALLERS SECONDS [SETTINGS]` prints means in
 * microseconds; `whole` is from the call to its answer, with the bytes' way to floats where an engine needs that.
 */
import { openModel } from '../dist/models/open.js'
import { settingsOf } from '../dist/settings.js'
import { openOnnxruntime } from './onnxruntime.mjs'

const [kind, file, callers, seconds, given = '{}'] = process.argv.slice(2)
const { maxBatch, maxDelay, queue, maxWait, threads } = settingsOf(JSON.parse(given))
let batches = 0
const measures = {
  batch: () => void batches++,
}
const open = kind === 'onnxruntime' ? openOnnxruntime : openModel
const { engine } = await open(file, { maxBatch, maxDelay, queue, maxWait, threads, measures })
const bytes = Uint8Array.from({ length: 784 }, (_, i) => (i * 31) % 256)
const call = {
  inputs: [{ name: 'input', datatype: 'UINT8', shape: [1, 1, 28, 28], bytes }],
  binary: true,
}
let count = 0
let sums = { queue: 0, compute: 0, whole: 0 }
let end = performance.now() + 1000
let left = Number(callers)
const ask = () => {
  const begin = performance.now()
  engine.infer(call, {
    deadline: Number.POSITIVE_INFINITY,
    alive: () => true,
    done(error, _outputs, { queue: waited, compute }) {
      if (error) throw error
      const now = performance.now()
      count++
      sums.queue += waited
      sums.compute += compute
      sums.whole += 1000 * (now - begin)
      if (now < end) ask()
      else if (--left === 0) next()
    },
  })
}
let warm = false
function next() {
  if (warm) {
    const mean = (sum) => sum / count
    const { queue: waited, compute, whole } = sums
    console.log(
      JSON.stringify({
        queue: mean(waited),
        compute: mean(compute),
        whole: mean(whole),
        batch: count / batches,
      }),
    )
    process.exit()
  }
  warm = true
  count = 0
  batches = 0
  sums = { queue: 0, compute: 0, whole: 0 }
  left = Number(callers)
  end = performance.now() + 1000 * Number(seconds)
  for (let i = 0; i < Number(callers); i++) ask()
}
for (let i = 0; i < Number(callers); i++) ask()
