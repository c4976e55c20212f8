/**
 * Operations in double, written plainly: what a network's graph means, to hold the float kernels against. A function for
 * each operation; a value is a Float64Array of one image. What a graph does not have here is an error, not a guess.
 */

const size = (shape) => shape.reduce((a, b) => a * b, 1)

/** All values of a graph for one image, by node; `round(values, node)` may change what later nodes are given. */
export function evaluate({ nodes }, input, round = (values) => values) {
  const all = []
  for (const [i, node] of nodes.entries()) {
    const own = i === 0 ? Float64Array.from(input) : inDouble(nodes, node, all)
    all.push(round(own, i))
  }
  return all
}

/** One node's value from those of earlier ones. */
export function inDouble(nodes, node, all) {
  const operation = operations[node.op]
  if (!operation) throw new Error(`${node.name}: no ${node.op} in double yet`)
  return operation(
    node,
    node.inputs.map((source) => all[source]),
    node.inputs.map((source) => nodes[source].shape),
  )
}

/** How many terms a value of this node is the sum of; 0: it is none. */
export function termsOf(nodes, { op, weight, groups, kernelSize, shape, inputs }) {
  if (op === 'linear') return weight.shape[1]
  if (op === 'conv2d') return size(weight.shape.slice(1))
  // (every tap that there is, where windows overlap; some meet no input)
  if (op === 'convTranspose2d') return (weight.shape[0] / groups) * size(kernelSize)
  if (op === 'avgPool2d') return size(kernelSize)
  if (op === 'adaptiveAvgPool2d') return Math.ceil(size(nodes[inputs[0]].shape) / size(shape))
  return 0
}

const each =
  (f) =>
  (node, [x]) =>
    x.map((v) => f(v, node))
const binary = (f) => (node, values, shapes) => {
  const [a, b] = values.map((value, i) => broadcast(value, shapes[i], node.shape))
  return a.map((v, i) => f(v, b[i]))
}
const clip = (x, low, high) => Math.min(Math.max(x, low), high)
const same = (_node, [x]) => x

const operations = {
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  relu: each((x) => Math.max(x, 0)),
  clip: each((x, { alpha, beta }) => clip(x, alpha, beta)),
  sigmoid: each((x) => 1 / (1 + Math.exp(-x))),
  silu: each((x) => x / (1 + Math.exp(-x))),
  tanh: each((x) => Math.tanh(x)),
  hardsigmoid: each((x, { alpha, beta }) => clip(alpha * x + beta, 0, 1)),
  hardswish: each((x) => (x * clip(x + 3, 0, 6)) / 6),
  flatten: same,
  reshape: same,
  dropout: same,
  constant: ({ weight }) => Float64Array.from(weight.data),
  conv2d,
  convTranspose2d,
  linear,
  batchNorm,
  maxPool2d: pool(false),
  avgPool2d: pool(true),
  adaptiveAvgPool2d,
  softmax: (node, [x]) => softmax(node, x, (v, most, sum) => Math.exp(v - most) / sum),
  logSoftmax: (node, [x]) => softmax(node, x, (v, most, sum) => v - most - Math.log(sum)),
  concat,
  permute: ({ axes, shape }, [x], [from]) => {
    const steps = stepsOf(from)
    return moved(
      x,
      shape,
      axes.map((axis) => steps[axis]),
      0,
    )
  },
  slice: ({ starts, steps, shape }, [x], [from]) => {
    const all = stepsOf(from)
    return moved(
      x,
      shape,
      all.map((step, d) => step * steps[d]),
      all.reduce((at, step, d) => at + step * starts[d], 0),
    )
  },
}

/** How far it is from an element to the next of each dimension. */
function stepsOf(shape) {
  return shape.map((_, d) => size(shape.slice(d + 1)))
}

/** The elements of x that lie `steps` apart, from `start` on. */
function moved(x, shape, steps, start) {
  const out = new Float64Array(size(shape))
  const index = shape.map(() => 0)
  for (let i = 0, at = start; i < out.length; i++) {
    out[i] = x[at]
    for (let d = shape.length - 1; d >= 0; d--) {
      at += steps[d]
      if (++index[d] < shape[d]) break
      at -= steps[d] * shape[d]
      index[d] = 0
    }
  }
  return out
}

function broadcast(x, from, to) {
  if (x.length === size(to)) return x
  const wide = [...Array(to.length - from.length).fill(1), ...from]
  const steps = stepsOf(wide).map((step, d) => (wide[d] === 1 ? 0 : step))
  return moved(x, to, steps, 0)
}

function concat({ axis, shape }, values, shapes) {
  const out = new Float64Array(size(shape))
  const outer = size(shape.slice(0, axis))
  for (let o = 0, at = 0; o < outer; o++) {
    for (const [i, value] of values.entries()) {
      const length = size(shapes[i].slice(axis))
      out.set(value.subarray(o * length, (o + 1) * length), at)
      at += length
    }
  }
  return out
}

