/** What type each value of a model has, as ONNX infers it from the model alone. */
import { bool, type ElementType, float32, float64, int64 } from './element.ts'
import type { OnnxNode } from './node.ts'
import { castType } from './operators/cast.ts'

/** Results whose type is not that of the first input. */
const results: Readonly<
  Record<
    string,
    (node: OnnxNode, output: number, input: (i: number) => ElementType | undefined) => ElementType | undefined
  >
> = {
  And: () => bool,
  BatchNormalization: (_, output, input) => input(output === 0 ? 0 : 3),
  Cast: castType,
  CastLike: (_node, _output, input) => input(1),
  ConstantOfShape: (node) => node.tensor('value')?.type ?? float32,
  Dropout: ({ opset }, output, input) => (output === 0 ? input(0) : opset < 10 ? float32 : bool),
  Equal: () => bool,
  Greater: () => bool,
  GreaterOrEqual: () => bool,
  Less: () => bool,
  LessOrEqual: () => bool,
  MaxPool: (_, output, input) => (output === 0 ? input(0) : int64),
  Not: () => bool,
  Or: () => bool,
  Shape: () => int64,
  Size: () => int64,
  Where: (_node, _output, input) => input(1),
  Xor: () => bool,
}

/** Adds the types of what nodes make, in their order, to those that are known. */
export function inferTypes(nodes: readonly OnnxNode[], types: Map<string, ElementType>): void {
  for (const node of nodes) {
    const infer = Object.hasOwn(results, node.op) ? results[node.op] : undefined
    const input = (i: number) => types.get(node.inputs[i] ?? '')
    for (const [i, output] of node.outputs.entries()) {
      if (output === '' || types.has(output)) continue
      const type = infer ? infer(node, i, input) : input(0)
      if (type) types.set(output, type)
    }
  }
}

/** Operators that compute float32, whatever floats they are given. */
const kernels = new Set([
  'BatchNormalization',
  'Conv',
  'Gelu',
  'Gemm',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'LRN',
  'LogSoftmax',
  'MatMul',
  'Softmax',
])

/**
 * The values that are held as doubles, where `doubles` are: what operators make of them that are no kernels. What a
 * kernel makes, and what is computed beside that, is float32.
 */
export function heldAsDoubles(doubles: Set<string>, nodes: readonly OnnxNode[]): Set<string> {
  for (const node of nodes) {
    if (kernels.has(node.op)) continue
    const source = node.inputs[node.op === 'Where' ? 1 : 0] ?? ''
    const double = node.op === 'Cast' ? castType(node) === float64 : doubles.has(source)
    if (double) for (const name of node.outputs) doubles.add(name)
  }
  return doubles
}

export function isKernel(op: string): boolean {
  return kernels.has(op)
}
