import { describe, expect, test } from 'vitest'
import { KerneletError, Tensor } from '../lib/index.ts'
import { normaliseDim, pair, windowCount } from '../lib/tensor/shape.ts'

describe('Tensor', () => {
  test('keeps the array and a frozen copy of the shape', () => {
    const data = new Float32Array(6)
    const shape = [2, 3]
    const tensor = new Tensor(data, shape)
    shape[0] = 9
    expect(tensor.data).toBe(data)
    expect(tensor.shape).toEqual([2, 3])
    expect(Object.isFrozen(tensor.shape)).toBe(true)
    expect(new Tensor(new Float32Array(1), []).shape).toEqual([])
  })

  test('accepts shared memory', () => {
    const data = new Float32Array(new SharedArrayBuffer(16))
    expect(new Tensor(data, [4]).data).toBe(data)
  })

  test.each([
    [new Float32Array(5), [2, 3], 'ERR_SHAPE', 'expected 6 values for shape 2×3 but received 5'],
    [new Float32Array(0), [1], 'ERR_SHAPE', 'received 0 (an empty or detached buffer)'],
    [
      [1, 2],
      [2],
      'ERR_ARGUMENT',
      'must be a Float32Array but is [1, 2]; convert it with Float32Array.from(data)',
    ],
    [new Float64Array(2), [2], 'ERR_ARGUMENT', 'is a Float64Array; convert it'],
    [undefined, [2], 'ERR_ARGUMENT', 'is undefined'],
    [new Float32Array(2), 2, 'ERR_SHAPE', 'array of positive integers such as [1, 28, 28] but is 2'],
    [new Float32Array(2), [1, 2.5], 'ERR_SHAPE', 'is [1, 2.5]'],
    [new Float32Array(0), [0, 3], 'ERR_SHAPE', 'is [0, 3]'],
    [new Float32Array(2), [-1, -2], 'ERR_SHAPE', 'is [-1, -2]'],
    [new Float32Array(0), [2 ** 32], 'ERR_SHAPE', 'is [4294967296]'],
  ])('refuses %o with shape %o', (data, shape, code, sentence) => {
    const make = () => new Tensor(data as never, shape as never)
    expect(make).toThrow(KerneletError)
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringContaining(sentence) }))
  })

  test('refuses a detached buffer', () => {
    const data = new Float32Array(4)
    structuredClone(data.buffer, { transfer: [data.buffer] })
    expect(() => new Tensor(data, [4])).toThrow(
      'expected 4 values for shape 4 but received 0 (an empty or detached',
    )
  })
})

describe('shape arithmetic', () => {
  // input, kernel, stride, before, after, dilation, ceil mode, positions: by hand, from PyTorch's formula
  test.each([
    [28, 5, 1, 0, 0, 1, false, 24],
    [128, 5, 1, 0, 0, 1, false, 124],
    [124, 2, 2, 0, 0, 1, false, 62],
    [5, 3, 2, 1, 1, 1, false, 3],
    [9, 3, 3, 2, 2, 2, false, 3],
    [7, 2, 2, 0, 0, 1, true, 4],
    [24, 3, 2, 1, 1, 1, true, 13],
    [3, 2, 2, 1, 1, 1, true, 2], // the third window would start in the padding
    [2, 3, 1, 0, 0, 1, false, 0],
    [2, 3, 1, 0, 0, 1, true, 0],
    [1, 1, 1, 0, 0, 1, false, 1],
  ])('%i, window %i, stride %i, padding %i + %i, dilation %i, ceil %s → %i', (...row) => {
    const [input, kernel, stride, before, after, dilation, ceilMode, expected] = row
    expect(windowCount(input, kernel, stride, before, after, dilation, ceilMode)).toBe(expected)
  })

  test('a number stands for both directions', () => {
    expect(pair(3, 'stride', 1)).toEqual([3, 3])
    expect(pair([1, 2], 'stride', 1)).toEqual([1, 2])
  })

  test.each([
    [0],
    [-1],
    [1.5],
    ['2'],
    [null],
    [[1]],
    [[1, 2, 3]],
    [[1, 0]],
    [[]],
    [2 ** 31],
    [Number.NaN],
    [{}],
  ])('is no stride: %o', (value) => {
    expect(() => pair(value, 'stride', 1)).toThrow(/^stride must be an integer from 1 to 32768, or a pair/)
  })

  test('dimensions may count from the end', () => {
    expect([-3, -1, 0, 2].map((dim) => normaliseDim(dim, 3, 'dim'))).toEqual([0, 2, 0, 2])
    for (const dim of [3, -4, 0.5, undefined]) {
      expect(() => normaliseDim(dim, 3, 'dim')).toThrow('dim must be an integer from -3 to 2')
    }
  })
})
