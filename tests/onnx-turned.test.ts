/** Models that carry the batch elsewhere than first: compiled, they give what run() gives. */
import { describe, expect, test } from 'vitest'
import { loadOnnx } from '../lib/index.ts'
import { elements } from '../lib/tensor/shape.ts'
import { largestError, noise } from './helpers.ts'
import { int64s, type Numbers, node, of, onnxModel, type TestNode, turn, weight } from './onnx-models.ts'

const index = (value: number) => of('int64', [], value)

/** Three images of that shape; the result is `y`. */
function compare(
  nodes: TestNode[],
  image: number[],
  initializers: Record<string, Numbers>,
  opset = 17,
): void {
  const model = loadOnnx(
    onnxModel({ opset, nodes, inputs: { x: { shape: ['N', ...image] } }, outputs: ['y'], initializers }),
  )
  const x = { shape: [3, ...image], data: noise(3 * elements(image), 5) }
  const want = model.run({ x }).y!
  using compiled = model.compile()
  const got = compiled.run(x.data)
  expect([3, ...compiled.outputShape]).toEqual(want.shape)
  expect(largestError(got, want.data)).toBeLessThan(1e-6)
  expect(new Set(want.data).size).toBeGreaterThan(10)
}

const [L, H, D] = [5, 2, 4]
const E = H * D

/** What PyTorch's MultiheadAttention is exported as: [L, n, E], heads beside the images, rows of all. */
const attention: TestNode[] = [
  turn('x', 't', 1, 0, 2),
  node('MatMul', 't w', 'p'),
  node('Add', 'p b', 'pb'),
  node('Shape', 't', 'shape'),
  node('Gather', 'shape one', 'n', { axis: 0 }),
  node('Mul', 'n heads', 'nh'),
  node('Unsqueeze', 'nh zero', 'nh1'),
  node('Concat', 'length nh1 size', 'apart', { axis: 0 }),
  node('Reshape', 'pb three', 'u'),
  node('Unsqueeze', 'u zero', 'u1'),
  turn('u1', 'u2', 3, 1, 2, 0, 4),
  node('Squeeze', 'u2 third', 'u3'),
  ...['q', 'k', 'v'].flatMap((name, i) => [
    node('Gather', `u3 ${['none', 'one', 'two'][i]}`, name, { axis: 0 }),
    node('Reshape', `${name} apart`, `${name}r`),
    turn(`${name}r`, `${name}h`, ...(name === 'k' ? [1, 2, 0] : [1, 0, 2])),
  ]),
  node('MatMul', 'qh kh', 'scores'),
  node('Softmax', 'scores', 'weights', { axis: -1 }),
  node('MatMul', 'weights vh', 'mixed'),
  turn('mixed', 'back', 1, 0, 2),
  node('Mul', 'n steps', 'ln'),
  node('Unsqueeze', 'ln zero', 'ln1'),
  node('Concat', 'ln1 features', 'rows', { axis: 0 }),
  node('Reshape', 'back rows', 'flat'),
  node('Gemm', 'flat out bias', 'g', { transB: 1 }),
  node('Unsqueeze', 'n zero', 'n1'),
  node('Concat', 'length n1 features', 'whole', { axis: 0 }),
  node('Reshape', 'g whole', 'z'),
  turn('z', 'y', 1, 0, 2),
]
const attentionWeights = {
  ...{ w: weight([E, 3 * E], 1), b: weight([3 * E], 2), out: weight([E, E], 3), bias: weight([E], 4) },
  ...{
    none: index(0),
    one: index(1),
    two: index(2),
    heads: index(H),
    steps: index(L),
    zero: int64s(0),
    third: int64s(3),
  },
  ...{ length: int64s(L), size: int64s(D), features: int64s(E), three: int64s(0, 0, 3, E) },
}

