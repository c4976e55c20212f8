/** Models of a few bytes that ask for gigabytes or minutes: refused by name, in seconds and little memory. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { loadOnnx, Tensor } from '../lib/index.ts'
import { type Numbers, onnxModel, type TestGraph, type TestNode } from './onnx-models.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const ints = (...data: number[]): Numbers => ({ type: 'int64', shape: [data.length], data })
const whole = (value: number): Numbers => ({ type: 'int64', shape: [], data: [value] })
const number = (value: number): Numbers => ({ shape: [], data: [value] })

/** Nodes a to z, each of what the one before made. */
function chain(count: number, make: (from: string, to: string) => TestNode): TestNode[] {
  return Array.from({ length: count }, (_, i) => make(i === 0 ? 'c' : `c${i}`, `c${i + 1}`))
}

interface Bomb {
  nodes: TestNode[]
  initializers: Record<string, Numbers>
  /** The value that is the output; default c1. */
  output?: string
  /** The image, where it is an operand; default: none of the nodes reads it. */
  input?: (number | string)[]
  says: RegExp
}

const filled = (...shape: number[]): TestNode => ({
  op: 'ConstantOfShape',
  inputs: [`s${shape}`],
  outputs: [`f${shape}`],
})
const sizes = (...shape: number[]) => ({ [`s${shape}`]: ints(...shape) })
const tooMuch =
  /^node .+ \(\w+, opset 18\): it takes \d+ (MB|steps), with which loading or compiling this model/

/** A round of a loop that changes nothing, and goes on. */
const round: TestGraph = {
  inputs: { n: { type: 'int64', shape: [] }, go: { type: 'bool', shape: [] }, w: { shape: [] } },
  nodes: [],
  outputs: ['go', 'w'],
}

const product: TestGraph = {
  ...round,
  nodes: [
    { op: 'Mul', inputs: ['w', 'k'], outputs: ['u'] },
    { op: 'Mul', inputs: ['u', 'own'], outputs: ['v'] },
  ],
  initializers: { own: { shape: [4], data: [4, 3, 2, 1] } },
  outputs: ['go', 'v'],
}

/** A round that is a loop of 10,000 others. */
const within = (graph: TestGraph): TestGraph => ({
  ...round,
  nodes: [{ op: 'Loop', inputs: ['m', '', 'w'], outputs: ['u'], attributes: { body: { graph } } }],
  outputs: ['go', 'u'],
})

