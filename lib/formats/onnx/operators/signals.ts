/**
 * Signals: windows, the discrete Fourier transform, mel weights, determinants. In double, for run() and constants; a
 * compiled model transforms frames by a convolution.
 */
import type { SymbolicTensor } from '../../../graph/graph.ts'
import { conv2d, permute, reshape } from '../../../ops/index.ts'
import { elements, formatShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { type ElementType, elementTypeOf, type Values } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family, Operator } from '../operator.ts'
import { arrayOf, axisOf, isSymbolic, type Read, required, type Value } from '../value.ts'

function typeAsked(node: OnnxNode): ElementType {
  const code = node.int('output_datatype', 1)
  const type = elementTypeOf(code)
  if (type && type.kind !== 'bool') return type
  throw node.unsupported(`attribute output_datatype=${code} is not supported`)
}

/** One number, a whole one of at least `least`. */
function countOf(node: OnnxNode, value: Value, what: string, least = 1): number {
  const { values } = arrayOf(node, value, what)
  const count = Number(values[0])
  if (values.length === 1 && Number.isInteger(count) && count >= least) return count
  throw node.error(
    'ERR_SHAPE',
    `${what} must be a number of at least ${least} but is ${values.length === 1 ? count : `${values.length} numbers`}`,
  )
}

/** Cosines of multiples of the angle, less the first factor and signs between. */
function windowOf(factors: readonly number[]): Operator {
  const read: Read = (node) => {
    const periodic = node.flag('periodic', true)
    const type = typeAsked(node)
    return (inputs) => {
      const size = countOf(node, required(node, inputs, 0), 'the size', 0)
      const result = nd.allocate(type, [size])
      const steps = periodic ? size : size - 1
      for (let i = 0; i < size; i++) {
        const angle = steps === 0 ? 0 : (2 * Math.PI * i) / steps
        const value = factors.reduce((sum, factor, k) => sum + factor * (-1) ** k * Math.cos(k * angle), 0)
        put(result, i, value)
      }
      return result
    }
  }
  return { read, type: typeAsked }
}

function put({ type, values }: nd.NdArray, at: number, value: number): void {
  const rounded = type.round ? type.round(value) : value
  values[at] = (
    type.wide ? BigInt(Math.trunc(rounded)) : type.kind === 'float' ? rounded : Math.trunc(rounded)
  ) as never
}

/** Numbers of a row of `values`, `step` apart from `start`, as complex ones: a part where there is one. */
interface Row {
  readonly values: Values
  readonly start: number
  readonly step: number
  readonly count: number
  readonly parts: number
}

/** The transform of a row, filled up with zeros or cut to `length`; real and imaginary parts by turns. */
function transformed(
  { values, start, step, count, parts }: Row,
  length: number,
  bins: number,
  back: boolean,
): Float64Array {
  spend(8 * bins * length)
  const [cosines, sines] = [new Float64Array(length), new Float64Array(length)]
  for (let i = 0; i < length; i++) {
    const angle = ((back ? 2 : -2) * Math.PI * i) / length
    cosines[i] = Math.cos(angle)
    sines[i] = Math.sin(angle)
  }
  const result = new Float64Array(2 * bins)
  const most = Math.min(count, length)
  for (let bin = 0; bin < bins; bin++) {
    let [real, imaginary] = [0, 0]
    for (let i = 0, place = 0; i < most; i++) {
      const a = Number(values[start + i * step])
      const b = parts === 2 ? Number(values[start + i * step + 1]) : 0
      const [c, s] = [cosines[place] ?? 0, sines[place] ?? 0]
      real += a * c - b * s
      imaginary += a * s + b * c
      place += bin
      if (place >= length) place %= length
    }
    result[2 * bin] = back ? real / length : real
    result[2 * bin + 1] = back ? imaginary / length : imaginary
  }
  return result
}

/** The whole spectrum of a real signal of `length` numbers, whose upper half is the lower one's conjugate. */
function mirrored({ values, start, step, count }: Row, length: number): Row {
  const whole = new Float64Array(2 * length)
  const kept = Math.min(count, Math.floor(length / 2) + 1)
  for (let bin = 0; bin < kept; bin++) {
    const from = start + bin * step
    const [real, imaginary] = [Number(values[from]), Number(values[from + 1])]
    const mirror = (length - bin) % length
    whole[2 * mirror] = real
    whole[2 * mirror + 1] = -imaginary
    // last, as what is its own mirror keeps its sign
    whole[2 * bin] = real
    whole[2 * bin + 1] = imaginary
  }
  return { values: whole, start: 0, step: 2, count: length, parts: 2 }
}

