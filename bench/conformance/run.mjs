/**
 * ONNX's own test cases of operators: how many are right, run operator by operator and, with --compile, compiled.
 *
 *   pip install onnx && python bench/conformance/cases.py FOLDER
 *   node bench/conformance/run.mjs FOLDER [--filter WORDS] [--compile] [--list wrong,refused]
 *
 * Right: shape and numbers within the tolerance that ONNX gives; floats narrower than float32 within a unit of theirs.
 * Refused: a KerneletError with a code says why. Exit code 1 where a case is wrong.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { KerneletError, loadOnnx, Tensor, version } from '../../dist/index.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    filter: { type: 'string', default: '' },
    compile: { type: 'boolean', default: false },
    list: { type: 'string', default: 'wrong' },
  },
})
const folder = positionals[0] ?? ''
if (!existsSync(folder)) {
  console.error(
    folder
      ? `${folder} is not there: python bench/conformance/cases.py FOLDER makes it`
      : 'node bench/conformance/run.mjs FOLDER [--filter WORDS] [--compile] [--list wrong,refused]',
  )
  process.exit(2)
}

const arrays = {
  ...{ float32: Float32Array, float64: Float64Array, int8: Int8Array, int16: Int16Array, int32: Int32Array },
  ...{ int64: BigInt64Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array },
  ...{ uint64: BigUint64Array, bool: Uint8Array },
}

/** What a unit in the last place is of one, for floats that NumPy computes wider than they are stored. */
const units = { float16: 2 ** -10, bfloat16: 2 ** -7, float8_e4m3fn: 2 ** -3, float8_e5m2: 2 ** -2 }

class Refused extends Error {}

function numbersOf({ stored, data }) {
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'))
  return new arrays[stored](bytes.buffer)
}

function inputOf(value, name) {
  if (value === null) throw new Refused(`input ${name} is an optional value`)
  if (Array.isArray(value)) throw new Refused(`input ${name} is a sequence`)
  if (value.dtype === 'string') throw new Refused(`input ${name} is of strings`)
  return { data: numbersOf(value), shape: value.shape }
}

/** Undefined where they are the same. */
function differenceOf(got, want, { rtol, atol }) {
  if (Array.isArray(want)) {
    if (!Array.isArray(got)) return 'expected a sequence'
    if (got.length !== want.length) return `expected a sequence of ${want.length} but received ${got.length}`
    for (const [i, one] of want.entries()) {
      const said = differenceOf(got[i], one, { rtol, atol })
      if (said) return `[${i}]: ${said}`
    }
    return undefined
  }
  if (want.dtype === 'string') throw new Refused('an output is of strings')
  if (`${got.shape}` !== `${want.shape}`) return `expected shape [${want.shape}] but received [${got.shape}]`
  const unit = units[want.dtype] ?? 0
  const expected = numbersOf(want)
  const floats = want.stored.startsWith('float')
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [Number(got.data[i]), Number(expected[i])]
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue
    const room = floats ? atol + Math.max(rtol, unit) * Math.abs(b) : 0
    if (!(Math.abs(a - b) <= room)) return `[${i}]: expected ${b} but received ${a}`
  }
  return undefined
}

function compiled(net, inputs) {
  const model = net.compileNamed({
    inputShapes: Object.fromEntries(
      Object.entries(inputs).map(([name, { shape }]) => [name, shape.slice(1)]),
    ),
  })
  try {
    const [batch] = Object.values(inputs).map(({ shape }) => shape[0])
    const results = model.run(
      Object.fromEntries(
        Object.entries(inputs).map(([name, { data }]) => [name, Float32Array.from(data, Number)]),
      ),
    )
    return Object.fromEntries(
      Object.entries(results).map(([name, data]) => [
        name,
        data instanceof Tensor ? data : { data, shape: [batch, ...(model.outputShapes?.[name] ?? [])] },
      ]),
    )
  } finally {
    model.dispose()
  }
}

/** 'right', 'wrong' or 'refused', and why. */
function outcome(name) {
  const place = join(folder, name)
  const test = JSON.parse(readFileSync(join(place, 'case.json'), 'utf8'))
  try {
    const net = loadOnnx(join(place, 'model.onnx'))
    for (const set of test.sets) {
      const inputs = Object.fromEntries(
        set.inputs.map((one, i) => [test.inputs[i], inputOf(one, test.inputs[i])]),
      )
      const results = values.compile ? compiled(net, inputs) : net.run(inputs)
      for (const [i, want] of set.outputs.entries()) {
        const output = test.outputs[i]
        if (want === null) continue
        const said = differenceOf(results[output], want, test)
        if (said) return ['wrong', `${output}${said}`]
      }
    }
    return ['right', '']
  } catch (error) {
    if (error instanceof Refused) return ['refused', error.message]
    if (error instanceof KerneletError && error.code !== 'ERR_INTERNAL') return ['refused', error.message]
    return ['wrong', error.stack]
  }
}

const lists = values.list.split(',')
const counted = { right: 0, wrong: 0, refused: 0 }
for (const name of readdirSync(folder).sort()) {
  if (!name.includes(values.filter) || !existsSync(join(folder, name, 'case.json'))) continue
  const [what, why] = outcome(name)
  counted[what]++
  if (lists.includes(what)) console.log(`${what.padEnd(8)} ${name}${why && `: ${why}`}`)
}
const kinds = Object.entries(counted).map(([what, count]) => `${count} ${what}`)
console.log(
  `kernelet ${version}, ${values.compile ? 'compiled' : 'operator by operator'}: ${kinds.join(', ')}`,
)
process.exitCode = counted.wrong === 0 ? 0 : 1