function softmax({ axis, shape }, x, finish) {
  const n = shape[axis]
  const inner = size(shape.slice(axis + 1))
  const out = new Float64Array(x.length)
  for (let first = 0; first < x.length; first += n * inner) {
    for (let i = first; i < first + inner; i++) {
      let most = Number.NEGATIVE_INFINITY
      let sum = 0
      for (let c = 0; c < n; c++) most = Math.max(most, x[i + c * inner])
      for (let c = 0; c < n; c++) sum += Math.exp(x[i + c * inner] - most)
      for (let c = 0; c < n; c++) out[i + c * inner] = finish(x[i + c * inner], most, sum)
    }
  }
  return out
}

function batchNorm({ weight, bias, mean, variance, epsilon = 1e-5, shape }, [x]) {
  const plane = size(shape.slice(1))
  return x.map((v, i) => {
    const c = Math.floor(i / plane)
    const factor = (weight ? weight.data[c] : 1) / Math.sqrt(variance.data[c] + epsilon)
    return (v - mean.data[c]) * factor + (bias ? bias.data[c] : 0)
  })
}

/** [channels][rows][columns] of an image, of a sequence [channels][1][length]. */
function image(shape) {
  return shape.length === 2 ? [shape[0], 1, shape[1]] : shape.slice(-3)
}

/** The value at each channel, row and column of an output. */
function eachPixel(shape, valueAt) {
  const [channels, oh, ow] = image(shape)
  const out = new Float64Array(size(shape))
  let at = 0
  for (let c = 0; c < channels; c++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) out[at++] = valueAt(c, oy, ox)
    }
  }
  return out
}

function adaptiveAvgPool2d({ shape }, [x], [from]) {
  const [, ih, iw] = image(from)
  const [, oh, ow] = image(shape)
  return eachPixel(shape, (c, oy, ox) => {
    const [top, bottom] = [Math.floor((oy * ih) / oh), Math.ceil(((oy + 1) * ih) / oh)]
    const [left, right] = [Math.floor((ox * iw) / ow), Math.ceil(((ox + 1) * iw) / ow)]
    let sum = 0
    for (let y = top; y < bottom; y++) {
      for (let ix = left; ix < right; ix++) sum += x[(c * ih + y) * iw + ix]
    }
    return sum / ((bottom - top) * (right - left))
  })
}

function pool(average) {
  return (node, [x], [from]) => {
    const { kernelSize, stride, padding, dilation, countIncludePad, shape } = node
    const [, ih, iw] = image(from)
    return eachPixel(shape, (c, oy, ox) => {
      let best = average ? 0 : Number.NEGATIVE_INFINITY
      let taps = 0
      for (let r = 0; r < kernelSize[0]; r++) {
        const y = oy * stride[0] + r * dilation[0] - padding[0]
        for (let t = 0; t < kernelSize[1]; t++) {
          const ix = ox * stride[1] + t * dilation[1] - padding[1]
          if (countIncludePad && y < ih + padding[2] && ix < iw + padding[3]) taps++
          if (y < 0 || y >= ih || ix < 0 || ix >= iw) continue
          if (!countIncludePad) taps++
          const v = x[(c * ih + y) * iw + ix]
          best = average ? best + v : Math.max(best, v)
        }
      }
      return average ? best / taps : best
    })
  }
}

/** Four rows of weights as they are: a layer's would be gigabytes in double. */
function linear({ weight, bias, shape }, [x]) {
  const [outputs, inputs] = weight.shape
  const w = weight.data
  const out = new Float64Array(size(shape))
  for (let row = 0; row * outputs < out.length; row++) {
    const own = x.subarray(row * inputs, (row + 1) * inputs)
    for (let o = 0; o < outputs; o += 4) {
      const [r0, r1, r2, r3] = [0, 1, 2, 3].map((i) => Math.min(o + i, outputs - 1) * inputs)
      let [a, b, c, d] = [0, 0, 0, 0]
      for (let k = 0; k < inputs; k++) {
        const v = own[k]
        a += v * w[r0 + k]
        b += v * w[r1 + k]
        c += v * w[r2 + k]
        d += v * w[r3 + k]
      }
      for (const [i, sum] of [a, b, c, d].entries()) {
        if (o + i < outputs) out[row * outputs + o + i] = sum + (bias ? bias.data[o + i] : 0)
      }
    }
  }
  return out
}

// Of a convolution's input, about as much as a second-level cache holds beside weights.
const patchFloats = 1 << 16

