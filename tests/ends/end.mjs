/**
 * node tests/ends/end.mjs KIND [COUNT] [SEED]: ends a worker, or this process, COUNT times in the midst of one kind of
 * work, each time at another moment. Exit code 0 where this process outlived it all; KIND `list` prints the kinds.
 * Works on the built dist/.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'

const library = new URL('../../dist/index.js', import.meta.url).href
const fixture = (name) => JSON.stringify(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)))
const picture = JSON.stringify(fileURLToPath(new URL('../../examples/digits/1-pencil.png', import.meta.url)))

const lenet = `const model = new k.LeNet5(), image = new Float32Array(784)`
const plan = `${lenet}, plan = model.compile({ inputShape: [1, 28, 28] })`
const trainer = `const trainer = new k.Trainer(new k.LeNet5(), { seed: 1, inputShape: [1, 28, 28] })`

/** What a worker does over and over until it is ended. */
const loops = {
  load: `(await import(url + '?' + n++)).isa()`,
  compile: `new k.LeNet5().compile({ inputShape: [1, 28, 28] })`,
  int8: `model.compile({ inputShape: [1, 28, 28], precision: 'int8', calibration: image })`,
  eager: `conv.forward(x)`,
  run: `plan.run(image)`,
  rebind: `plan.run(new Float32Array(784 * (1 + (n++ % 3))))`,
  runAsync: `await Promise.all(Array.from({ length: 8 }, () => plan.runAsync(image)))`,
  threads: `wide.run(batch)`,
  profile: `plan.profile(image)`,
  describe: `plan.describe()`,
  dispose: `model.compile({ inputShape: [1, 28, 28] }).dispose()`,
  activations: `k.activations(model, new k.Tensor(image, [1, 1, 28, 28]))`,
  refused: `try { plan.run(new Float32Array(3)) } catch {} try { conv.forward(new k.Tensor(image, [784])) } catch {}`,
  step: `trainer.step(images, labels)`,
  fit: `for await (const report of trainer.fit(data, { batchSize: 8 })) void report`,
  evaluate: `await trainer.evaluate(data)`,
  augment: `k.augment(images, k.handwriting, { seed: n++ })`,
  loadOnnx: `k.loadOnnx(${fixture('residual.dynamo.onnx')}).compile()`,
  runOnnx: `onnx.run({ [onnx.inputs[0].name]: input })`,
  loadTorch: `k.loadTorch(${fixture('torch/bn_depthwise.state_dict.pt')})`,
  classify: `await digits.classifyFile(${picture})`,
  collect: `model.compile({ inputShape: [1, 28, 28] }); if (++n % 5 === 0) gc()`,
}
const setUp = {
  load: `let n = 0; const url = ${JSON.stringify(library)}`,
  int8: lenet,
  eager: `const conv = new k.Conv2d(1, 6, { kernelSize: 5 }), x = new k.Tensor(new Float32Array(784), [1, 1, 28, 28])`,
  run: plan,
  rebind: `${plan}; let n = 0`,
  runAsync: plan,
  threads: `${lenet}, wide = model.compile({ inputShape: [1, 28, 28], threads: 2 }), batch = new Float32Array(784 * 256)`,
  profile: plan,
  describe: plan,
  dispose: lenet,
  activations: lenet,
  refused: `${plan}, conv = new k.Conv2d(1, 6, { kernelSize: 5 })`,
  step: `${trainer}, images = new Float32Array(784 * 8), labels = Array(8).fill(1)`,
  fit: `${trainer}, data = new k.Dataset({ images: new Uint8Array(784 * 64), labels: Array(64).fill(1), shape: [1, 28, 28], classes: [...'0123456789'] })`,
  evaluate: `${trainer}, data = new k.Dataset({ images: new Uint8Array(784 * 64), labels: Array(64).fill(1), shape: [1, 28, 28], classes: [...'0123456789'] })`,
  augment: `let n = 0; const images = new k.Tensor(new Float32Array(784 * 64), [64, 1, 28, 28])`,
  runOnnx: `const onnx = k.loadOnnx(${fixture('residual.dynamo.onnx')}), shape = [1, ...onnx.inputShape], input = new k.Tensor(new Float32Array(shape.reduce((a, b) => a * b)), shape)`,
  classify: `const digits = k.DigitClassifier.load()`,
  collect: `${lenet}; let n = 0`,
}

/**
 * Who ends what: the thread that started the worker, the worker itself, a whole process with work under way in its main
 * thread, or in its workers (`beside`).
 */
const ways = ['terminate', 'exit', 'process', 'beside']
const kinds = Object.keys(loops).flatMap((loop) => ways.map((way) => `${loop}/${way}`))

/** Of a worker or a process: works, and says so when it begins. */
function program(loop, began) {
  return `const k = await import(${JSON.stringify(library)}); ${setUp[loop] ?? ''}; ${began}
    for (let turn = 0; ; turn++) { ${loops[loop]}; if (turn % 64 === 0) await new Promise(setImmediate) }`
}

/** Of a process: two workers at work, and the process ends once they are, or at any time. */
function programOfWorkers(loop, early, leave) {
  const code = `const { parentPort } = require('node:worker_threads'); (async () => { ${program(loop, `parentPort.postMessage('on')`)} })()`
  return `import { Worker } from 'node:worker_threads'
    const began = () => new Promise((resolve) => new Worker(${JSON.stringify(code)}, { eval: true, execArgv: [] }).once('message', resolve))
    const both = Promise.all([began(), began()]); ${early ? '' : 'await both;'} ${leave}`
}

const [kind = 'list', count = '20', seed = '1'] = process.argv.slice(2)
let state = Number(seed)
/** From 0 to less than \`most\`. */
function random(most) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return (state / 2 ** 32) * most
}
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function endWorker(loop, way) {
  // One end in four comes while the library loads.
  const early = random(4) < 1
  const delay = random(early ? 25 : 12)
  const leave = way === 'exit' ? `setTimeout(() => process.exit(0), ${delay});` : ''
  const code = program(loop, `parentPort.postMessage('on'); ${leave}`)
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads'); (async () => { ${early ? leave : ''} ${code} })()`,
    { eval: true },
  )
  const ended = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
  if (!early) await Promise.race([new Promise((resolve) => worker.once('message', resolve)), ended])
  if (way === 'terminate') {
    await pause(delay)
    await worker.terminate()
  }
  await ended
}

function endProcess(loop, beside) {
  const early = random(4) < 1
  const leave = `setTimeout(() => process.exit(7), ${random(early ? 25 : 12)});`
  const own = `${early ? leave : ''} ${program(loop, early ? '' : leave)}`
  const code = beside ? programOfWorkers(loop, early, leave) : own
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    ['--expose-gc', '--input-type=module', '-e', code],
    { encoding: 'utf8' },
  )
  if (status !== 7) throw new Error(`exit code ${status ?? signal} instead of 7\n${stderr}`)
}

// Contexts that are made from now on, those of workers, have gc().
setFlagsFromString('--expose-gc')

if (kind === 'list') {
  console.log(kinds.join('\n'))
} else {
  const [loop, way] = kind.split('/')
  if (!(loop in loops) || !ways.includes(way)) throw new Error(`there is no kind ${kind}: see list`)
  let left = Number(count)
  const some = async () => {
    while (left-- > 0)
      await (way === 'process' || way === 'beside'
        ? endProcess(loop, way === 'beside')
        : endWorker(loop, way))
  }
  // Some at once: environments also end beside others that are at work.
  await Promise.all([some(), some(), some()])
}
