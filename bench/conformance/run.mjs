/**
 * ONNX's own test cases of operators: how many are right, run operator by operator and, with --compile, compiled.
 *
 *   pip install onnx && python bench/conformance/cases.py FOLDER
 *   node bench/conformance/run.mjs FOLDER [--filter WORDS] [--compile] [--list wrong,refused]
 *
 * Right: shape (not compiled) and numbers within the tolerance that ONNX gives; floats narrower than float32 within a unit of theirs.
 * Refused: a KerneletError with a code says why. Exit code 1 where a case is wrong.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { KerneletError, loadOnnx, version } from '../../dist/index.js'

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
    if (!Array.isArray(got)) return ': expected a sequence'
    if (got.length !== want.length)
      return `: expected a sequence of ${want.length} but received ${got.length}`
    for (const [i, one] of want.entries()) {
      const said = differenceOf(got[i], one, { rtol, atol })
      if (said) return `[${i}]: ${said}`
    }
    return undefined
  }
  if (want.dtype === 'string') throw new Refused('an output is of strings')
  const { data = got, shape } = got
  if (shape && `${shape}` !== `${want.shape}`)
    return `: expected shape [${want.shape}] but received [${shape}]`
  const unit = units[want.dtype] ?? 0
  const expected = numbersOf(want)
  if (data.length !== expected.length)
    return `: expected ${expected.length} numbers but received ${data.length}`
  const floats = want.stored.startsWith('float')
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [Number(data[i]), Number(expected[i])]
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue
    const room = floats ? atol + Math.max(rtol, unit) * Math.abs(b) : 0
    if (!(Math.abs(a - b) <= room)) return `[${i}]: expected ${b} but received ${a}`
  }
  return undefined
}

/** Numbers of a compiled model, which has no shapes for whole batches: only how many there are is compared. */
function compiled(net, inputs) {
  const model = net.compileNamed()
  try {
    return model.run(
      Object.fromEntries(
        Object.entries(inputs).map(([name, { data }]) => [name, Float32Array.from(data, Number)]),
      ),
    )
  } finally {
    model.dispose()
  }
}

/** Numbers with dimension `axis` brought to the front: where a compiled model has the images. */
function imagesFirst(value, axis) {
  const size = value.shape[axis]
  const inner = value.shape.slice(axis + 1).reduce((a, b) => a * b, 1)
  const from = numbersOf(value)
  const to = from.slice()
  let at = 0
  for (let image = 0; image < size; image++)
    for (let outer = 0; outer < from.length / inner / size; outer++)
      for (let i = 0; i < inner; i++) to[at++] = from[(outer * size + image) * inner + i]
  return { ...value, data: Buffer.from(to.buffer).toString('base64') }
}

/** `differenceOf` for a compiled model. */
function compiledDifference(got, want, test) {
  const said = differenceOf(got, want, test)
  if (!said || Array.isArray(want) || want.dtype === 'string') return said
  const others = want.shape.map((_, axis) => differenceOf(got, imagesFirst(want, axis), test))
  return others.includes(undefined) ? undefined : said
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
        const said = (values.compile ? compiledDifference : differenceOf)(results[output], want, test)
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
