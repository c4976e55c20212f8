/** Einsum: sums of products by the names of dimensions, made of permute, reshape and matmul. */
import { linear, matmul, permute, reshape } from '../../../ops/index.ts'
import { elements, formatShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { show } from '../../../util/show.ts'
import * as nd from '../array.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import {
  arrayOf,
  commonType,
  isSymbolic,
  onlyArrays,
  type Read,
  required,
  tensorOf,
  typeOf,
  type Value,
} from '../value.ts'
import { integerProduct } from './linear.ts'

/** A value whose dimensions have names. */
interface Named {
  readonly value: Value
  readonly labels: readonly string[]
}

/** Names of the dimensions of each operand, and of the result. */
interface Equation {
  readonly operands: readonly (readonly string[])[]
  readonly result: readonly string[]
}

/** `...` stands for as many dimensions as are left: names that no letter is, counted from the last. */
const ellipsis = '...'

function namesIn(term: string): readonly string[] {
  return term.match(/\.\.\.|[A-Za-z]/g) ?? []
}

function parse(node: OnnxNode, text: string, ranks: readonly number[]): Equation {
  const [left = '', right, more] = text.replaceAll(' ', '').split('->')
  const terms = left.split(',').map(namesIn)
  const outcome = namesIn(right ?? '')
  const written = [...terms, outcome].flat().join('')
  const twice = (term: readonly string[]) => term.filter((one) => one === ellipsis).length > 1
  const wrong =
    more !== undefined || written !== text.replace(/ |->|,/g, '') || [...terms, outcome].some(twice)
  if (wrong) throw node.error('ERR_FORMAT', `equation ${show(text)} cannot be read`)
  if (terms.length !== ranks.length) {
    throw node.error(
      'ERR_FORMAT',
      `equation ${show(text)} is for ${terms.length} inputs but there are ${ranks.length}`,
    )
  }
  let most = 0
  const spread = (term: readonly string[], count: number) =>
    term.flatMap((one) =>
      one === ellipsis ? Array.from({ length: count }, (_, i) => `${count - i}`) : [one],
    )
  const operands = terms.map((term, i) => {
    const rest = (ranks[i] ?? 0) - term.filter((one) => one !== ellipsis).length
    if (term.includes(ellipsis) ? rest < 0 : rest !== 0) {
      throw node.error(
        'ERR_SHAPE',
        `equation ${show(text)} does not fit input ${i} of ${ranks[i]} dimensions`,
      )
    }
    most = Math.max(most, rest)
    return spread(term, rest)
  })
  if (right !== undefined) return { operands, result: spread(outcome, most) }
  // Implicit: what the ellipsis stands for, then the letters that come once, in their order.
  const all = operands.flat()
  const once = [...new Set(all)].filter(
    (one) => /[A-Za-z]/.test(one) && all.indexOf(one) === all.lastIndexOf(one),
  )
  return { operands, result: [...spread([ellipsis], most), ...once.sort()] }
}

/** Arithmetic on values: of floats by native operations, of integers exactly. */
function arithmetic(node: OnnxNode, exact: boolean) {
  const order = (value: Value, axes: readonly number[]): Value => {
    if (axes.every((axis, i) => axis === i)) return value
    return isSymbolic(value) ? permute(value, axes) : nd.transpose(arrayOf(node, value), axes)
  }
  const shaped = (value: Value, shape: readonly number[]): Value => {
    if (isSymbolic(value)) return reshape(value, shape)
    return Tensor.is(value) ? new Tensor(value.data, shape) : { ...value, shape }
  }
  const product = (a: Value, b: Value): Value =>
    exact
      ? integerProduct(node, arrayOf(node, a), arrayOf(node, b))
      : matmul(tensorOf(a, node), tensorOf(b, node))
  /** Over the last dimension. */
  const sum = (value: Value): Value => {
    const count = value.shape.at(-1) ?? 1
    if (!exact) {
      const ones = new Tensor(new Float32Array(count).fill(1), [1, count])
      return shaped(linear(tensorOf(value, node), ones), value.shape.slice(0, -1))
    }
    const array = arrayOf(node, value)
    const ones = nd.filled(array.type, [count], array.type.wide ? 1n : 1)
    return integerProduct(node, array, ones)
  }
  return { order, shaped, product, sum }
}

const Einsum: Read = (node) => {
  const text = node.text('equation', '')
  return (inputs) => {
    const values = inputs.map((_, i) => required(node, inputs, i))
    const { operands, result } = parse(
      node,
      text,
      values.map(({ shape }) => shape.length),
    )
    const exact = values.every((one) => typeOf(one).kind !== 'float') && onlyArrays(values)
    if (exact) commonType(node, values)
    const named = values.map((value, i) => diagonal(node, { value, labels: operands[i] ?? [] }))
    checkSizes(node, named, result)
    const { order, sum } = arithmetic(node, exact)
    const total = named.reduce((a, b, i) =>
      contract(node, a, b, [...named.slice(i + 1).flatMap((one) => one.labels), ...result], exact),
    )
    let { value, labels } = total
    for (const label of labels.filter((one) => !result.includes(one))) {
      value = sum(order(value, last(labels, label)))
      labels = labels.filter((one) => one !== label)
    }
    return order(
      value,
      result.map((label) => labels.indexOf(label)),
    )
  }
}

