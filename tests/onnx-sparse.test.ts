/** Sparse initializers and constants: read with their zeros, or refused by what is wrong with them. */
import { describe, expect, test } from 'vitest'
import type { SparseTensorProto, TensorProto } from '../lib/formats/onnx/proto.ts'
import type { Draft } from '../lib/formats/onnx/proto-write.ts'
import { KerneletError, loadOnnx, SGD, Tensor, Trainer } from '../lib/index.ts'
import { encode, modelProto } from './onnx-models.ts'

const x = new Tensor(
  Float32Array.from({ length: 6 }, (_, i) => i + 1),
  [2, 3],
)
/** 3 × 4, with 2 at [0, 1], −1 at [1, 3], 3 at [2, 0]. */
const full = [0, 2, 0, 0, 0, 0, 0, -1, 3, 0, 0, 0]

const int64 = (dims: number[], data: number[]): Draft<TensorProto> => ({
  dims,
  data_type: 7,
  raw_data: new Uint8Array(BigInt64Array.from(data, BigInt).buffer),
})
const values = (data = [2, -1, 3], dims = [data.length]): Draft<TensorProto> => ({
  dims,
  data_type: 1,
  name: 'w',
  float_data: data,
})

function sparse({
  dims = [3, 4],
  ...rest
}: Partial<Draft<SparseTensorProto>> = {}): Draft<SparseTensorProto> {
  return { values: values(), indices: int64([3], [1, 7, 8]), dims, ...rest }
}

function model(one: Draft<SparseTensorProto>): Uint8Array {
  const proto = modelProto({
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'] }],
    inputs: { x: { shape: ['N', 3] } },
  })
  return encode({ ...proto, graph: { ...proto.graph, sparse_initializer: [one] } })
}

const expected = [0, 1].flatMap((row) =>
  [0, 1, 2, 3].map((column) =>
    [0, 1, 2].reduce((sum, i) => sum + (x.data[3 * row + i] as number) * (full[4 * i + column] as number), 0),
  ),
)

describe('read', () => {
  test.each([
    ['a number for each value', sparse()],
    ['a row for each value', sparse({ indices: int64([3, 2], [0, 1, 1, 3, 2, 0]) })],
    [
      'values as float16',
      sparse({ values: { name: 'w', dims: [3], data_type: 10, int32_data: [0x4000, 0xbc00, 0x4200] } }),
    ],
  ])('indices as %s', (_, one) => {
    const net = loadOnnx(model(one))
    expect([...net.forward(x).data]).toEqual(expected)
    expect([...net.compile().run(x)]).toEqual(expected)
  })

  test('nothing but zeros', () => {
    const one = sparse({ values: values([]), indices: int64([0], []) })
    expect([...loadOnnx(model(one)).forward(x).data]).toEqual(Array(8).fill(0))
  })

  test('it is a weight as any other, its zeros too', () => {
    const net = loadOnnx(model(sparse()))
    expect([...net.stateDict()].map(([name, { shape }]) => [name, ...shape])).toEqual([['w', 4, 3]])
    using trainer = new Trainer(net, { optimizer: new SGD({ lr: 0.1 }), seed: 1 })
    const before = net.stateDict().get('w')?.data.slice() ?? []
    trainer.step(x, [0, 2])
    expect(
      net
        .stateDict()
        .get('w')
        ?.data.every((one, i) => one !== before[i]),
    ).toBe(true)
  })

  test('a Constant node that holds one', () => {
    const proto = modelProto({
      nodes: [
        { op: 'Constant', inputs: [], outputs: ['w'] },
        { op: 'MatMul', inputs: ['x', 'w'] },
      ],
      inputs: { x: { shape: ['N', 3] } },
    })
    const [constant] = proto.graph?.node ?? []
    if (constant) constant.attribute = [{ name: 'sparse_value', type: 11, sparse_tensor: sparse() }]
    expect([...loadOnnx(encode(proto)).forward(x).data]).toEqual(expected)
  })
})

