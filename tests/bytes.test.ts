/** inputType 'uint8': pixels as services hold them. */
import { describe, expect, test } from 'vitest'
import { compile, isa, KerneletError, LeNet5, manualSeed } from '../lib/index.ts'

manualSeed(5)
const model = new LeNet5()
const inputShape = [1, 28, 28]
const pixels = (images: number): Uint8Array =>
  Uint8Array.from({ length: 784 * images }, (_, i) => (i * 37 + (i >> 3)) % 256)

describe.each(isa().supported)('bytes on %s', (tier) => {
  // 29 is prime: whole blocks of images in the lanes, and some left over on every tier
  for (const algorithm of ['auto', 'im2col', 'lanes']) {
    test(`${algorithm}: the bits of the same values as floats`, () => {
      using bytes = compile(model, {
        inputShape,
        isa: tier,
        algorithm,
        inputType: 'uint8',
        scale: 0.25,
        shift: -3,
      })
      using floats = compile(model, { inputShape, isa: tier, algorithm })
      const given = pixels(29)
      // both exact in float32, so nothing depends on how they are rounded
      const expected = floats.run(Float32Array.from(given, (p) => p * 0.25 - 3))
      expect(bytes.run(given)).toEqual(expected)
      expect(bytes.run(Buffer.from(given.subarray(0, 784)))).toEqual(expected.subarray(0, 10))
    })
  }

  test('runAsync too, and a clamped array', async () => {
    using net = compile(model, { inputShape, isa: tier, inputType: 'uint8' })
    const given = pixels(3)
    const sync = net.run(given).slice()
    expect(await net.runAsync(new Uint8ClampedArray(given))).toEqual(sync)
  })
})

test('scale is 1/255 unless given', () => {
  using bytes = compile(model, { inputShape, inputType: 'uint8' })
  using floats = compile(model, { inputShape })
  const given = pixels(1)
  const a = bytes.run(given)
  const b = floats.run(Float32Array.from(given, (p) => p / 255))
  // a product and a quotient may differ in the last bit of a pixel
  for (let i = 0; i < 10; ++i) expect(Math.abs((a[i] as number) - (b[i] as number))).toBeLessThan(1e-6)
})

const refused = (run: () => unknown): KerneletError => {
  try {
    run()
  } catch (error) {
    if (error instanceof KerneletError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

test('floats where bytes are expected, bytes where floats are, and wrong options are named', () => {
  using bytes = compile(model, { inputShape, inputType: 'uint8' })
  using floats = compile(model, { inputShape })
  expect(refused(() => bytes.run(new Float32Array(784)))).toMatchObject({
    code: 'ERR_ARGUMENT',
    message: expect.stringContaining('Uint8Array'),
  })
  expect(refused(() => floats.run(pixels(1)))).toMatchObject({
    code: 'ERR_ARGUMENT',
    message: expect.stringContaining("inputType: 'uint8'"),
  })
  expect(refused(() => bytes.run(new Uint8Array(1000)))).toMatchObject({ code: 'ERR_SHAPE' })
  expect(refused(() => compile(model, { inputShape, inputType: 'int8' as never }))).toMatchObject({
    code: 'ERR_ARGUMENT',
  })
  expect(refused(() => compile(model, { inputShape, scale: 2 }))).toMatchObject({ code: 'ERR_ARGUMENT' })
  expect(refused(() => compile(model, { inputShape, inputType: 'uint8', scale: Number.NaN }))).toMatchObject({
    code: 'ERR_ARGUMENT',
  })
})
