/** docs/onnx-operators.md: what becomes of each ONNX operator, found by trying its cases. */
import { operatorNames } from '../lib/formats/onnx/operators/index.ts'
import { loadOnnx, SGD, Trainer } from '../lib/index.ts'
import { elements } from '../lib/tensor/shape.ts'
import { noise } from './helpers.ts'
import {
  type Numbers,
  type OperatorCase,
  of,
  onnxModel,
  type TestGraph,
  type TestNode,
} from './onnx-models.ts'

const round: TestGraph = {
  inputs: { i: { type: 'int64', shape: [] }, go: { type: 'bool', shape: [] }, v: { shape: ['N', 3] } },
  nodes: [{ op: 'Tanh', inputs: ['v'], outputs: ['w'] }],
  outputs: ['go', 'w'],
}
const row: TestGraph = {
  inputs: { s: { shape: ['N', 2] }, v: { shape: ['N', 2] } },
  nodes: [{ op: 'Add', inputs: ['s', 'v'], outputs: ['t'] }],
  outputs: ['t', 't'],
}
const branch: TestGraph = { nodes: [{ op: 'Neg', inputs: ['in1'], outputs: ['n'] }], outputs: ['n'] }
const twice: TestGraph = {
  inputs: { v: { shape: ['N', 3] } },
  nodes: [{ op: 'Add', inputs: ['v', 'v'], outputs: ['w'] }],
  outputs: ['w'],
}
const bools = of('bool', [2], 0, 1)
const scalar = (type: 'int64' | 'bool' | 'float', value: number): Numbers => of(type, [], value)

