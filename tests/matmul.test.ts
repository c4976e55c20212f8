/** Products of two values: matmul and bmm, and ONNX's MatMul, Einsum and Attention made of them. */
import { describe, expect, test } from 'vitest'
import { bmm, loadOnnx, Module, matmul, permute, saveOnnx, softmax, Tensor } from '../lib/index.ts'
import { largestError, noise } from './helpers.ts'
import { type Numbers, of, onnxModel, runOperator, type TestNode } from './onnx-models.ts'

const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)
const tensor = (shape: number[], seed = 1) => new Tensor(noise(count(shape), seed), shape)
const numbers = (shape: number[], seed = 1): Numbers => ({ shape, data: noise(count(shape), seed) })

/** By the definition of NumPy's einsum, in double: every index of every name. */
function naiveEinsum(
  equation: string,
  operands: readonly Numbers[],
): { shape: number[]; data: Float64Array } {
  const [left, result = ''] = equation.split('->') as [string, string]
  const terms = left.split(',')
  const sizes = new Map<string, number>()
  for (const [i, term] of terms.entries()) {
    for (const [d, name] of [...term].entries()) {
      sizes.set(name, Math.max(sizes.get(name) ?? 1, operands[i]!.shape[d]!))
    }
  }
  const names = [...sizes.keys()]
  const shape = [...result].map((name) => sizes.get(name)!)
  const data = new Float64Array(count(shape))
  const at = new Map(names.map((name) => [name, 0]))
  const offset = (term: string, of: readonly number[]) =>
    [...term].reduce((sum, name, d) => sum * of[d]! + (of[d] === 1 ? 0 : at.get(name)!), 0)
  for (let n = count([...sizes.values()]); n > 0; n--) {
    const product = terms.reduce(
      (all, term, i) => all * Number(operands[i]!.data[offset(term, operands[i]!.shape)]),
      1,
    )
    data[offset(result, shape)]! += product
    for (const name of names) {
      at.set(name, at.get(name)! + 1)
      if (at.get(name)! < sizes.get(name)!) break
      at.set(name, 0)
    }
  }
  return { shape, data }
}