/** Some pixels' patches at a time, and of them tiles of four channels by two pixels. */
function conv2d(node, [x], [from]) {
  const { weight, bias, groups, shape } = node
  const [ic, ih, iw] = image(from)
  const [oc, oh, ow] = image(shape)
  const k = size(weight.shape.slice(1))
  const w = Float64Array.from(weight.data)
  const out = new Float64Array(size(shape))
  const pixels = oh * ow
  const atOnce = Math.min(pixels, Math.max(8, Math.floor(patchFloats / k)))
  const patches = new Float64Array(atOnce * k)
  const [groupIn, groupOut] = [ic / groups, oc / groups]
  for (let g = 0; g < groups; g++) {
    const source = x.subarray(g * groupIn * ih * iw, (g + 1) * groupIn * ih * iw)
    for (let first = 0; first < pixels; first += atOnce) {
      const count = Math.min(atOnce, pixels - first)
      gather(node, source, groupIn, ih, iw, ow, first, count, patches)
      for (let o = g * groupOut; o < (g + 1) * groupOut; o += 4) {
        const channels = Math.min(4, (g + 1) * groupOut - o)
        for (let p = 0; p < count; p += 2) {
          const sums = tile(w, patches, o * k, channels, p * k, Math.min(2, count - p), k)
          for (let c = 0; c < channels; c++) {
            const b = bias ? bias.data[o + c] : 0
            const at = (o + c) * pixels + first + p
            out[at] = sums[c] + b
            if (p + 1 < count) out[at + 1] = sums[4 + c] + b
          }
        }
      }
    }
  }
  return out
}

/** What outputs `first` and on are computed from, a patch after another: [channel][row][column]. */
function gather(node, x, channels, ih, iw, ow, first, count, patches) {
  const { kernelSize, stride, padding, dilation } = node
  const [kh, kw] = image([0, ...kernelSize]).slice(1)
  let at = 0
  for (let p = first; p < first + count; p++) {
    const top = Math.floor(p / ow) * stride[0] - padding[0]
    const left = (p % ow) * stride[1] - padding[1]
    for (let c = 0; c < channels; c++) {
      for (let r = 0; r < kh; r++) {
        const y = top + r * dilation[0]
        const row = (c * ih + y) * iw
        const inside = y >= 0 && y < ih
        for (let t = 0; t < kw; t++) {
          const ix = left + t * dilation[1]
          patches[at++] = inside && ix >= 0 && ix < iw ? x[row + ix] : 0
        }
      }
    }
  }
}

const sums = new Float64Array(8)

/** Sums of four channels for a pixel, then for the next. Rows beyond the last are the last again. */
function tile(w, x, row, channels, pixel, pixels, k) {
  const w0 = row
  const w1 = row + (channels > 1 ? k : 0)
  const w2 = channels > 2 ? row + 2 * k : w1
  const w3 = channels > 3 ? row + 3 * k : w2
  const next = pixels > 1 ? k : 0
  let [a0, b0, c0, d0] = [0, 0, 0, 0]
  let [a1, b1, c1, d1] = [0, 0, 0, 0]
  for (let i = 0; i < k; i++) {
    const x0 = x[pixel + i]
    const x1 = x[pixel + next + i]
    const a = w[w0 + i]
    const b = w[w1 + i]
    const c = w[w2 + i]
    const d = w[w3 + i]
    a0 += a * x0
    b0 += b * x0
    c0 += c * x0
    d0 += d * x0
    a1 += a * x1
    b1 += b * x1
    c1 += c * x1
    d1 += d * x1
  }
  sums[0] = a0
  sums[1] = b0
  sums[2] = c0
  sums[3] = d0
  sums[4] = a1
  sums[5] = b1
  sums[6] = c1
  sums[7] = d1
  return sums
}

/** Every input is spread over the outputs of its window; weight [ic][oc / groups][kh][kw]. */
function convTranspose2d(node, [x], [from]) {
  const { weight, bias, groups, kernelSize, stride, padding, dilation, shape } = node
  const [ic, ih, iw] = image(from)
  const [oc, oh, ow] = image(shape)
  const groupOut = oc / groups
  const w = weight.data
  const out = new Float64Array(size(shape))
  for (let c = 0; c < ic; c++) {
    const firstOut = Math.floor(c / (ic / groups)) * groupOut
    for (let o = 0; o < groupOut; o++) {
      for (let r = 0; r < kernelSize[0]; r++) {
        for (let t = 0; t < kernelSize[1]; t++) {
          const factor = w[((c * groupOut + o) * kernelSize[0] + r) * kernelSize[1] + t]
          for (let iy = 0; iy < ih; iy++) {
            const y = iy * stride[0] + r * dilation[0] - padding[0]
            if (y < 0 || y >= oh) continue
            for (let ix = 0; ix < iw; ix++) {
              const column = ix * stride[1] + t * dilation[1] - padding[1]
              if (column < 0 || column >= ow) continue
              out[((firstOut + o) * oh + y) * ow + column] += factor * x[(c * ih + iy) * iw + ix]
            }
          }
        }
      }
    }
  }
  return bias ? out.map((v, i) => v + bias.data[Math.floor(i / (oh * ow))]) : out
}