/** Of operators that the other cases leave out, or show in part. */
const more: OperatorCase[] = [
  { op: 'Concat', inputs: [[2, 3], of('float', [1, 2], 1, 2)], attributes: { axis: 1 }, opset: 13 },
  {
    op: 'If',
    inputs: [scalar('bool', 1), [2, 3]],
    attributes: { then_branch: { graph: branch }, else_branch: { graph: branch } },
  },
  {
    op: 'Loop',
    inputs: [[2, 3], scalar('int64', 3), scalar('bool', 1)],
    attributes: { body: { graph: round } },
  },
  {
    op: 'Scan',
    inputs: [[2, 2], of('float', [1, 3, 2], 1, 2, 3, 4, 5, 6)],
    attributes: { body: { graph: row }, num_scan_inputs: 1, scan_input_axes: [1], scan_output_axes: [1] },
  },
  { op: 'SequenceConstruct', inputs: [[2, 3]], sequence: 'out' },
  { op: 'SequenceEmpty', inputs: [], sequence: 'out' },
  { op: 'SequenceAt', inputs: [[2, 3], scalar('int64', 1)], sequence: 'in' },
  { op: 'SequenceInsert', inputs: [[2, 3], of('float', [1, 3], 1, 2, 3)], sequence: 'both' },
  { op: 'SequenceErase', inputs: [[2, 3]], sequence: 'both' },
  { op: 'SequenceLength', inputs: [[2, 3]], sequence: 'in' },
  { op: 'SequenceMap', inputs: [[2, 3]], attributes: { body: { graph: twice } }, sequence: 'both' },
  { op: 'SplitToSequence', inputs: [[2, 3]], attributes: { axis: 1 }, sequence: 'out' },
  { op: 'ConcatFromSequence', inputs: [[2, 3]], attributes: { axis: 1 }, sequence: 'in' },
  { op: 'Optional', inputs: [[2, 3]], opset: 15 },
  ...['OptionalGetElement', 'OptionalHasElement'].map(
    (op): OperatorCase => ({ op, inputs: [[2, 3]], opset: 18 }),
  ),
  ...['And', 'Or', 'Xor'].map((op): OperatorCase => ({ op, inputs: [bools, bools], opset: 13 })),
  ...['Greater', 'LessOrEqual'].map((op): OperatorCase => ({ op, inputs: [[2, 3], [3]], opset: 13 })),
  { op: 'CastLike', inputs: [[2, 3], [3]], opset: 15 },
  { op: 'Constant', inputs: [], attributes: { value_floats: { floats: [1, 2] } }, opset: 13 },
  { op: 'Swish', inputs: [[2, 3]], opset: 24 },
  {
    op: 'SwiGLU',
    inputs: [
      [2, 3],
      [2, 3],
    ],
    opset: 28,
  },
  {
    op: 'LinearAttention',
    inputs: [
      [1, 2, 4],
      [1, 2, 4],
      [1, 2, 6],
    ],
    attributes: { q_num_heads: 2, kv_num_heads: 2, update_rule: 'linear' },
    opset: 27,
  },
  { op: 'CumProd', inputs: [[2, 3], scalar('int64', 1)], opset: 26 },
  { op: 'BitCast', inputs: [[2, 3]], attributes: { to: 6 }, opset: 26 },
  {
    op: 'CausalConvWithState',
    inputs: [
      [2, 3, 5],
      [3, 1, 3],
    ],
    opset: 27,
  },
  {
    op: 'TensorScatter',
    inputs: [
      [1, 4, 3],
      [1, 2, 3],
    ],
    opset: 24,
  },
  {
    op: 'ConvTranspose',
    inputs: [
      [2, 3, 4, 4],
      [3, 2, 3, 3],
    ],
    opset: 11,
  },
  { op: 'Resize', inputs: [[2, 3, 4, 4], null, of('float', [4], 1, 1, 2, 2)], opset: 13 },
  { op: 'Upsample', inputs: [[2, 3, 4, 4], of('float', [4], 1, 1, 2, 2)], opset: 9 },
  { op: 'ImageScaler', inputs: [[2, 3, 4, 4]], attributes: { bias: { floats: [1, 2, 3] } }, opset: 7 },
  { op: 'GatherElements', inputs: [[1, 3], of('int64', [1, 2], 0, 2)], attributes: { axis: 1 }, opset: 13 },
  { op: 'GatherND', inputs: [[1, 3, 2], of('int64', [1, 2], 0, 2)], opset: 13 },
  {
    op: 'Scatter',
    inputs: [[1, 3], of('int64', [1, 1], 1), of('float', [1, 1], 5)],
    attributes: { axis: 1 },
    opset: 9,
  },
  {
    op: 'ScatterElements',
    inputs: [[1, 3], of('int64', [1, 1], 1), of('float', [1, 1], 5)],
    attributes: { axis: 1 },
    opset: 13,
  },
  { op: 'ScatterND', inputs: [[1, 3], of('int64', [1, 2], 0, 1), of('float', [1], 5)], opset: 13 },
  ...[
    ['LSTM', 4],
    ['GRU', 3],
    ['RNN', 1],
  ].map(([op, gates]): OperatorCase => {
    const rows = 2 * Number(gates)
    const inputs = [
      [2, 3, 4],
      [1, rows, 4],
      [1, rows, 2],
    ]
    return {
      op: String(op),
      inputs,
      attributes: { hidden_size: 2, layout: 1, ...(op === 'GRU' && { linear_before_reset: 1 }) },
      opset: 14,
    }
  }),
  {
    op: 'Einsum',
    inputs: [
      [2, 3, 4],
      [4, 5],
    ],
    attributes: { equation: 'bij,jk->bik' },
  },
  { op: 'QuantizeLinear', inputs: [[2, 3], of('float', [], 0.1), of('uint8', [], 3)], opset: 13 },
  {
    op: 'DequantizeLinear',
    inputs: [of('uint8', [2], 1, 2), of('float', [], 0.1), of('uint8', [], 3)],
    opset: 13,
  },
  {
    op: 'GridSample',
    inputs: [[1, 2, 3, 3], of('float', [1, 2, 2, 2], -1, -1, 0, 0, 0.5, 0.25, 1, 0)],
    opset: 16,
  },
]

const [unit, nought] = [of('float', [], 0.1), of('uint8', [], 3)]
const weightOf = (...shape: number[]) =>
  of('int8', shape, ...noise(elements(shape), 2).map((x) => Math.round(90 * x)))
const [weightUnit, weightNought] = [of('float', [], 0.02), of('int8', [], 0)]