/** A signal whose last dimension holds one part of its numbers, or two. */
function signalOf(node: OnnxNode, value: Value): nd.NdArray {
  const x = arrayOf(node, value)
  const parts = x.shape.at(-1)
  if (x.type.kind === 'float' && x.shape.length >= 2 && (parts === 1 || parts === 2)) return x
  throw node.error('ERR_SHAPE', `a signal of ${formatShape(x.shape)} should end in a dimension of 1 or 2`)
}

const DFT: Read = (node) => {
  const [inverse, onesided] = [node.flag('inverse', false), node.flag('onesided', false)]
  const attribute = node.opset < 20 ? node.int('axis', 1) : undefined
  return (inputs) => {
    const x = signalOf(node, required(node, inputs, 0))
    const rank = x.shape.length
    const given = inputs[2] ? Number(arrayOf(node, inputs[2], 'the axis').values[0]) : -2
    const axis = axisOf(node, attribute ?? given, rank)
    if (axis === rank - 1) throw node.error('ERR_SHAPE', 'its axis is the one of real and imaginary parts')
    const count = x.shape[axis] ?? 0
    const parts = x.shape[rank - 1] ?? 1
    // half a spectrum, which becomes a real signal
    const halved = inverse && onesided
    if (halved && parts !== 2)
      throw node.error('ERR_SHAPE', 'half a spectrum should have real and imaginary parts')
    const length = inputs[1] ? countOf(node, inputs[1], 'dft_length') : halved ? 2 * (count - 1) : count
    if (length < 1) throw node.error('ERR_SHAPE', `a transform of ${length} numbers`)
    const bins = onesided && !inverse ? Math.floor(length / 2) + 1 : length
    const made = halved ? 1 : 2
    const shape = x.shape.map((size, d) => (d === axis ? bins : d === rank - 1 ? made : size))
    const result = nd.allocate(x.type, shape)
    const inner = elements(x.shape.slice(axis + 1, -1))
    const outer = elements(x.shape.slice(0, axis))
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const row = {
          values: x.values,
          start: (o * count * inner + i) * parts,
          step: inner * parts,
          count,
          parts,
        }
        const all = transformed(halved ? mirrored(row, length) : row, length, bins, inverse)
        for (let bin = 0; bin < bins; bin++) {
          const to = made * ((o * bins + bin) * inner + i)
          for (let part = 0; part < made; part++) put(result, to + part, all[2 * bin + part] ?? 0)
        }
      }
    }
    return result
  }
}

/** STFT in a trace: a convolution along the signal by cosines and sines, which the window multiplies. */
function waves(
  node: OnnxNode,
  signal: SymbolicTensor,
  step: number,
  window: Float32Array | undefined,
  length: number | undefined,
  onesided: boolean,
): Tensor {
  const [, count = 0, parts = 1, ...more] = signal.shape
  if (length === undefined || (window && window.length !== length) || length > count || more.length > 0) {
    throw node.error(
      'ERR_SHAPE',
      `frames of ${length} do not go with a signal of ${formatShape(signal.shape)}`,
    )
  }
  if (parts !== 1) throw node.unsupported('a complex signal is for run() only')
  const bins = onesided ? Math.floor(length / 2) + 1 : length
  spend(2 * bins * length, 8 * bins * length)
  const weights = new Float32Array(2 * bins * length)
  for (let k = 0; k < bins; k++) {
    for (let i = 0; i < length; i++) {
      const angle = (2 * Math.PI * ((k * i) % length)) / length
      const factor = window?.[i] ?? 1
      weights[k * length + i] = Math.cos(angle) * factor
      weights[(bins + k) * length + i] = -Math.sin(angle) * factor
    }
  }
  const line = reshape(signal, [1, 1, 1, count])
  const y = conv2d(line, new Tensor(weights, [2 * bins, 1, 1, length]), undefined, { stride: [1, step] })
  const frames = y.shape[3] ?? 0
  return permute(reshape(y, [1, 2, bins, frames]), [0, 3, 2, 1])
}