const bombs: Record<string, Bomb> = {
  'Range of 10⁹': {
    nodes: [{ op: 'Range', inputs: ['a', 'b', 'd'], outputs: ['c1'] }],
    initializers: { a: whole(0), b: whole(1e9), d: whole(1) },
    says: tooMuch,
  },
  'Range by tiny steps': {
    nodes: [{ op: 'Range', inputs: ['a', 'b', 'd'], outputs: ['c1'] }],
    initializers: { a: number(0), b: number(1e30), d: number(1e-30) },
    says: /there is no range|too large/,
  },
  'Range by steps of 0': {
    nodes: [{ op: 'Range', inputs: ['a', 'b', 'd'], outputs: ['c1'] }],
    initializers: { a: whole(0), b: whole(5), d: whole(0) },
    says: /there is no range from 0 to 5 in steps of 0/,
  },
  'many Ranges, none of them too long': {
    nodes: [
      ...Array.from({ length: 100 }, (_, i) => ({
        op: 'Range',
        inputs: ['a', 'b', 'd'],
        outputs: [`r${i}`],
      })),
      {
        op: 'Concat',
        inputs: Array.from({ length: 100 }, (_, i) => `r${i}`),
        outputs: ['c1'],
        attributes: { axis: 0 },
      },
    ],
    initializers: { a: whole(0), b: whole(1e6), d: whole(1) },
    says: tooMuch,
  },
  Expand: {
    nodes: [{ op: 'Expand', inputs: ['x1', 's'], outputs: ['c1'] }],
    initializers: { x1: number(1), s: ints(1e5, 1e5) },
    says: /too large/,
  },
  broadcasting: {
    nodes: [
      filled(20000, 1),
      filled(1, 20000),
      { op: 'Add', inputs: ['f20000,1', 'f1,20000'], outputs: ['c1'] },
    ],
    initializers: { ...sizes(20000, 1), ...sizes(1, 20000) },
    says: tooMuch,
  },
  'Tile, doubling': {
    nodes: chain(40, (from, to) => ({ op: 'Tile', inputs: [from, 'two'], outputs: [to] })),
    initializers: { c: ints(1, 2), two: ints(2) },
    output: 'c40',
    says: tooMuch,
  },
  'Concat, doubling': {
    nodes: chain(60, (from, to) => ({
      op: 'Concat',
      inputs: [from, from],
      outputs: [to],
      attributes: { axis: 0 },
    })),
    initializers: { c: { shape: [1], data: [1] } },
    output: 'c60',
    says: tooMuch,
  },
  'Gather, doubling': {
    nodes: chain(40, (from, to) => ({ op: 'Gather', inputs: [from, 'i'], outputs: [to] })),
    initializers: { c: ints(0, 1), i: { type: 'int64', shape: [2, 2], data: [0, 1, 1, 0] } },
    output: 'c40',
    says: tooMuch,
  },
  ConstantOfShape: {
    nodes: [filled(2 ** 14, 2 ** 14)],
    initializers: sizes(2 ** 14, 2 ** 14),
    output: `f${[2 ** 14, 2 ** 14]}`,
    says: tooMuch,
  },
  'ConstantOfShape of bytes': {
    nodes: [
      {
        op: 'ConstantOfShape',
        inputs: ['s'],
        outputs: ['c'],
        attributes: { value: { tensor: { type: 'uint8', shape: [1], data: [1] } } },
      },
      ...chain(20, (from, to) => ({ op: 'Cast', inputs: [from], outputs: [to], attributes: { to: 3 } })),
    ],
    initializers: { s: ints(30e6) },
    output: 'c20',
    says: tooMuch,
  },
  'transposing again and again': {
    nodes: [
      filled(1000, 1000),
      ...chain(200, (from, to) => ({
        op: 'Transpose',
        inputs: [from === 'c' ? 'f1000,1000' : from],
        outputs: [to],
        attributes: { perm: [1, 0] },
      })),
    ],
    initializers: sizes(1000, 1000),
    output: 'c200',
    says: tooMuch,
  },
  'Pad, constant': {
    nodes: [{ op: 'Pad', inputs: ['c', 'p'], outputs: ['c1'] }],
    initializers: { c: { shape: [1], data: [1] }, p: ints(0, 1e9) },
    says: tooMuch,
  },
  'Pad, reflected': {
    nodes: [{ op: 'Pad', inputs: ['c', 'p'], outputs: ['c1'], attributes: { mode: 'reflect' } }],
    initializers: { c: { shape: [2], data: [1, 2] }, p: ints(1e8, 1e8) },
    says: tooMuch,
  },
  'Pad, reflected, of the image': {
    nodes: [{ op: 'Pad', inputs: ['x', 'p'], outputs: ['c1'], attributes: { mode: 'reflect' } }],
    initializers: { p: ints(0, 0, 1e8, 0, 0, 0) },
    input: ['N', 1, 4],
    says: tooMuch,
  },
  'Pad that leaves less than nothing': {
    nodes: [{ op: 'Pad', inputs: ['c', 'p'], outputs: ['c1'] }],
    initializers: { c: { shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }, p: ints(0, -50, 0, -50) },
    says: /pads of -50 and -50 leave nothing of 2×3/,
  },
  'Pad of nothing with copies of it': {
    nodes: [{ op: 'Pad', inputs: ['c', 'p'], outputs: ['c1'], attributes: { mode: 'edge' } }],
    initializers: { c: { shape: [0], data: [] }, p: ints(1, 1) },
    says: /has nothing to pad with/,
  },
  'Split in 2·10⁹': {
    nodes: [{ op: 'Split', inputs: ['c'], outputs: ['c1'], attributes: { num_outputs: 2e9 } }],
    initializers: { c: { shape: [4], data: [1, 2, 3, 4] } },
    says: /num_outputs is 2000000000 but it has 1 outputs/,
  },
  'Split below zero': {
    nodes: [{ op: 'Split', inputs: ['c', 's'], outputs: ['c1', 'c2'] }],
    initializers: { c: { shape: [4], data: [1, 2, 3, 4] }, s: ints(1e9, 4 - 1e9) },
    says: /cannot be split/,
  },
  'Conv of constants': {
    nodes: [
      filled(1, 1, 1000, 1000),
      filled(64, 1, 9, 9),
      { op: 'Conv', inputs: ['f1,1,1000,1000', 'f64,1,9,9'], outputs: ['c1'] },
    ],
    initializers: { ...sizes(1, 1, 1000, 1000), ...sizes(64, 1, 9, 9) },
    says: tooMuch,
  },
  'Conv of constants with pads': {
    nodes: [
      filled(1, 1, 1, 1),
      {
        op: 'Conv',
        inputs: ['f1,1,1,1', 'f1,1,1,1'],
        outputs: ['c1'],
        attributes: { pads: [16000, 16000, 16000, 16000] },
      },
    ],
    initializers: sizes(1, 1, 1, 1),
    says: tooMuch,
  },
  'MatMul of constants': {
    nodes: [filled(2000, 2000), { op: 'MatMul', inputs: ['f2000,2000', 'f2000,2000'], outputs: ['c1'] }],
    initializers: sizes(2000, 2000),
    says: tooMuch,
  },
  'MatMul of many small matrices': {
    nodes: [
      filled(1000000, 1, 1),
      { op: 'MatMul', inputs: ['f1000000,1,1', 'f1000000,1,1'], outputs: ['c1'] },
    ],
    initializers: sizes(1000000, 1, 1),
    says: tooMuch,
  },
  'MatMul of integers': {
    nodes: [
      { op: 'ConstantOfShape', inputs: ['s'], outputs: ['c'], attributes: { value: { tensor: ints(3) } } },
      { op: 'MatMul', inputs: ['c', 'c'], outputs: ['c1'] },
    ],
    initializers: { s: ints(1000, 1000) },
    says: tooMuch,
  },
  'ReduceSum of a broadcast': {
    nodes: [
      { op: 'Expand', inputs: ['c', 's'], outputs: ['e'] },
      { op: 'ReduceSum', inputs: ['e'], outputs: ['c1'] },
    ],
    initializers: { c: number(1), s: ints(8192, 8192) },
    says: tooMuch,
  },
  'ReduceSum over nothing, a billion times': {
    nodes: [{ op: 'ReduceSum', inputs: ['c', 'a'], outputs: ['c1'] }],
    initializers: { c: { shape: [1e9, 0], data: [] }, a: ints(1) },
    says: tooMuch,
  },
  'Concat of nothing, 10¹² times': {
    nodes: [{ op: 'Concat', inputs: ['c', 'c'], outputs: ['c1'], attributes: { axis: 1 } }],
    initializers: { c: { shape: [1e12, 0], data: [] } },
    says: tooMuch,
  },
  'Gather of nothing, 10¹² times': {
    nodes: [{ op: 'Gather', inputs: ['c', 'i'], outputs: ['c1'], attributes: { axis: 1 } }],
    initializers: { c: { shape: [1e12, 5, 0], data: [] }, i: ints(1, 2) },
    says: tooMuch,
  },
  'powers of integers': {
    nodes: [
      { op: 'Range', inputs: ['a', 'b', 'd'], outputs: ['r'] },
      { op: 'Pow', inputs: ['r', 'e'], outputs: ['c1'] },
    ],
    initializers: { a: whole(0), b: whole(1e6), d: whole(1), e: whole(2 ** 52) },
    says: tooMuch,
  },
  'dividing bigints again and again': {
    nodes: [
      { op: 'Range', inputs: ['a', 'b', 'd'], outputs: ['c'] },
      ...chain(100, (from, to) => ({ op: 'Mod', inputs: [from, 'm'], outputs: [to] })),
    ],
    initializers: { a: whole(0), b: whole(1e5), d: whole(1), m: whole(97) },
    output: 'c100',
    says: tooMuch,
  },
  'MaxPool with a large window': {
    nodes: [
      filled(1, 1, 1000000),
      {
        op: 'MaxPool',
        inputs: ['f1,1,1000000'],
        outputs: ['c1', 'c2'],
        attributes: { kernel_shape: [10000] },
      },
    ],
    initializers: sizes(1, 1, 1000000),
    says: tooMuch,
  },
  'MaxPool of a large window over padding': {
    nodes: [
      {
        op: 'MaxPool',
        inputs: ['c'],
        outputs: ['c1', 'c2'],
        attributes: { kernel_shape: [1e9], pads: [1e9, 1e9] },
      },
    ],
    initializers: { c: { shape: [1, 1, 1], data: [1] } },
    says: tooMuch,
  },
  'a list of sizes that is too long': {
    nodes: [
      filled(1000000),
      { op: 'Cast', inputs: ['f1000000'], outputs: ['s'], attributes: { to: 7 } },
      { op: 'Expand', inputs: ['c', 's'], outputs: ['c1'] },
    ],
    initializers: { ...sizes(1000000), c: number(1) },
    says: /the shape are 1000000 numbers; there may be 128/,
  },
  'more than 64 dimensions': {
    nodes: [{ op: 'Identity', inputs: ['c'], outputs: ['c1'] }],
    initializers: { c: { shape: Array(65).fill(1), data: [1] } },
    says: /it has 65 dimensions; at most 64 are read/,
  },
  'more than 64 dimensions, made': {
    nodes: [
      { op: 'Reshape', inputs: ['c', 's'], outputs: ['r'] },
      { op: 'Unsqueeze', inputs: ['r', 'a'], outputs: ['c1'] },
    ],
    initializers: { c: { shape: [1], data: [1] }, s: ints(...Array(64).fill(1)), a: ints(0) },
    says: /an array of 65 dimensions; there may be 64/,
  },
  'Range of a size that is known when compiled': {
    nodes: [
      { op: 'Shape', inputs: ['x'], outputs: ['shape'] },
      { op: 'ReduceProd', inputs: ['shape'], outputs: ['n'], attributes: { keepdims: 0 } },
      { op: 'Mul', inputs: ['n', 'large'], outputs: ['m'] },
      { op: 'Range', inputs: ['zero', 'm', 'one'], outputs: ['r'] },
      { op: 'Cast', inputs: ['r'], outputs: ['f'], attributes: { to: 1 } },
      { op: 'ReduceSum', inputs: ['f'], outputs: ['sum'], attributes: { keepdims: 0 } },
      { op: 'Add', inputs: ['x', 'sum'], outputs: ['c1'] },
    ],
    initializers: { zero: whole(0), one: whole(1), large: whole(1e8) },
    input: ['N', 4],
    says: tooMuch,
  },
  'many rows picked out of the image': {
    nodes: [
      { op: 'Range', inputs: ['zero', 'm', 'one'], outputs: ['r'] },
      { op: 'Mod', inputs: ['r', 'size'], outputs: ['i'] },
      { op: 'Gather', inputs: ['x', 'i'], outputs: ['c1'], attributes: { axis: 1 } },
    ],
    initializers: { zero: whole(0), one: whole(1), m: whole(100000), size: whole(4) },
    input: ['N', 4],
    says: /more than 2048 places/,
  },
  'a loop of 2⁶² rounds': {
    nodes: [{ op: 'Loop', inputs: ['m', '', 'v'], outputs: ['c1'], attributes: { body: { graph: round } } }],
    initializers: { m: { type: 'int64', shape: [], data: [2n ** 62n] }, v: number(1) },
    says: tooMuch,
  },
  'a loop over the image without end': {
    nodes: [{ op: 'Loop', inputs: ['', '', 'x'], outputs: ['c1'], attributes: { body: { graph: round } } }],
    initializers: {},
    input: ['N', 4],
    says: /it takes \d+ (MB|steps)|more than 16,?384/,
  },
  'a loop over the image and a constant, without end': {
    nodes: [{ op: 'Loop', inputs: ['', '', 'x'], outputs: ['c1'], attributes: { body: { graph: product } } }],
    initializers: { k: { shape: [4], data: [1, 2, 3, 4] } },
    input: ['N', 4],
    says: tooMuch,
  },
  'loops in loops': {
    nodes: [
      {
        op: 'Loop',
        inputs: ['m', '', 'v'],
        outputs: ['c1'],
        attributes: { body: { graph: within(within(within(round))) } },
      },
    ],
    initializers: { m: whole(10000), v: number(1) },
    says: /it takes \d+ (MB|steps)/,
  },
  'a loop that keeps all that it makes': {
    nodes: [
      filled(1000, 1000),
      {
        op: 'Loop',
        inputs: ['m', '', 'f1000,1000'],
        outputs: ['v', 'c1'],
        attributes: { body: { graph: { ...round, outputs: ['go', 'w', 'w'] } } },
      },
    ],
    initializers: { ...sizes(1000, 1000), m: whole(1000000) },
    says: /it takes \d+ (MB|steps)/,
  },
  'one-hot vectors of 10⁹': {
    nodes: [{ op: 'OneHot', inputs: ['i', 'd', 'v'], outputs: ['c1'] }],
    initializers: { i: ints(0, 1, 2), d: whole(1e9), v: { shape: [2], data: [0, 1] } },
    says: /it takes \d+ (MB|steps)/,
  },
  'sorting much': {
    nodes: [filled(2000, 5000), { op: 'TopK', inputs: ['f2000,5000', 'k'], outputs: ['c1', 'c2'] }],
    initializers: { ...sizes(2000, 5000), k: ints(1) },
    says: tooMuch,
  },
  'telling many rows apart': {
    nodes: [filled(3000, 3000), { op: 'Unique', inputs: ['f3000,3000'], outputs: ['c1'] }],
    initializers: sizes(3000, 3000),
    says: tooMuch,
  },
  'what is not 0 of much': {
    nodes: [filled(5000, 5000), { op: 'NonZero', inputs: ['f5000,5000'], outputs: ['c1'] }],
    initializers: sizes(5000, 5000),
    says: tooMuch,
  },
  'a region sampled at 10⁹ places': {
    nodes: [
      {
        op: 'RoiAlign',
        inputs: ['i', 'r', 'b'],
        outputs: ['c1'],
        attributes: { sampling_ratio: 30000, output_height: 30 },
      },
    ],
    initializers: {
      i: { shape: [1, 1, 1, 1], data: [1] },
      r: { shape: [1, 4], data: [0, 0, 1, 1] },
      b: ints(0),
    },
    says: tooMuch,
  },
  'a region of any size': {
    nodes: [{ op: 'RoiAlign', inputs: ['i', 'r', 'b'], outputs: ['c1'] }],
    initializers: {
      i: { shape: [1, 1, 1, 1], data: [1] },
      r: { shape: [1, 4], data: [0, 0, 1e30, 1e30] },
      b: ints(0),
    },
    says: /it takes .* steps/,
  },
  'a grid of 10⁸ places': {
    nodes: [
      { op: 'AffineGrid', inputs: ['t', 's'], outputs: ['g'] },
      { op: 'GridSample', inputs: ['i', 'g'], outputs: ['c1'] },
    ],
    initializers: {
      i: { shape: [1, 1, 1, 1], data: [1] },
      t: { shape: [1, 2, 3], data: [1, 0, 0, 0, 1, 0] },
      s: ints(1, 1, 2000, 2000),
    },
    says: /it takes \d+ (MB|steps)|AffineGrid, opset 18/,
  },
  'a large middle of nothing': {
    nodes: [{ op: 'CenterCropPad', inputs: ['i', 's'], outputs: ['c1'] }],
    initializers: { i: { shape: [1, 1], data: [1] }, s: ints(10000, 10000) },
    says: tooMuch,
  },
  'boxes beyond number': {
    nodes: [
      filled(1, 30000, 4),
      filled(1, 1, 30000),
      {
        op: 'NonMaxSuppression',
        inputs: ['f1,30000,4', 'f1,1,30000', 'm'],
        outputs: ['c1'],
      },
    ],
    initializers: { ...sizes(1, 30000, 4), ...sizes(1, 1, 30000), m: whole(1e9) },
    says: tooMuch,
  },
  'a convolution of depth 10⁶': {
    nodes: [
      { op: 'Reshape', inputs: ['x', 's'], outputs: ['v'] },
      { op: 'Conv', inputs: ['v', 'w'], outputs: ['c1'] },
    ],
    initializers: { s: ints(-1, 1, 1000000, 1, 1), w: { shape: [1, 1, 1, 1, 1], data: [1] } },
    input: ['N', 1000000],
    says: tooMuch,
  },
  'a transposed convolution by any stride': {
    nodes: [
      { op: 'ConvTranspose', inputs: ['i', 'w'], outputs: ['c1'], attributes: { strides: [2 ** 40, 1, 1] } },
    ],
    initializers: {
      i: { shape: [1, 1, 2, 1, 1], data: [1, 2] },
      w: { shape: [1, 1, 1, 1, 1], data: [1] },
    },
    says: tooMuch,
  },
  'unpooled to any size': {
    nodes: [
      { op: 'MaxUnpool', inputs: ['i', 'p', 's'], outputs: ['c1'], attributes: { kernel_shape: [1, 1] } },
    ],
    initializers: {
      i: { shape: [1, 1, 1, 1], data: [1] },
      p: { type: 'int64', shape: [1, 1, 1, 1], data: [0] },
      s: ints(1, 1, 10000, 10000),
    },
    says: tooMuch,
  },
  'columns of an image of any size': {
    nodes: [
      { op: 'Col2Im', inputs: ['i', 's', 'b'], outputs: ['c1'], attributes: { strides: [10000, 10000] } },
    ],
    initializers: { i: { shape: [1, 1, 1], data: [1] }, s: ints(10000, 10000), b: ints(1, 1) },
    says: tooMuch,
  },
}