/** Of an image that is quantized before. */
export const quantized: OperatorCase[] = [
  { op: 'DequantizeLinear', inputs: [[2, 3], unit, nought], opset: 13 },
  {
    op: 'QLinearConv',
    inputs: [[2, 3, 4, 4], unit, nought, weightOf(2, 3, 3, 3), weightUnit, weightNought, unit, nought],
    opset: 13,
  },
  {
    op: 'QLinearMatMul',
    inputs: [[2, 3], unit, nought, weightOf(3, 4), weightUnit, weightNought, unit, nought],
    opset: 13,
  },
  ...[
    {
      op: 'QGemm',
      inputs: [[2, 3], unit, nought, weightOf(3, 4), weightUnit, weightNought, null, unit, nought],
    },
    { op: 'MatMulIntegerToFloat', inputs: [[2, 3], weightOf(3, 4), unit, weightUnit, nought, weightNought] },
    {
      op: 'QLinearAdd',
      inputs: [[2, 3], unit, nought, of('uint8', [3], 1, 2, 9), unit, nought, unit, nought],
    },
    {
      op: 'QLinearMul',
      inputs: [[2, 3], unit, nought, of('uint8', [3], 1, 2, 9), unit, nought, unit, nought],
    },
    ...['QLinearSigmoid', 'QLinearLeakyRelu', 'QLinearSoftmax'].map((op) => ({
      op,
      inputs: [[2, 3], unit, nought, unit, nought],
    })),
    { op: 'QLinearReduceMean', inputs: [[2, 3, 4], unit, nought, unit, nought], attributes: { axes: [2] } },
    { op: 'QLinearGlobalAveragePool', inputs: [[2, 3, 4, 4], unit, nought, unit, nought] },
    {
      op: 'QLinearAveragePool',
      inputs: [[2, 3, 4, 4], unit, nought, unit, nought],
      attributes: { kernel_shape: [2, 2] },
    },
  ].map((one): OperatorCase => ({ ...one, domain: 'com.microsoft', opset: 13 })),
  {
    op: 'QLinearConcat',
    domain: 'com.microsoft',
    inputs: [unit, nought, [1, 3], unit, nought, of('uint8', [1, 2], 1, 2), unit, nought],
    attributes: { axis: 1 },
    opset: 13,
  },
  ...['QuantizeLinear', 'DequantizeLinear'].map(
    (op): OperatorCase => ({ op, domain: 'com.microsoft', inputs: [[2, 3], unit, nought], opset: 13 }),
  ),
]

/** Its model: the operator on the image, which is multiplied by a weight first where it is to learn. */
function modelOf(one: OperatorCase, learns: boolean) {
  const numbers = one.inputs.map((each, i): Numbers | null => {
    if (!Array.isArray(each)) return each
    return {
      shape: each,
      data: noise(
        each.reduce((a, b) => a * b, 1),
        i + 1,
      ),
    }
  })
  const shaped = one.inputs.findIndex((each) => Array.isArray(each))
  const floats = numbers.findIndex(
    (each) => each && (each.type ?? 'float') === 'float' && each.shape.length > 1,
  )
  const at = shaped < 0 ? floats : shaped
  const image = numbers[at]
  if (!image) return undefined
  const isQuantized = quantized.includes(one) && one.op !== 'QuantizeLinear'
  const x = learns || isQuantized ? 'x' : `in${at}`
  const names = numbers.map((each, i) => (each ? `in${i}` : ''))
  // A loop's values come behind its count and condition.
  if (one.op === 'Loop') names.push(names.shift() as string)
  // What a branch reads is none of the node's own inputs.
  if (one.op === 'If') names.pop()
  const node: TestNode = {
    op: one.op,
    inputs: names,
    outputs: [
      'y',
      ...Array.from({ length: one.op === 'Scan' ? 1 : (one.outputs ?? 1) - 1 }, (_, i) => `y${i}`),
    ],
    attributes: one.attributes ?? {},
    ...(one.domain !== undefined && { domain: one.domain }),
  }
  const rest = Object.fromEntries(
    numbers.flatMap((each, i) => (each && i !== at ? [[`in${i}`, each] as [string, Numbers]] : [])),
  )
  const taken = one.sequence === 'in' || one.sequence === 'both'
  const given = one.sequence === 'out' || one.sequence === 'both'
  const first = names[0] as string
  if (taken) names[0] = 'sequence'
  const made: TestNode[] = [
    ...(taken ? [{ op: 'SequenceConstruct', inputs: [first, first], outputs: ['sequence'] }] : []),
    given ? { ...node, outputs: ['results'] } : node,
    ...(given ? [{ op: 'SequenceAt', inputs: ['results', 'place'], outputs: ['y'] }] : []),
  ]
  if (given) rest.place = scalar('int64', 0)
  const size = image.shape.slice(1)
  const weight = {
    shape: size,
    data: noise(elements(size), 9).map(positive),
  }
  const before: TestNode = { op: 'QuantizeLinear', inputs: ['x', 'u', 'n'], outputs: [`in${at}`] }
  if (isQuantized) Object.assign(rest, { u: unit, n: nought })
  const bytes = onnxModel({
    opset: one.opset ?? 17,
    nodes: isQuantized
      ? [before, node]
      : learns
        ? [
            { op: 'Mul', inputs: ['x', 'weight'], outputs: [`in${at}`] },
            ...made,
            { op: 'Flatten', inputs: ['y'], outputs: ['z'] },
          ]
        : made,
    inputs: { [x]: { shape: [image.shape[0] === 1 ? 1 : 'N', ...size] } },
    initializers: learns ? { ...rest, weight } : rest,
    outputs: [learns && !isQuantized ? 'z' : 'y'],
  })
  return { model: loadOnnx(bytes), inputShape: size }
}