describe('compiled as run', () => {
  test('attention of heads beside the images', () => compare(attention, [L, E], attentionWeights))

  test('windows, which make more images of one', () => {
    compare(
      [
        node('Reshape', 'x s1', 'a'),
        turn('a', 'b', 0, 1, 3, 2, 4, 5),
        node('Reshape', 'b s2', 'w'),
        node('MatMul', 'w wq', 'q'),
        turn('q', 'k', 0, 2, 1),
        node('MatMul', 'q k', 'scores'),
        node('Add', 'scores table', 'biased'),
        node('Softmax', 'biased', 'at', { axis: -1 }),
        node('MatMul', 'at w', 'o'),
        node('Reshape', 'o s3', 'back'),
        turn('back', 'c', 0, 1, 3, 2, 4, 5),
        node('Reshape', 'c s4', 'y'),
      ],
      [4, 4, 6],
      {
        ...{
          s1: int64s(-1, 2, 2, 2, 2, 6),
          s2: int64s(-1, 4, 6),
          s3: int64s(-1, 2, 2, 2, 2, 6),
          s4: int64s(-1, 4, 4, 6),
        },
        ...{ wq: weight([6, 6], 1), table: weight([1, 4, 4], 2) },
      },
    )
  })

  test('elements taken by several indices', () => {
    // the mean of planes as PyTorch strides it: rows of all images in one dimension, taken apart again
    compare(
      [
        node('ReduceMean', 'x', 'a', { axes: [2, 3], keepdims: 1 }),
        node('Reshape', 'a all', 'b'),
        node('Shape', 'x', 'shape'),
        node('Gather', 'shape zero', 'n', { axis: 0 }),
        node('Range', 'start n step', 'each'),
        node('Unsqueeze', 'each behind', 'each4'),
        node('Mul', 'each4 rows', 'begin'),
        node('Add', 'begin rest', 'places'),
        node('Gather', 'b places', 'c'),
        node('Reshape', 'c flat', 'y'),
      ],
      [150, 2, 3],
      {
        ...{ all: int64s(-1), zero: index(0), start: index(0), step: index(1), rows: index(150) },
        ...{ flat: int64s(-1, 150), behind: int64s(1, 2, 3) },
        rest: of('int64', [1, 150, 1, 1], ...Array.from({ length: 150 }, (_, i) => (i * 7) % 150)),
      },
    )
    // windows of an uneven pool, [h, w, n, c]
    compare(
      [
        turn('x', 't', 2, 3, 0, 1),
        node('GatherND', 't places', 'g'),
        turn('g', 'u', 3, 4, 0, 1, 2),
        node('ReduceMean', 'u', 'y', { axes: [-1], keepdims: 0 }),
      ],
      [4, 3, 5],
      {
        places: of(
          'int64',
          [2, 2, 3, 2],
          0,
          0,
          0,
          1,
          1,
          0,
          0,
          3,
          0,
          4,
          -1,
          4,
          2,
          0,
          2,
          1,
          1,
          -5,
          2,
          3,
          2,
          4,
          1,
          3,
        ),
      },
    )
    compare(
      [turn('x', 't', 1, 0, 2), node('Gather', 't order', 'g', { axis: 0 }), turn('g', 'y', 2, 0, 1, 3)],
      [5, 6],
      { order: of('int64', [2, 3], 4, 0, 0, -1, 2, 3) },
    )
  })

  test('what goes element by element, pieces and dimensions of one, with the steps in front', () => {
    const before = turn('x', 't', 1, 0, 2)
    const after = turn('r', 'y', 1, 0, 2)
    const weights = {
      c: weight([1, 6], 1),
      steps: weight([5, 1, 1], 2),
      axes: int64s(1, 3),
      from: int64s(-4),
      to: int64s(-1),
      along: int64s(0),
      last: int64s(-1),
      two: index(2),
      zero: weight([1], 9),
    }
    const bodies: TestNode[][] = [
      [node('Add', 't c', 'a'), node('Mul', 'a steps', 'b'), node('Sigmoid', 'b', 'r')],
      [node('Unsqueeze', 't axes', 'a'), node('Tanh', 'a', 'b'), node('Squeeze', 'b axes', 'r')],
      [node('Slice', 't from to along', 'r')],
      [node('Split', 't', 'a b', { axis: 2, num_outputs: 2 }), node('Concat', 'b a t', 'r', { axis: 2 })],
      [node('Softmax', 't', 'r', { axis: 2 })],
      [node('ReduceMax', 't last', 'm', { keepdims: 1 }), node('Sub', 't m', 'd'), node('Sin', 'd', 'r')],
      [node('ReduceSum', 't last', 's', { keepdims: 0 }), node('Unsqueeze', 's last', 'r')],
      [node('ArgMax', 't', 'm', { axis: -1 }), node('Cast', 'm', 'f', { to: 1 }), node('Add', 'f t', 'r')],
      [node('Greater', 't zero', 'g'), node('Where', 'g t c', 'r')],
      [node('CumSum', 't two', 'r')],
    ]
    for (const body of bodies) compare([before, ...body, after], [5, 6], weights, 18)
    const [zero, front] = [int64s(0), node('Unsqueeze', 'x zero', 'a')]
    compare([front, turn('a', 'y', 1, 2, 0, 3)], [5, 6], { zero })
    compare([before, node('Gather', 't last', 'y', { axis: 0 })], [5, 6], { last: index(-1) }, 18)
  })

  test('what goes along a dimension in front of the batch, which it may take away', () => {
    const before = turn('x', 't', 1, 0, 2)
    const after = turn('r', 'y', 1, 0, 2)
    const weights = { first: int64s(0), axis: index(0), both: int64s(0, 3), two: int64s(2) }
    for (const [op, axes, keepdims, ...order] of [
      ['ReduceMean', 'first', 1, 1, 0, 2, 3],
      ['ReduceMax', 'first', 0, 0, 1, 2],
      ['ReduceSum', 'both', 1, 1, 0, 2, 3],
      ['ReduceSum', 'both', 0, 0, 1],
      ['ReduceL2', 'two', 0, 1, 0, 2],
    ] as [string, string, number, ...number[]][]) {
      const nodes = [turn('x', 't', 1, 0, 2, 3), node(op, `t ${axes}`, 'r', { keepdims })]
      compare([...nodes, turn('r', 'y', ...order)], [15, 6, 3], weights, 18)
    }
    compare([before, node('Softmax', 't', 'r', { axis: 0 }), after], [5, 6], weights, 18)
    compare([before, node('CumSum', 't axis', 'r'), after], [5, 6], weights, 18)
    // the mean of several results that are stacked in front
    const stacked = [
      node('Unsqueeze', 'x first', 'a'),
      node('Sin', 'a', 'b'),
      node('Concat', 'a b', 's', { axis: 0 }),
    ]
    compare([...stacked, node('ReduceMean', 's first', 'y', { keepdims: 0 })], [6], weights, 18)
    // [n, 3, 4, 5] as [3, n · 4, 5]: the batch is spread
    const spread = [turn('x', 'p', 1, 0, 2, 3), node('Reshape', 'p rows', 't')]
    const rows = { ...weights, rows: int64s(3, -1, 5) }
    const mean = [node('ReduceMean', 't first', 'm', { keepdims: 0 }), node('Reshape', 'm whole', 'y')]
    compare([...spread, ...mean], [3, 4, 5], { ...rows, whole: int64s(-1, 4, 5) }, 18)
  })

  test('copies along any dimension but the batch, also of windows of an image', () => {
    const size = (from: string, to: string) => node('Shape', from, to)
    const normal = [
      node('ReduceL2', 't last', 'l', { keepdims: 1 }),
      size('t', 's'),
      node('Expand', 'l s', 'e'),
      node('Div', 't e', 'r'),
    ]
    const weights = { last: int64s(-1), rows: int64s(-1, 3, 5), whole: int64s(-1, 4, 3, 5) }
    // rows of an image, [n · 4, 3, 5]
    const windows = [node('Reshape', 'x rows', 't'), ...normal, node('Reshape', 'r whole', 'y')]
    compare(windows, [4, 3, 5], weights, 18)
    // the steps in front
    compare([turn('x', 't', 1, 0, 2), ...normal, turn('r', 'y', 1, 0, 2)], [4, 5], weights, 18)
    // new dimensions in front, of either
    const many = { ...weights, many: int64s(2, 3, 1, 4, 5), few: int64s(3, 1, 1) }
    compare(
      [turn('x', 't', 1, 0, 2), node('Expand', 't few', 'e'), turn('e', 'y', 1, 0, 2)],
      [1, 5],
      many,
      18,
    )
    const copies = [node('Expand', 'x many', 'e'), node('Sin', 'e', 'r'), turn('r', 'y', 2, 0, 1, 3, 4)]
    compare(copies, [4, 5], many, 18)
    compare(
      [turn('x', 't', 1, 0, 2), node('Expand', 't many5', 'e'), turn('e', 'y', 2, 0, 1, 3)],
      [4, 5],
      {
        many5: int64s(2, 4, 1, 5),
      },
      18,
    )
  })
})