const STFT: Read = (node) => {
  const onesided = node.flag('onesided', true)
  return (inputs) => {
    const signal = required(node, inputs, 0)
    if (isSymbolic(signal)) {
      const taken = inputs[2] && arrayOf(node, inputs[2], 'the window')
      const window = taken && nd.toFloat32(taken)
      const length = inputs[3] ? countOf(node, inputs[3], 'frame_length') : window?.length
      return waves(
        node,
        signal,
        countOf(node, required(node, inputs, 1), 'frame_step'),
        window,
        length,
        onesided,
      )
    }
    const given = arrayOf(node, signal)
    const x = signalOf(node, given.shape.length === 2 ? { ...given, shape: [...given.shape, 1] } : given)
    const step = countOf(node, required(node, inputs, 1), 'frame_step')
    const window = inputs[2] && arrayOf(node, inputs[2], 'the window')
    const length = inputs[3] ? countOf(node, inputs[3], 'frame_length') : window?.values.length
    const [n = 0, count = 0, parts = 1] = x.shape
    if (
      length === undefined ||
      (window && window.values.length !== length) ||
      length > count ||
      x.shape.length !== 3
    ) {
      throw node.error('ERR_SHAPE', `frames of ${length} do not go with a signal of ${formatShape(x.shape)}`)
    }
    if (onesided && parts === 2)
      throw node.error('ERR_SHAPE', 'half of the result does not say all of a complex signal')
    const frames = Math.floor((count - length) / step) + 1
    const bins = onesided ? Math.floor(length / 2) + 1 : length
    const result = nd.allocate(x.type, [n, frames, bins, 2])
    const frame = new Float64Array(length * parts)
    for (let i = 0; i < n * frames; i++) {
      const start = (Math.floor(i / frames) * count + (i % frames) * step) * parts
      for (let k = 0; k < frame.length; k++) {
        const factor = window ? Number(window.values[Math.floor(k / parts)]) : 1
        frame[k] = Number(x.values[start + k]) * factor
      }
      const all = transformed(
        { values: frame, start: 0, step: parts, count: length, parts },
        length,
        bins,
        false,
      )
      for (const [k, one] of all.entries()) put(result, i * 2 * bins + k, one)
    }
    return result
  }
}

/** Triangles over the bins of a spectrum, evenly apart on the mel scale. */
const MelWeightMatrix: Read = (node) => {
  const type = typeAsked(node)
  return (inputs) => {
    const [bands, length, rate] = [0, 1, 2].map((i) =>
      countOf(node, required(node, inputs, i), `input ${i}`),
    ) as [number, number, number]
    const [low, high] = [3, 4].map((i) => Number(arrayOf(node, required(node, inputs, i)).values[0])) as [
      number,
      number,
    ]
    const mel = (hertz: number) => 2595 * Math.log10(1 + hertz / 700)
    const bins = Math.floor(length / 2) + 1
    const result = nd.allocate(type, [bins, bands])
    const step = (mel(high) - mel(low)) / (bands + 2)
    const edge = (i: number) => {
      const hertz = 700 * (10 ** ((i * step + mel(low)) / 2595) - 1)
      return Math.floor(((length + 1) * hertz) / rate)
    }
    const set = (bin: number, band: number, value: number) => {
      if (bin >= 0 && bin < bins) put(result, bin * bands + band, value)
    }
    for (let band = 0; band < bands; band++) {
      const [from, middle, to] = [edge(band), edge(band + 1), edge(band + 2)]
      spend(to - from + 1)
      if (middle === from) set(middle, band, 1)
      else for (let bin = from; bin <= middle; bin++) set(bin, band, (bin - from) / (middle - from))
      for (let bin = middle; bin < to; bin++) set(bin, band, (to - bin) / (to - middle))
    }
    return result
  }
}

/** By elimination, the largest number of a column first. */
const Det: Read = (node) => (inputs) => {
  const x = arrayOf(node, required(node, inputs, 0))
  const size = x.shape.at(-1) ?? 0
  if (x.type.kind !== 'float' || x.shape.length < 2 || x.shape.at(-2) !== size) {
    throw node.error('ERR_SHAPE', `${formatShape(x.shape)} holds no square matrices of floats`)
  }
  const result = nd.allocate(x.type, x.shape.slice(0, -2))
  spend(result.values.length * size ** 3)
  for (let i = 0; i < result.values.length; i++) {
    put(
      result,
      i,
      determinant(
        Float64Array.from(x.values.subarray(i * size * size, (i + 1) * size * size) as Float64Array),
        size,
      ),
    )
  }
  return result
}

function determinant(m: Float64Array, size: number): number {
  const at = (row: number, column: number) => m[row * size + column] ?? 0
  let product = 1
  for (let k = 0; k < size; k++) {
    let best = k
    for (let row = k + 1; row < size; row++) if (Math.abs(at(row, k)) > Math.abs(at(best, k))) best = row
    const pivot = at(best, k)
    if (pivot === 0) return 0
    if (best !== k) {
      for (let c = 0; c < size; c++) {
        const one = at(k, c)
        m[k * size + c] = at(best, c)
        m[best * size + c] = one
      }
      product = -product
    }
    product *= pivot
    for (let row = k + 1; row < size; row++) {
      const factor = at(row, k) / pivot
      for (let c = k; c < size; c++) m[row * size + c] = at(row, c) - factor * at(k, c)
    }
  }
  return product
}

export const signals: Family = {
  operators: {
    BlackmanWindow: windowOf([0.42, 0.5, 0.08]),
    DFT,
    Det,
    HammingWindow: windowOf([25 / 46, 21 / 46]),
    HannWindow: windowOf([0.5, 0.5]),
    MelWeightMatrix: { read: MelWeightMatrix, type: typeAsked },
    STFT,
  },
}
