// Several models in one process: each is a plan of its own, threads are shared. Run: node several.js [MODEL.onnx …]
import {
  DigitClassifier,
  KerneletError,
  LeNet5Original,
  LogisticRegression,
  loadOnnx,
  setThreads,
} from 'kernelet'

// what is wrong with a file is said in a sentence
process.on('uncaughtException', (error) => {
  console.error(error instanceof KerneletError ? error.message : error)
  process.exit(1)
})

// one thread a model leaves the other cores to the others; without it each large batch takes them all
setThreads(1)

const models = new Map([
  ['the paper', new LeNet5Original().compile({ inputShape: [1, 32, 32] })],
  ['a line', new LogisticRegression(784).compile({ inputShape: [784] })],
  ...process.argv.slice(2).map((file) => [file, loadOnnx(file).compile()]),
])
const digits = DigitClassifier.load()

// all at once: runAsync works on libuv's threads, four unless UV_THREADPOOL_SIZE says otherwise
const answers = await Promise.all(
  [...models].map(async ([name, model]) => {
    const { inputShape } = model
    const { weightBytes, arenaBytes } = model.describe()
    const numbers = inputShape.reduce((all, one) => all * one, 1)
    const output = await model.runAsync(new Float32Array(8 * numbers))
    return {
      model: name,
      'values an image': output.length / 8,
      'weights, kB': kb(weightBytes),
      'working memory, kB': kb(arenaBytes),
    }
  }),
)
console.table(answers)
const blank = { data: new Uint8Array(784).fill(255), width: 28, height: 28, channels: 1 }
console.log(`and the digits: ${digits.classify(blank).status} on a blank page`)
for (const model of [...models.values(), digits]) model.dispose()

function kb(bytes) {
  return Math.round(bytes / 1000)
}