test('windows of an image go through convolutions, pools and norms one by one', () => {
  // [n, 2, 4, 6] in windows of 2×3, [n · 4, 2, 2, 3], and back
  const windows = [
    node('Reshape', 'x six', 'a'),
    turn('a', 'b', 0, 2, 4, 1, 3, 5),
    node('Reshape', 'b rows', 'w'),
  ]
  const weights = {
    six: int64s(-1, 2, 2, 2, 2, 3),
    rows: int64s(-1, 2, 2, 3),
    whole: int64s(-1, 2, 2, 3, 2, 3),
    k: weight([3, 2, 2, 2], 1),
    c: weight([3], 2),
    flat: int64s(-1, 12),
  }
  const conv = node('Conv', 'w k c', 'v', { pads: [0, 0, 1, 1] })
  const bodies: TestNode[][] = [
    [conv, node('Relu', 'v', 'r')],
    [conv, node('GlobalAveragePool', 'v', 'g'), node('Mul', 'v g', 'r')],
    [conv, node('MaxPool', 'v', 'r', { kernel_shape: [1, 1] })],
  ]
  for (const body of bodies) {
    const back = [
      node('Reshape', 'r whole', 'd'),
      turn('d', 'e', 0, 3, 1, 4, 2, 5),
      node('Reshape', 'e image', 'y'),
    ]
    const all = { ...weights, whole: int64s(-1, 2, 2, 3, 2, 3), image: int64s(-1, 3, 4, 6) }
    compare([...windows, ...body, ...back], [2, 4, 6], all)
  }
})

