/**
 * How far results are from a computation in double, here and in onnxruntime-node: of each network the largest error over
 * the largest output, as the mean over some images, since the largest of one is a matter of luck.
 *
 *   node bench/accuracy.mjs FILE.onnx … [--images 4] [--isa avx2] [--steps]
 *
 * --steps instead: what each step errs by itself, given the floats nearest to what its inputs are in double, with the
 * number of terms that it sums; and how far its values are off by then in the network, where errors before it go on.
 */
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { activations, isa as instructionSets, loadOnnx, Tensor, trace } from '../dist/index.js'
import { evaluate, inDouble, termsOf } from './double.mjs'
import { open } from './peers/adapters/onnxruntime-node.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '4' },
    isa: { type: 'string', default: instructionSets().chosen },
    steps: { type: 'boolean', default: false },
  },
})
const images = Number(values.images)
if (positionals.length === 0 || !(images >= 1)) {
  console.error('node bench/accuracy.mjs FILE.onnx … [--images 4] [--isa NAME] [--steps]')
  process.exit(2)
}

const short = (x) => x.toExponential(1)
const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length
const geometric = (numbers) => Math.exp(mean(numbers.map(Math.log)))
const largest = (numbers) => numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0)

/** The largest error over the largest value. */
function error(got, want) {
  let most = 0
  for (let i = 0; i < want.length; i++) most = Math.max(most, Math.abs(got[i] - want[i]))
  return most / largest(want)
}

/** Numbers as an image that is brought to mean 0 and deviation 1 has them: the same for a seed on every machine. */
function picture(length, seed) {
  let state = seed
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  // the sum of twelve: close enough to normal
  return Float32Array.from({ length }, () => {
    let sum = -6
    for (let i = 0; i < 12; i++) sum += uniform()
    return sum
  })
}

if (values.steps) {
  for (const file of positionals) steps(file)
} else {
  const rows = []
  console.log('| network | exact | ratio | fastest | ratio | onnxruntime-node |')
  console.log('| --- | ---: | ---: | ---: | ---: | ---: |')
  for (const file of positionals) rows.push(await network(file))
  const of = (name) => geometric(rows.map((row) => row[name])).toFixed(2)
  console.log(`| geometric mean | | ${of('exact')} | | ${of('fastest')} | |`)
}

async function network(file) {
  const model = loadOnnx(file)
  const graph = trace(model, model.inputShape)
  const shape = [1, ...model.inputShape]
  const inputs = Array.from({ length: images }, (_, i) =>
    picture(
      model.inputShape.reduce((a, b) => a * b),
      i + 1,
    ),
  )
  const wanted = inputs.map((input) => evaluate(graph, input)[graph.output])
  const errors = (results) => mean(results.map((result, i) => error(result, wanted[i])))
  const own = (options) => {
    const net = model.compile({ isa: values.isa, threads: 1, ...options })
    return errors(inputs.map((input) => net.run(input).slice()))
  }
  const exact = own({})
  const fastest = own({ numerics: 'fastest' })
  const session = await open({ onnx: file, threads: 1 })
  const results = []
  for (const input of inputs) results.push(await session.prepare(input, shape)())
  const peer = errors(results)
  const ratio = { exact: exact / peer, fastest: fastest / peer }
  console.log(
    `| ${basename(file, '.onnx')} | ${short(exact)} | ${ratio.exact.toFixed(2)} | ${short(fastest)} | ` +
      `${ratio.fastest.toFixed(2)} | ${short(peer)} |`,
  )
  return ratio
}

function steps(file) {
  const model = loadOnnx(file)
  const graph = trace(model, model.inputShape)
  const input = picture(
    model.inputShape.reduce((a, b) => a * b),
    1,
  )
  const all = evaluate(graph, input)
  const found = activations(graph, new Tensor(input, [1, ...model.inputShape]))
  console.log(`${basename(file, '.onnx')}, ${values.isa}`)
  console.log('| step | | terms | error of its own | error so far |')
  console.log('| --- | --- | ---: | ---: | ---: |')
  for (const [i, node] of graph.nodes.entries()) {
    if (node.op === 'input' || node.op === 'constant') continue
    const given = node.inputs.map((source) => Float32Array.from(all[source]))
    // in double from the same floats: what is left is the step's own
    const want = inDouble(graph.nodes, node, doubles(graph, node, given))
    const got = alone(graph, node, given)
    const own = error(got, want)
    if (own === 0) continue
    const terms = termsOf(graph.nodes, node) || ''
    console.log(
      `| ${node.name} | ${node.op} | ${terms} | ${short(own)} | ${short(error(found.get(node.name).data, all[i]))} |`,
    )
  }
}

function doubles(graph, node, given) {
  const all = graph.nodes.map(() => undefined)
  for (const [i, source] of node.inputs.entries()) all[source] = Float64Array.from(given[i])
  return all
}

/** A step by the library: its first input is the image, further ones are constants. */
function alone(graph, node, given) {
  const sources = [...new Set(node.inputs)]
  const inputs = sources.map((source, i) => {
    const { shape, name } = graph.nodes[source]
    const own = { name: `${name}`, inputs: [], shape }
    const value = given[node.inputs.indexOf(source)]
    return i === 0 ? { ...own, op: 'input' } : { ...own, op: 'constant', weight: new Tensor(value, shape) }
  })
  const step = { ...node, inputs: node.inputs.map((source) => sources.indexOf(source)) }
  const { shape } = graph.nodes[sources[0]]
  const found = activations(
    { nodes: [...inputs, step], output: inputs.length },
    new Tensor(given[0], [1, ...shape]),
  )
  return found.get(node.name).data
}