describe('refused', () => {
  const cases: [string, Draft<SparseTensorProto>, string, RegExp][] = [
    [
      'an index beyond the end',
      sparse({ indices: int64([3], [1, 7, 12]) }),
      'ERR_FORMAT',
      /index 12 is outside .* 12/,
    ],
    ['a negative index', sparse({ indices: int64([3], [-1, 7, 8]) }), 'ERR_FORMAT', /index -1 is outside/],
    [
      'an index beyond its own dimension',
      sparse({ indices: int64([3, 2], [0, 1, 0, 4, 2, 0]) }),
      'ERR_FORMAT',
      /index 4 is outside a dimension of 4/,
    ],
    ['indices out of order', sparse({ indices: int64([3], [7, 1, 8]) }), 'ERR_FORMAT', /do not ascend/],
    ['an index twice', sparse({ indices: int64([3], [1, 7, 7]) }), 'ERR_FORMAT', /do not ascend/],
    ['too few indices', sparse({ indices: int64([2], [1, 7]) }), 'ERR_FORMAT', /shape 2 instead of 3 or 3×2/],
    [
      'rows of indices too long',
      sparse({ indices: int64([3, 3], Array(9).fill(0)) }),
      'ERR_FORMAT',
      /3×3 instead of/,
    ],
    ['indices that are floats', sparse({ indices: values() }), 'ERR_FORMAT', /no int64/],
    ['no indices', sparse({ indices: undefined }), 'ERR_FORMAT', /"w": it has no indices/],
    ['no values', sparse({ values: undefined }), 'ERR_FORMAT', /reads "w", which nothing makes/],
    [
      'values in rows',
      sparse({ values: values([2, -1, 3], [1, 3]) }),
      'ERR_FORMAT',
      /1×3, not one dimension/,
    ],
    [
      'fewer values than their shape says',
      sparse({ values: values([2], [3]) }),
      'ERR_FORMAT',
      /expected 12 bytes/,
    ],
    ['no dimensions', sparse({ dims: [] }), 'ERR_FORMAT', /its shape is \[\]/],
    ['a negative dimension', sparse({ dims: [3, -4] }), 'ERR_FORMAT', /its shape is \[3, -4\]/],
    [
      'gigabytes of zeros',
      sparse({ dims: [3, 2 ** 30] }),
      'ERR_UNSUPPORTED',
      /^sparse initializer "w": with its zeros it takes 12288 MB/,
    ],
    ['more than can be counted', sparse({ dims: [2 ** 50, 2 ** 50] }), 'ERR_UNSUPPORTED', /MB/],
    ['too many dimensions', sparse({ dims: Array(70).fill(1) }), 'ERR_UNSUPPORTED', /70 dimensions/],
    ['strings', sparse({ values: { ...values(), data_type: 8 } }), 'ERR_UNSUPPORTED', /element type string/],
  ]
  test.each(cases)('%s', (_, one, code, message) => {
    let error: unknown
    try {
      loadOnnx(model(one))
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(KerneletError)
    expect((error as KerneletError).code).toBe(code)
    expect((error as KerneletError).message).toMatch(message)
  })

  test('many that are each small enough', () => {
    const proto = modelProto({
      nodes: [
        { op: 'MatMul', inputs: ['x', 'w0'], outputs: ['y0'] },
        ...Array.from({ length: 19 }, (_, i) => ({
          op: 'Add',
          inputs: [`y${i}`, `w${i + 1}`],
          outputs: [`y${i + 1}`],
        })),
      ],
      inputs: { x: { shape: ['N', 3] } },
      outputs: ['y19'],
    })
    const sparse_initializer = Array.from({ length: 20 }, (_, i) =>
      sparse({ values: { ...values(), name: `w${i}` }, dims: [3, 2 ** 20] }),
    )
    expect(() => loadOnnx(encode({ ...proto, graph: { ...proto.graph, sparse_initializer } }))).toThrow(
      /with its zeros it takes 12 MB, with which loading or compiling/,
    )
  })
})