describe('places that name the image of a batch', () => {
  // of each image the rows 3 and 1: [n, 2, 2] of image and row
  const scalar = (value: number) => of('int64', [], value)
  const batch = [node('Shape', 'x', 's'), node('Gather', 's none', 'n'), node('Range', 'none n one', 'r')]
  const places = [
    node('Reshape', 'r column', 'c'),
    node('Expand', 'c pair', 'i'),
    node('Mul', 'i none', 'z'),
    node('Add', 'z rows', 'j'),
    node('Concat', 'i j', 'at', { axis: -1 }),
  ]
  const cut = [node('Slice', 'x from to axes', 'u'), node('Sin', 'u', 'v')]
  const weights = {
    ...{ none: scalar(0), one: scalar(1), column: int64s(-1, 1, 1), pair: int64s(1, 2, 1) },
    ...{ rows: of('int64', [1, 2, 1], 3, 1), from: int64s(0), to: int64s(2), axes: int64s(1) },
    wide: int64s(1, 1, 5),
  }
  const along = [node('Expand', 'j wide', 'k')]
  const nothing = node('ConstantOfShape', 's', 'zeros')

  test('is compiled where it is the same for each', () => {
    const bodies: TestNode[][] = [
      [...cut, node('ScatterND', 'x at v', 'y')],
      [...cut, nothing, node('ScatterND', 'zeros at v', 'y')],
      [node('GatherND', 'x at', 'y')],
      [node('GatherND', 'x j', 'y', { batch_dims: 1 })],
      [...along, node('GatherElements', 'x k', 'y', { axis: 1 })],
      [...cut, ...along, node('ScatterElements', 'x k v', 'y', { axis: 1 })],
    ]
    for (const body of bodies) compare([...batch, ...places, ...body], [4, 5], weights, 18)
  })

  test('is refused where it is that of another', () => {
    const others = [node('Sub', 'n one', 'l'), node('Sub', 'l r', 'b')]
    const nodes = [...batch, ...others, ...places.with(0, node('Reshape', 'b column', 'c'))]
    const refused = /node y \(\w+, opset 18\): it names the images of a batch/
    const changing = [...batch, node('Reshape', 'r column', 'c'), node('Expand', 'c pair', 'j'), ...along]
    for (const body of [
      [...nodes, ...cut, node('ScatterND', 'x at v', 'y')],
      [...nodes, node('GatherND', 'x at', 'y')],
      [...changing, node('GatherElements', 'x k', 'y', { axis: 1 })],
    ]) {
      expect(() => compare(body, [4, 5], weights, 18)).toThrow(refused)
    }
  })
})

