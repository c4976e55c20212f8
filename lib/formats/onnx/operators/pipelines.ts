/** ai.onnx.ml: what pipelines of scikit-learn put around a network. Words are no numbers, and are not supported. */
import {
  abs,
  add,
  argmax,
  cat,
  div,
  eq,
  gt,
  isnan,
  linear,
  mul,
  pow,
  sigmoid,
  softmax,
  where,
} from '../../../ops/index.ts'
import { elements, formatShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { type ElementType, float32, int64, type Scalar } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { picked } from '../pieces.ts'
import { arrayOf, indicesOf, isSymbolic, type Read, required, tensorOf } from '../value.ts'
import { reduceMax, reduceSum } from './normalise.ts'

/** Each row divided by its largest number, or by its norm. */
const Normalizer: Read = (node) => {
  const norm = node.text('norm', 'MAX')
  if (!['MAX', 'L1', 'L2'].includes(norm)) throw node.unsupported(`attribute norm=${norm} is not supported`)
  return (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    const last = x.shape.length - 1
    const rows =
      norm === 'MAX'
        ? reduceMax(x, [last], true)
        : norm === 'L1'
          ? reduceSum(abs(x), [last], true)
          : pow(reduceSum(mul(x, x), [last], true), 0.5)
    // A row of zeros stays one.
    return div(x, where(rows, rows, 1))
  }
}

const scores: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  NONE: (x) => x,
  LOGISTIC: (x) => sigmoid(x),
  SOFTMAX: (x) => softmax(x, -1),
}

function scoreOf(node: OnnxNode): (x: Tensor) => Tensor {
  const name = node.text('post_transform', 'NONE')
  const score = scores[name]
  if (score && Object.hasOwn(scores, name)) return score
  throw node.unsupported(`attribute post_transform=${name} is not supported`)
}

/** A linear layer of `count` outputs, whose numbers are attributes. */
function layerOf(node: OnnxNode, count: number): (x: Tensor) => Tensor {
  const weights = node.floats('coefficients') ?? []
  const given = node.floats('intercepts') ?? []
  const features = weights.length / count
  if (!(features >= 1) || !Number.isInteger(features) || (given.length !== count && given.length !== 0)) {
    throw node.error(
      'ERR_FORMAT',
      `${weights.length} coefficients and ${given.length} intercepts are not of ${count} outputs`,
    )
  }
  const weight = new Tensor(Float32Array.from(weights), [count, features])
  const bias = given.length === 0 ? undefined : new Tensor(Float32Array.from(given), [count])
  return (x) => linear(x, weight, bias)
}

const LinearRegressor: Read = (node) => {
  const score = scoreOf(node)
  const layer = layerOf(node, node.int('targets', 1))
  return (inputs) => score(layer(tensorOf(required(node, inputs, 0), node)))
}

/** The label of the largest score, and the scores. */
const LinearClassifier: Read = (node) => {
  const labels = node.ints('classlabels_ints')
  if (node.has('classlabels_strings')) throw words(node)
  if (!labels) throw node.error('ERR_FORMAT', 'attribute classlabels_ints is missing')
  if (node.floats('intercepts')?.length === 1 && labels.length === 2) {
    throw node.unsupported('one row of coefficients for two classes is not supported')
  }
  node.ignore('multi_class')
  const score = scoreOf(node)
  const layer = layerOf(node, labels.length)
  const first = labels[0] ?? 0
  const countUp = labels.every((label, i) => label === first + i)
  return (inputs) => {
    const sums = layer(tensorOf(required(node, inputs, 0), node))
    const places = argmax(sums, -1)
    if (!isSymbolic(places)) {
      const chosen = Array.from(places.data, (place) => labels[place] ?? 0)
      return [{ ...nd.integers(chosen), shape: places.shape }, score(sums)]
    }
    if (!countUp) throw node.unsupported('labels that do not count up are for run() only')
    return [first === 0 ? places : add(places, first), score(sums)]
  }
}

function words(node: OnnxNode): Error {
  return node.unsupported(
    'strings are not supported; numbers as labels are (classlabels_int64s, options of the converter)',
  )
}

/** Keys and values of a table, lists or tensors; undefined where it has none of the kind. */
function listOf(node: OnnxNode, name: string): nd.NdArray | undefined {
  const tensor = node.tensor(`${name}_tensor`)
  if (tensor) return tensor
  const [integers, floats] = [node.ints(`${name}_int64s`), node.floats(`${name}_floats`)]
  if (node.has(`${name}_strings`)) throw words(node)
  if (integers) return nd.integers(integers)
  return floats && { type: float32, shape: [floats.length], values: Float32Array.from(floats) }
}