/** Numbers that a logarithm and a root take. */
const positive = (value: number) => Math.abs(value) + 0.2

function works(cases: readonly OperatorCase[], attempt: (one: OperatorCase) => void): boolean {
  return cases.some((one) => {
    try {
      attempt(one)
      return true
    } catch {
      return false
    }
  })
}

function compiles(one: OperatorCase): void {
  const made = modelOf(one, false)
  if (!made) throw new Error('it has no image')
  made.model.compile().dispose()
}

/** A step moves the weight that lies before the operator. */
function trains(one: OperatorCase): void {
  const made = modelOf(one, true)
  if (!made) throw new Error('it has no image')
  const { model, inputShape } = made
  const trainer = new Trainer(model, { optimizer: new SGD({ lr: 0.1 }), seed: 1, inputShape })
  try {
    const before = model.namedParameters().map(([, { data }]) => data.slice())
    trainer.step(Float32Array.from(noise(4 * elements(inputShape), 3), positive), [0, 1, 0, 1])
    const moved = model
      .namedParameters()
      .some(([name, { data }], i) => name === 'weight' && data.some((value, k) => value !== before[i]?.[k]))
    if (!moved) throw new Error('the weight stayed')
  } finally {
    trainer.dispose()
  }
}

const yes = (one: boolean) => (one ? '✓' : '–')

/** What becomes of each operator. */
interface Row {
  readonly name: string
  readonly opsets: readonly number[]
  readonly compile: boolean
  readonly train: boolean
}

export function rowsOf(groups: Readonly<Record<string, readonly OperatorCase[]>>): Row[] {
  const cases = new Map<string, OperatorCase[]>()
  for (const one of [...Object.values(groups).flat(), ...more, ...quantized]) {
    const name = one.domain ? `${one.domain}.${one.op}` : one.op
    cases.set(name, [...(cases.get(name) ?? []), one])
  }
  return operatorNames()
    .sort()
    .map((name) => {
      const own = cases.get(name) ?? []
      const opsets = [...new Set(own.map(({ opset }) => opset ?? 17))].sort((a, b) => a - b)
      return { name, opsets, compile: works(own, compiles), train: works(own, trains) }
    })
}

/** The page. */
export function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ name, opsets, compile, train }) =>
      `| ${name} | ${opsets.join(', ')} | ✓ | ${yes(compile)} | ${yes(train)} |`,
  )
  return `# ONNX operators

Made by \`npm run onnx:table\` of what the tests try; \`tests/onnx-operators.test.ts\` checks that it is current. Compiled and trained are floats of an image; what is known without an image (shapes, indices, constants) is computed when the model is loaded, by any of these. An attribute, or a way to use an operator, that is not supported is refused by the name of its node. \`kernelet inspect FILE.onnx\` says it of a model.

| operator | opsets tried | \`run\` | \`compile\` | trained through |
| --- | --- | --- | --- | --- |
${lines.join('\n')}
`
}

/** They take an image's shape at most: what they make is known when the model is loaded. */
const known = [
  ...[
    'Constant',
    'ConstantOfShape',
    'EyeLike',
    'OptionalHasElement',
    'Range',
    'SequenceEmpty',
    'SequenceLength',
  ],
  ...['Shape', 'Size'],
]

/** The same for `kernelet inspect`. */
export function abilitiesOf(rows: readonly Row[]): string {
  const set = (name: string, says: string, without: (row: Row) => boolean) =>
    `/** ${says} */
export const ${name}: ReadonlySet<string> = new Set([
${rows.flatMap((row) => (without(row) && !known.includes(row.name) ? [`  '${row.name}',\n`] : [])).join('')}])
`
  return `/** Made by \`npm run onnx:table\`, of what the tests try: operators that can do less than others. */

${set('uncompiled', 'A compiled model does not compute them of an image.', ({ compile }) => !compile)}
${set('untrained', 'Training does not go through them.', ({ train }) => !train)}`
}