test('rows of an image as sequences', () => {
  // [n, 3, 4, 5]: [n · 3, 4, 5], steps first, and back
  const nodes = [
    node('Reshape', 'x rows', 'r'),
    turn('r', 't', 1, 0, 2),
    node('LSTM', 't W R B', 'h', { hidden_size: 2, direction: 'bidirectional' }),
    turn('h', 'b', 2, 0, 1, 3),
    node('Reshape', 'b whole', 'y'),
  ]
  compare(nodes, [3, 4, 5], {
    rows: int64s(-1, 4, 5),
    W: weight([2, 8, 5], 1),
    R: weight([2, 8, 2], 2),
    B: weight([2, 16], 3),
    whole: int64s(-1, 3, 4, 4),
  })
})

test('where the batch goes is also told of integers', () => {
  const model = loadOnnx(
    onnxModel({
      nodes: [
        node('Gather', 'table x', 'e'),
        turn('e', 't', 1, 0, 2),
        node('Shape', 't', 's'),
        node('Gather', 's middle', 'n'),
        node('Concat', 'steps n size', 'shape', { axis: 0 }),
        node('Reshape', 't shape', 'u'),
        turn('u', 'y', 1, 0, 2, 3),
      ],
      inputs: { x: { type: 'int64', shape: ['N', 4] } },
      outputs: ['y'],
      initializers: {
        table: weight([7, 6], 1),
        middle: int64s(1),
        steps: int64s(4),
        size: int64s(2, 3),
      },
    }),
  )
  const x = { shape: [2, 4], data: [0, 1, 2, 3, 4, 5, 6, 0] }
  using compiled = model.compile()
  expect([...compiled.run(Float32Array.from(x.data))]).toEqual([...model.run({ x }).y!.data])
})

test('what cannot be is refused by name', () => {
  const compile =
    (nodes: TestNode[], initializers: Record<string, Numbers> = {}) =>
    () =>
      loadOnnx(
        onnxModel({ nodes, inputs: { x: { shape: ['N', 5, 6] } }, outputs: ['y'], initializers }),
      ).compile()
  const elsewhere = /node y \(\w+, opset 17\): the batch is not dimension 0 here/
  const first = turn('x', 't', 1, 0, 2)
  expect(compile([first, node('ReduceMax', 't', 'y')])).toThrow(elsewhere)
  expect(compile([first, node('Softmax', 't', 'y', { axis: 1 })])).toThrow(elsewhere)
  expect(compile([first, node('Add', 't x', 'y')])).toThrow(elsewhere)
  expect(
    compile([node('Reshape', 'x flat', 'f'), node('Gather', 'f places', 'y')], {
      flat: int64s(-1),
      places: of('int64', [1, 2], 3, 4),
    }),
  ).toThrow(elsewhere)
  expect(
    compile([turn('x', 'u', 1, 2, 0), node('GatherND', 'u places', 'y')], {
      places: of('int64', [1, 2], 5, 0),
    }),
  ).toThrow(/index 5 is outside a dimension of 5/)
  expect(compile([first, node('Add', 't c', 'y')], { c: weight([5, 2, 6], 1) })).toThrow(elsewhere)
  expect(compile([node('Gemm', 'x c', 'y')], { c: weight([6, 2], 1) })).toThrow(
    /node y \(Gemm.*1×5×6 is no matrix/,
  )
  expect(compile([first, node('Gemm', 't c', 'y')], { c: weight([6, 2], 1) })).toThrow(/is no matrix/)
  expect(compile([node('Reshape', 'x all', 'y')], { all: int64s(-1, 6) })).toThrow(
    /node y \(Reshape.*the result holds the images of a batch in one dimension with others/,
  )
})