/** Loads and compiles a file in a process of its own: the error, seconds of CPU and megabytes at most. */
function attempt(bytes: Uint8Array, name: string) {
  const file = join(folder, `${name.replace(/\W/g, '_')}.onnx`)
  writeFileSync(file, bytes)
  const index = new URL('../dist/index.js', import.meta.url).href
  const program = `
    const { KerneletError, loadOnnx } = await import(${JSON.stringify(index)})
    let error
    const { user, system } = process.cpuUsage()
    try { loadOnnx(${JSON.stringify(file)}).compile().dispose() } catch (thrown) {
      error = { own: thrown instanceof KerneletError, code: thrown.code, message: thrown.message }
    }
    const used = process.cpuUsage({ user, system })
    console.log(JSON.stringify({ error, seconds: (used.user + used.system) / 1e6, megabytes: process.resourceUsage().maxRSS / 1024 }))`
  const result = spawnSync(
    process.execPath,
    ['--max-old-space-size=512', '--input-type=module', '-e', program],
    {
      encoding: 'utf8',
      timeout: 300_000,
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    },
  )
  if (result.status !== 0) throw new Error(result.stderr || String(result.signal))
  return JSON.parse(result.stdout) as {
    error?: { own: boolean; code: string; message: string }
    seconds: number
    megabytes: number
  }
}