describe('matmul', () => {
  test.each([
    [[3, 4], [4, 5], 'ij,jk->ik'],
    [[2, 3, 4], [2, 4, 5], 'aij,ajk->aik'],
    [[2, 3, 4], [4, 5], 'aij,jk->aik'],
    [[2, 1, 3, 4], [1, 3, 4, 70], 'abij,abjk->abik'],
    [[3, 4], [2, 4, 5], 'ij,ajk->aik'],
    [[4], [2, 4, 5], 'j,ajk->ak'],
    [[2, 3, 4], [4], 'aij,j->ai'],
    [[4], [4], 'j,j->'],
    [[7, 1030], [1030, 9], 'ij,jk->ik'],
  ])('%j by %j', (a, b, equation) => {
    const [x, y] = [numbers(a, 1), numbers(b, 2)]
    const want = naiveEinsum(equation, [x, y])
    const got = matmul(tensor(a, 1), tensor(b, 2))
    expect(got.shape).toEqual(want.shape)
    expect(largestError(got.data, want.data)).toBeLessThan(1e-7 * a.at(-1)!)
  })

  test('shapes that do not fit are refused with what came', () => {
    expect(() => matmul(tensor([2, 3]), tensor([2, 3]))).toThrow(
      expect.objectContaining({
        code: 'ERR_SHAPE',
        message: expect.stringMatching(/inner.*2×3 and input 2×3/),
      }),
    )
    expect(() => matmul(tensor([2, 3, 4]), tensor([3, 4, 5]))).toThrow(/broadcast before the matrices/)
    expect(() => matmul(tensor([]), tensor([2]))).toThrow(expect.objectContaining({ code: 'ERR_SHAPE' }))
    expect(() => bmm(tensor([3, 4]), tensor([4, 5]))).toThrow(/bmm expects \[n, rows, inner\]/)
    expect(() => bmm(tensor([1, 3, 4]), tensor([2, 4, 5]))).toThrow(
      expect.objectContaining({ code: 'ERR_SHAPE' }),
    )
    expect(() => matmul(7 as never, tensor([2]))).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})

/** Attention of a sequence over itself. */
class Self extends Module {
  readonly by = new Tensor(noise(12, 3), [4, 3])
  forward(x: Tensor): Tensor {
    const weights = softmax(matmul(x, permute(x, [0, 2, 1])), -1)
    return matmul(bmm(weights, x), this.by)
  }
}

describe('compiled', () => {
  test('the bits of the eager functions, for any batch and through a file', () => {
    const net = new Self()
    const again = loadOnnx(saveOnnx(net, { inputShape: [5, 4] }))
    for (const batch of [1, 3, 17]) {
      const x = tensor([batch, 5, 4], 5)
      using model = net.compile({ inputShape: [5, 4] })
      expect([...model.run(x)]).toEqual([...net.forward(x).data])
      expect([...again.forward(x).data]).toEqual([...net.forward(x).data])
    }
  })

  test('what would mix the images of a batch is refused', () => {
    const mixing = (forward: (x: Tensor) => Tensor, inputShape: number[]) => {
      class Mixing extends Module {
        forward = forward
      }
      return () => new Mixing().compile({ inputShape })
    }
    const refused = expect.objectContaining({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringMatching(/mix the images/),
    })
    expect(mixing((x) => matmul(x, x), [4])).toThrow(refused)
    expect(mixing((x) => matmul(tensor([3, 1]), x), [4])).toThrow(refused)
  })

  test('a row an image by a matrix', () => {
    class Rows extends Module {
      forward = (x: Tensor) => matmul(x, tensor([4, 3], 2))
    }
    using model = new Rows().compile({ inputShape: [4] })
    const x = tensor([6, 4])
    expect([...model.run(x)]).toEqual([...matmul(x, tensor([4, 3], 2)).data])
  })
})

/** What run() gives, and what the compiled model gives of every input but the first as a weight. */
function both(nodes: TestNode[], inputs: Numbers[], compiles = true, opset = 23) {
  const [first, ...rest] = inputs.map((one, i) => [`in${i}`, one] as const)
  const given = Object.fromEntries([first!, ...rest])
  const run = loadOnnx(onnxModel({ opset, nodes, inputs: given })).run(given).y!
  if (compiles) {
    const [name, { shape, data }] = first!
    const open = { [name]: { shape: ['N', ...shape.slice(1)] } }
    const bytes = onnxModel({ opset, nodes, inputs: open, initializers: Object.fromEntries(rest) })
    using model = loadOnnx(bytes).compile()
    expect([...model.run(Float32Array.from(data as ArrayLike<number>))]).toEqual([...run.data])
  }
  return run
}

describe('Einsum', () => {
  test.each<[string, number[][], boolean]>([
    [
      'bij,jk->bik',
      [
        [2, 3, 4],
        [4, 5],
      ],
      true,
    ],
    [
      'bhwc,hkc->bhwk',
      [
        [2, 3, 5, 4],
        [3, 6, 4],
      ],
      true,
    ],
    ['bchw,c->bhw', [[2, 3, 4, 5], [3]], true],
    ['bchw->bc', [[2, 3, 4, 5]], true],
    [
      'bfnd,ndh->bfh',
      [
        [2, 3, 4, 5],
        [4, 5, 6],
      ],
      true,
    ],
    [
      'bij,jk,kl->bil',
      [
        [2, 4, 3],
        [3, 5],
        [5, 2],
      ],
      true,
    ],
    ['bi,i->bi', [[3, 4], [1]], true],
    [
      'bij,bjk->bik',
      [
        [2, 3, 4],
        [2, 4, 5],
      ],
      false,
    ],
    ['ij->ji', [[4, 3]], false],
    ['i,j->ij', [[4], [3]], false],
    ['i,i->', [[4], [4]], false],
  ])('%s', (equation, shapes, compiles) => {
    const inputs = shapes.map((shape, i) => numbers(shape, i + 1))
    const node = { op: 'Einsum', inputs: shapes.map((_, i) => `in${i}`), attributes: { equation } }
    const run = both([node], inputs, compiles, 17)
    const want = naiveEinsum(equation, inputs)
    expect(run.shape).toEqual(want.shape)
    expect(largestError(run.data as Float32Array, want.data)).toBeLessThan(5e-6)
  })

  test('an ellipsis, no arrow, a diagonal, integers', () => {
    const [x, y] = [numbers([2, 3, 4]), numbers([4, 5], 2)]
    const einsum = (equation: string, ...given: Numbers[]) => runOperator('Einsum', given, { equation })[0]!
    expect(einsum('...ij,jk->...ik', x, y).data).toEqual(einsum('bij,jk->bik', x, y).data)
    expect(einsum('...ij,...jk->...ik', numbers([2, 3, 4]), numbers([1, 4, 5], 2)).shape).toEqual([2, 3, 5])
    expect(einsum('bij,jk', x, y).data).toEqual(einsum('bij,jk->bik', x, y).data)
    expect([...einsum('ii->i', of('int32', [2, 2], 1, 2, 3, 4)).data]).toEqual([1, 4])
    expect([...einsum('ii', of('int64', [2, 2], 1, 2, 3, 4)).data]).toEqual([5n])
    expect([...einsum('i,i->i', of('int32', [2], 2 ** 30, 3), of('int32', [2], 4, 5)).data]).toEqual([0, 15])
  })

  test('what cannot be read is refused by name', () => {
    const refuse = (equation: string, ...shapes: number[][]) =>
      expect(() =>
        runOperator(
          'Einsum',
          shapes.map((shape) => numbers(shape)),
          { equation },
        ),
      )
    refuse('i*j', [2, 2]).toThrow(/equation .i\*j. cannot be read/)
    refuse('i->j', [2]).toThrow(/no input has the dimension j/)
    refuse('ij->i', [2]).toThrow(/does not fit input 0/)
    refuse('i,i->i', [2]).toThrow(/for 2 inputs but there are 1/)
    refuse('i,i->i', [2], [3]).toThrow(/dimension i is 2 and 3/)
    refuse('ii->i', [2, 3]).toThrow(/has no diagonal i|dimension i/)
    refuse('i->ii', [2]).toThrow(/a dimension twice/)
    const nodes = [{ op: 'Einsum', inputs: ['in0', 'in0'], attributes: { equation: 'ai,bi->ab' } }]
    expect(() => loadOnnx(onnxModel({ nodes, inputs: { in0: { shape: ['N', 3] } } })).compile()).toThrow(
      /mix the images of a batch/,
    )
  })
})

describe('Attention', () => {
  /** By the formula, in double. [n, heads, length, size] */
  function naive(
    q: Numbers,
    k: Numbers,
    v: Numbers,
    score: (s: number, i: number, j: number, image: number) => number,
  ) {
    const [n, heads, queries, size] = q.shape as [number, number, number, number]
    const [, groups, keys, width] = v.shape as [number, number, number, number]
    const data = new Float64Array(n * heads * queries * width)
    for (let at = 0; at < n * heads * queries; at++) {
      const [i, head, image] = [
        at % queries,
        Math.floor(at / queries) % heads,
        Math.floor(at / queries / heads),
      ]
      const row = (image * groups + Math.floor(head / (heads / groups))) * keys
      const scores = Array.from({ length: keys }, (_, j) => {
        let sum = 0
        for (let d = 0; d < size; d++)
          sum += Number(q.data[at * size + d]) * Number(k.data[(row + j) * size + d])
        return Math.exp(score(sum / Math.sqrt(size), i, j, image))
      })
      const total = scores.reduce((sum, one) => sum + one, 0)
      for (let d = 0; d < width; d++) {
        data[at * width + d] = scores.reduce(
          (sum, s, j) => sum + (s / total) * Number(v.data[(row + j) * width + d]),
          0,
        )
      }
    }
    return data
  }
  const qkv = (heads = 3) =>
    [numbers([2, heads, 4, 8], 1), numbers([2, 3, 6, 8], 2), numbers([2, 3, 6, 5], 3)] as const

  test('heads, groups of them, masks, a causal one, a cap', () => {
    const mask = numbers([4, 6], 4)
    const seen = of('bool', [4, 6], ...Array.from({ length: 24 }, (_, i) => (i % 5 === 0 ? 0 : 1)))
    const cases: [Numbers[], object, (s: number, i: number, j: number) => number][] = [
      [[...qkv()], {}, (s) => s],
      [[...qkv(6)], {}, (s) => s],
      [[...qkv()], { is_causal: 1 }, (s, i, j) => (j > i ? Number.NEGATIVE_INFINITY : s)],
      [[...qkv()], { softcap: 1.5 }, (s) => 1.5 * Math.tanh(s / 1.5)],
      [
        [...qkv(), mask],
        { softcap: 1.5 },
        (s, i, j) => (1.5 * Math.tanh(s / 1.5) + Number(mask.data[i * 6 + j])) as number,
      ],
      [[...qkv(), seen], {}, (s, i, j) => ((i * 6 + j) % 5 === 0 ? Number.NEGATIVE_INFINITY : s)],
    ]
    for (const [given, attributes, score] of cases) {
      const [y] = runOperator('Attention', given, attributes as never, 23)
      expect(y!.shape).toEqual([2, given[0]!.shape[1], 4, 5])
      expect(
        largestError(y!.data as Float32Array, naive(given[0]!, given[1]!, given[2]!, score)),
      ).toBeLessThan(2e-6)
    }
  })

  test('windows, keys that are padding, masks shorter than the keys, of opset 24 and 25', () => {
    const never = Number.NEGATIVE_INFINITY
    const short = numbers([4, 4], 4)
    const lengths = of('int64', [2], 5, 3)
    const cases: [
      (Numbers | undefined)[],
      object,
      (s: number, i: number, j: number, image: number) => number,
    ][] = [
      [[...qkv()], { left_window_size: 1 }, (s, i, j) => (j < i - 1 ? never : s)],
      [
        [...qkv()],
        { left_window_size: 2, right_window_size: 1 },
        (s, i, j) => (j < i - 2 || j > i + 1 ? never : s),
      ],
      [[...qkv(), short], {}, (s, i, j) => (j > 3 ? never : s + Number(short.data[i * 4 + j]))],
      [
        [...qkv(), undefined, undefined, undefined, lengths],
        {},
        (s, _i, j, image) => (j >= [5, 3][image]! ? never : s),
      ],
      [
        [...qkv(), undefined, undefined, undefined, of('int64', [2], 5, 4)],
        { is_causal: 1 },
        (s, i, j, image) => (j > i + [1, 0][image]! ? never : s),
      ],
    ]
    for (const [given, attributes, score] of cases) {
      const [y] = runOperator('Attention', given, attributes as never, 25)
      const expected = naive(given[0]!, given[1]!, given[2]!, score)
      expect(largestError(y!.data as Float32Array, expected)).toBeLessThan(2e-6)
    }
  })

  test('a query that sees no key makes zeros, not NaN', () => {
    const seen = of('bool', [4, 6], ...Array.from({ length: 24 }, (_, i) => (i < 6 ? 0 : 1)))
    const [y, , , weights] = runOperator(
      'Attention',
      [...qkv(), seen],
      { qk_matmul_output_mode: 3 } as never,
      24,
      4,
    )
    expect(y!.shape).toEqual([2, 3, 4, 5])
    const rows = Array.from({ length: 2 * 3 * 4 }, (_, row) =>
      Array.from(y!.data.slice(row * 5, row * 5 + 5), Number).every((one) => one === 0),
    )
    expect(rows).toEqual(Array.from({ length: 2 * 3 * 4 }, (_, row) => row % 4 === 0))
    expect(Array.from(weights!.data, Number).slice(0, 6)).toEqual([0, 0, 0, 0, 0, 0])
    expect(Array.from(weights!.data, Number).every(Number.isFinite)).toBe(true)
  })

  test('compiled, of one value, and as exporters write it out', () => {
    const [x, w] = [numbers([3, 5, 12]), numbers([12, 36], 2)]
    const attributes = { q_num_heads: 3, kv_num_heads: 3 }
    const split = {
      op: 'Split',
      inputs: ['p'],
      outputs: ['q', 'k', 'v'],
      attributes: { axis: -1, num_outputs: 3 },
    }
    const whole = both(
      [
        { op: 'MatMul', inputs: ['in0', 'in1'], outputs: ['p'] },
        split,
        { op: 'Attention', inputs: ['q', 'k', 'v'], attributes },
      ],
      [x, w],
    )
    const heads: TestNode[] = ['q', 'k', 'v'].flatMap((name) => [
      { op: 'Reshape', inputs: [name, 'in2'], outputs: [`${name}s`] },
      {
        op: 'Transpose',
        inputs: [`${name}s`],
        outputs: [`${name}h`],
        attributes: { perm: name === 'k' ? [0, 2, 3, 1] : [0, 2, 1, 3] },
      },
    ])
    const written = both(
      [
        { op: 'MatMul', inputs: ['in0', 'in1'], outputs: ['p'] },
        split,
        ...heads,
        { op: 'MatMul', inputs: ['qh', 'kh'], outputs: ['scores'] },
        { op: 'Div', inputs: ['scores', 'in4'], outputs: ['scaled'] },
        { op: 'Softmax', inputs: ['scaled'], outputs: ['weights'], attributes: { axis: -1 } },
        { op: 'MatMul', inputs: ['weights', 'vh'], outputs: ['mixed'] },
        { op: 'Transpose', inputs: ['mixed'], outputs: ['back'], attributes: { perm: [0, 2, 1, 3] } },
        { op: 'Reshape', inputs: ['back', 'in3'] },
      ],
      [x, w, of('int64', [4], 0, 0, 3, 4), of('int64', [3], 0, 0, 12), of('float', [], 2)],
    )
    expect(largestError(written.data as Float32Array, whole.data as Float32Array)).toBeLessThan(1e-6)
  })
})