/** The order in which `label` comes last. */
function last(labels: readonly string[], label: string): number[] {
  const at = labels.indexOf(label)
  return [...labels.keys()].filter((i) => i !== at).concat(at)
}

/** A name that comes twice means the elements where both are the same. */
function diagonal(node: OnnxNode, { value, labels }: Named): Named {
  const names = [...new Set(labels)]
  if (names.length === labels.length) return { value, labels }
  const array = arrayOf(node, value, 'an input of which it takes the diagonal')
  const strides = nd.stridesOf(array.shape)
  const shape = names.map((name) => {
    const sizes = array.shape.filter((_, d) => labels[d] === name)
    if (new Set(sizes).size > 1)
      throw node.error('ERR_SHAPE', `${formatShape(array.shape)} has no diagonal ${name}`)
    return sizes[0] ?? 1
  })
  const steps = names.map((name) =>
    strides.reduce((all, stride, d) => all + (labels[d] === name ? stride : 0), 0),
  )
  return { value: nd.view(array, shape, 0, steps), labels: names }
}

function checkSizes(node: OnnxNode, named: readonly Named[], result: readonly string[]): void {
  const sizes = new Map<string, number>()
  for (const { value, labels } of named) {
    for (const [d, label] of labels.entries()) {
      const [size = 1, known = 1] = [value.shape[d], sizes.get(label)]
      if (size !== known && size !== 1 && known !== 1) {
        throw node.error('ERR_SHAPE', `dimension ${label} is ${known} and ${size}`)
      }
      sizes.set(label, Math.max(size, known))
    }
  }
  const unknown = result.find((label) => !sizes.has(label))
  if (unknown !== undefined) throw node.error('ERR_FORMAT', `no input has the dimension ${unknown}`)
  if (new Set(result).size < result.length) throw node.error('ERR_FORMAT', 'its result has a dimension twice')
}

/** The product of two, summed over what both have and nobody asks for later. */
function contract(
  node: OnnxNode,
  first: Named,
  second: Named,
  wanted: readonly string[],
  exact: boolean,
): Named {
  const { order, shaped, product } = arithmetic(node, exact)
  // Images of a trace come first whatever a dimension is called, and keep apart.
  const images = [first, second].flatMap(({ value, labels }) =>
    isSymbolic(value) ? [labels[0] as string] : [],
  )
  if (new Set(images).size > 1) throw node.unsupported('it would mix the images of a batch; run() can')
  const image = images[0]
  const sizeIn = ({ value, labels }: Named, label: string) => value.shape[labels.indexOf(label)] ?? 1
  // One element that is repeated is as good as none.
  const squeezed = (one: Named, other: Named): Named => {
    const repeated = (label: string) =>
      label !== image &&
      other.labels.includes(label) &&
      sizeIn(one, label) === 1 &&
      sizeIn(other, label) !== 1
    const labels = one.labels.filter((label) => !repeated(label))
    return {
      labels,
      value: shaped(
        one.value,
        labels.map((label) => sizeIn(one, label)),
      ),
    }
  }
  const [a, b] = [squeezed(first, second), squeezed(second, first)]
  const both = a.labels.filter((label) => b.labels.includes(label))
  const stack = both.filter((label) => wanted.includes(label) || label === image)
  const inner = both.filter((label) => !stack.includes(label))
  const own = ({ labels }: Named) => labels.filter((label) => !both.includes(label) && label !== image)
  const front = (one: Named) => one.labels.filter((label) => label === image && !both.includes(label))
  stack.sort((x, y) => Number(y === image) - Number(x === image))
  const matrix = (one: Named, columns: boolean) => {
    const outer = own(one)
    const labels = [...front(one), ...stack, ...(columns ? [...inner, ...outer] : [...outer, ...inner])]
    const value = order(
      one.value,
      labels.map((label) => one.labels.indexOf(label)),
    )
    const sizes = (of: readonly string[]) => of.map((label) => sizeIn(one, label))
    const sides = [elements(sizes(outer)), elements(sizes(inner))]
    return shaped(value, [...sizes([...front(one), ...stack]), ...(columns ? sides.reverse() : sides)])
  }
  const value = product(matrix(a, false), matrix(b, true))
  const [rows, columns] = [own(a), own(b)]
  const labels = [...front(a), ...front(b), ...stack, ...rows, ...columns]
  const shape = [
    ...value.shape.slice(0, -2),
    ...rows.map((label) => sizeIn(a, label)),
    ...columns.map((label) => sizeIn(b, label)),
  ]
  return { value: shaped(value, shape), labels }
}

export const einsum: Family = { operators: { Einsum: { read: Einsum, isKernel: true } } }