describe('a few bytes are refused within 5 s and 512 MB', () => {
  test.each(Object.entries(bombs))('%s', (name, bomb) => {
    const { nodes, initializers, output = 'c1', input = ['N', 4] } = bomb
    const read = nodes.some(({ inputs }) => inputs.includes('x'))
    const join: TestNode[] = read ? [] : [{ op: 'Flatten', inputs: ['x'], outputs: ['flat'] }]
    const outputs = read ? [output] : ['flat', output]
    const bytes = onnxModel({
      opset: 18,
      nodes: [...nodes, ...join],
      inputs: { x: { shape: input } },
      initializers,
      outputs,
    })
    expect(bytes.length).toBeLessThan(10_000)
    const { error, seconds, megabytes } = attempt(bytes, name)
    expect(error?.message).toMatch(bomb.says)
    expect(error).toMatchObject({ own: true })
    expect(error?.code).not.toBe('ERR_INTERNAL')
    // processor time, whatever else the machine does: 5 s on one that is five times slower
    expect(seconds).toBeLessThan(25)
    expect(megabytes).toBeLessThan(512)
  })
})

describe('what models do is within the budget', () => {
  test('weights count for as much as they are', () => {
    // 40 MB of weights, transposed and cast four times: 160 MB computed
    const w: Numbers = { shape: [1000, 10000], data: new Float32Array(1e7).fill(1) }
    const nodes: TestNode[] = [
      { op: 'Identity', inputs: ['w'], outputs: ['c'] },
      ...chain(4, (from, to) => ({
        op: 'Transpose',
        inputs: [from],
        outputs: [to],
        attributes: { perm: [1, 0] },
      })),
      { op: 'ReduceSum', inputs: ['c4'], outputs: ['sum'], attributes: { keepdims: 0 } },
      { op: 'Add', inputs: ['x', 'sum'], outputs: ['y'] },
    ]
    const model = loadOnnx(
      onnxModel({ nodes, inputs: { x: { shape: [1] } }, initializers: { w }, outputs: ['y'] }),
    )
    expect(model.run({ x: new Tensor(Float32Array.of(1), [1]) }).y?.data[0]).toBe(1e7 + 1)
  })

  test('run() is bounded by what it is given', () => {
    const nodes: TestNode[] = [
      { op: 'ConstantOfShape', inputs: ['n'], outputs: ['zeros'] },
      { op: 'ReduceSum', inputs: ['zeros'], outputs: ['y'], attributes: { keepdims: 0 } },
    ]
    const model = loadOnnx(onnxModel({ nodes, inputs: { n: { type: 'int64', shape: [1] } }, outputs: ['y'] }))
    expect(model.run({ n: { data: [1e6], shape: [1] } }).y?.data[0]).toBe(0)
    expect(() => model.run({ n: { data: [1e9], shape: [1] } })).toThrow(
      /ConstantOfShape, opset 17\): it takes 3815 MB, with which running this model computes/,
    )
  })
})