/** The type of what a LabelEncoder gives. */
function labelType(node: OnnxNode): ElementType | undefined {
  if (node.has('values_int64s')) return int64
  if (node.has('values_floats')) return float32
  return node.tensor('values_tensor')?.type
}

const LabelEncoder: Read = (node) => {
  if (node.has('classes_strings')) throw words(node)
  const [keys, values] = [listOf(node, 'keys'), listOf(node, 'values')]
  if (!keys || !values || keys.values.length !== values.values.length) {
    throw node.error('ERR_FORMAT', 'it should have as many keys as values')
  }
  node.ignore('default_string')
  const [whole, real] = [node.int('default_int64', -1), node.float('default_float', -0)]
  const given = node.tensor('default_tensor')?.values[0]
  const other: Scalar =
    given ?? (values.type.wide ? BigInt(whole) : values.type.kind === 'float' ? real : whole)
  const table = new Map<Scalar, Scalar>()
  // NaN is a key as any other. Of keys that are there twice the first counts.
  for (const [i, key] of keys.values.entries())
    if (!table.has(key)) table.set(key, values.values[i] as Scalar)
  return (inputs) => {
    const x = arrayOf(node, required(node, inputs, 0))
    if (x.type.kind !== keys.type.kind) {
      throw node.error('ERR_FORMAT', `its keys are ${keys.type.name} but its input is ${x.type.name}`)
    }
    const result = nd.allocate(values.type, x.shape)
    spend(4 * x.values.length)
    const target = result.values as Float64Array
    for (const [i, one] of x.values.entries()) target[i] = (table.get(one) ?? other) as number
    return result
  }
}

/** Would make a dictionary of each row; here the rows stay as they are, a column for each class in the order of its labels. */
const ZipMap: Read = (node) => {
  node.ignore('classlabels_int64s', 'classlabels_strings')
  return (inputs) => required(node, inputs, 0)
}

const Binarizer: Read = (node) => {
  const threshold = node.float('threshold', 0)
  return (inputs) => gt(tensorOf(required(node, inputs, 0), node), threshold)
}

/** Numbers in the place of one that stands for what is missing. */
const Imputer: Read = (node) => {
  const values = node.floats('imputed_value_floats')
  const missing = node.float('replaced_value_float', Number.NaN)
  if (!values?.length) throw node.unsupported('attribute imputed_value_floats is needed')
  const value =
    values.length === 1 ? (values[0] as number) : new Tensor(Float32Array.from(values), [values.length])
  return (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    return where(Number.isNaN(missing) ? isnan(x) : eq(x, missing), value, x)
  }
}

/** Columns by number. */
const ArrayFeatureExtractor: Read = (node) => (inputs) => {
  const value = required(node, inputs, 0)
  const rank = value.shape.length
  if (rank === 0) throw node.error('ERR_SHAPE', 'it takes columns but gets a scalar')
  const columns = indicesOf(node, required(node, inputs, 1), 'the columns')
  const flat = { ...columns, shape: [elements(columns.shape)] }
  if (isSymbolic(value) && rank > 1) {
    const size = value.shape[rank - 1] ?? 0
    const places = Array.from(flat.values as BigInt64Array, Number)
    const outside = places.find((place) => !(place >= 0 && place < size))
    if (outside !== undefined)
      throw node.error('ERR_SHAPE', `column ${outside} is outside ${formatShape(value.shape)}`)
    return picked(node, value, rank - 1, places)
  }
  const result = nd.gather(arrayOf(node, value), flat, rank - 1)
  return rank === 1 ? { ...result, shape: [1, ...result.shape] } : result
}

/** Columns side by side. */
const FeatureVectorizer: Read = (node) => {
  node.ignore('inputdimensions')
  return (inputs) =>
    cat(
      inputs.map((_, i) => tensorOf(required(node, inputs, i), node)),
      1,
    )
}

const ml = 'ai.onnx.ml'

export const pipelines: Family = {
  operators: {
    [`${ml}.ArrayFeatureExtractor`]: ArrayFeatureExtractor,
    [`${ml}.Binarizer`]: { read: Binarizer, isKernel: true },
    [`${ml}.FeatureVectorizer`]: { read: FeatureVectorizer, isKernel: true, type: () => float32 },
    [`${ml}.Imputer`]: { read: Imputer, isKernel: true },
    [`${ml}.LabelEncoder`]: { read: LabelEncoder, type: labelType },
    [`${ml}.LinearClassifier`]: {
      read: LinearClassifier,
      type: (_node, output) => (output === 0 ? int64 : float32),
    },
    [`${ml}.LinearRegressor`]: { read: LinearRegressor, isKernel: true, type: () => float32 },
    [`${ml}.Normalizer`]: { read: Normalizer, isKernel: true, type: () => float32 },
    [`${ml}.ZipMap`]: { read: ZipMap, moves: true },
  },
}
