/** Cases of ONNX operators: one node each, run and compiled, and what should come out. */
import { expect } from 'vitest'
import { loadOnnx, type OnnxResult, Tensor } from '../lib/index.ts'
import { largestError, noise } from './helpers.ts'
import { type Numbers, type OperatorCase, onnxModel, type onnxruntime, runOrt } from './onnx-models.ts'

export interface Case extends OperatorCase {
  /** onnxruntime has no such operator of this type. */
  ownOnly?: boolean
  /** What should come out, of each output: by a plain definition, in double. */
  want?: (...inputs: Numbers[]) => { shape: readonly number[]; data: readonly number[] }[]
}

export const ints = (...data: number[]): Numbers => ({ type: 'int64', shape: [data.length], data })
export const scalar = (value: number): Numbers => ({ shape: [], data: [value] })
export const index = (value: number): Numbers => ({ type: 'int64', shape: [], data: [value] })
export const f = (value: number): { float: number } => ({ float: value })

/** Numbers for the inputs of a case that only has shapes: spread over −2 … 2. */
function numbersOf({ inputs }: Case): (Numbers | null)[] {
  return inputs.map((input, i) => {
    if (!Array.isArray(input)) return input
    const length = input.reduce((product, size) => product * size, 1)
    return { shape: input, data: noise(length, i + 1).map((value) => 2 * value) }
  })
}

export const title = ({ op, inputs, attributes, opset }: Case): string => {
  const shown = inputs.map((one) =>
    Array.isArray(one)
      ? `[${one}]`
      : one
        ? `${one.type ?? ''}(${Array.from(one.data, Number).slice(0, 12)})`
        : '-',
  )
  return `${op}-${opset ?? 17} ${shown.join(' ')} ${JSON.stringify(attributes ?? {})}`
}

/** Runs and compiles a case, and compares with its own definition or, where it is given, with onnxruntime. */
export async function checkCase(one: Case, ort?: ReturnType<typeof onnxruntime>): Promise<void> {
  const numbers = numbersOf(one)
  const names = numbers.map((each, i) => (each === null ? '' : `in${i}`))
  const given = Object.fromEntries(
    numbers.flatMap((each, i) => (each ? [[names[i] as string, each] as [string, Numbers]] : [])),
  )
  const outputs = Array.from({ length: one.outputs ?? 1 }, (_unused, i) => `out${i}`)
  const node = {
    op: one.op,
    inputs: names,
    outputs,
    attributes: one.attributes ?? {},
    ...(one.domain !== undefined && { domain: one.domain }),
  }
  const opset = one.opset ?? 17
  const whole = onnxModel({ opset, nodes: [node], inputs: given, outputs })
  const own = one.want?.(...(numbers.filter((each) => each !== null) as Numbers[]))
  const expected: Record<string, { shape: readonly number[]; data: readonly number[] }> = ort
    ? await runOrt(ort, whole, given)
    : Object.fromEntries(outputs.map((name, i) => [name, own![i]!]))
  const check = (actual: OnnxResult, name: string) => {
    const { shape, data } = expected[name]!
    expect(actual.shape).toEqual(shape)
    const finite = data.filter((value) => Number.isFinite(value)).map(Math.abs)
    const scale = Math.max(...finite, 1)
    const numbers = Float32Array.from(actual.data as ArrayLike<number | bigint>, Number)
    expect(largestError(numbers, Float32Array.from(data)) / scale).toBeLessThan(one.tolerance ?? 2e-6)
  }

  const results = loadOnnx(whole).run<OnnxResult>(given)
  expect(Object.keys(results)).toEqual(outputs)
  for (const name of outputs) check(results[name]!, name)

  const { in0, ...initializers } = given
  if (in0?.type !== undefined || one.inputs[0] === null) return
  const inputs = { in0: { shape: ['N', ...in0!.shape.slice(1)] } }
  const fixed = onnxModel({ opset, nodes: [node], inputs, initializers, outputs })
  const x = new Tensor(Float32Array.from(in0!.data, Number), in0!.shape)
  for (const output of outputs) {
    const model = loadOnnx(fixed, { output })
    check(model.forward(x), output)
    if (one.runOnly) continue
    using compiled = model.compile()
    // one number an image is [n]
    const own = expected[output]!.shape.length === 1 ? [] : compiled.outputShape
    check(new Tensor(compiled.run(x), [in0!.shape[0]!, ...own]), output)
  }
}
