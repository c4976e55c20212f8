/** Windows whose taps and regions lie where numbers say: DeformConv, MaxRoiPool. In run() only. */

import { conv2d } from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { float32 } from '../element.ts'
import type { Family } from '../operator.ts'
import { arrayOf, type Read, required, tensorOf } from '../value.ts'
import { place, positions, readWindow } from './window.ts'

/** A pixel between others; outside the image it is 0. */
function between(
  plane: ArrayLike<number>,
  start: number,
  height: number,
  width: number,
  y: number,
  x: number,
): number {
  if (!(y > -1 && y < height && x > -1 && x < width)) return 0
  const [top, left] = [Math.floor(y), Math.floor(x)]
  const [dy, dx] = [y - top, x - left]
  const pixel = (row: number, column: number) =>
    row >= 0 && row < height && column >= 0 && column < width ? (plane[start + row * width + column] ?? 0) : 0
  return (
    (1 - dy) * ((1 - dx) * pixel(top, left) + dx * pixel(top, left + 1)) +
    dy * ((1 - dx) * pixel(top + 1, left) + dx * pixel(top + 1, left + 1))
  )
}

/** Taps moved by offsets [n, groups · kh · kw · 2, oh, ow] and times a mask [n, groups · kh · kw, oh, ow]. */
const DeformConv: Read = (node) => {
  const attributes = readWindow(node)
  const [groups, offsetGroups] = [node.int('group', 1), node.int('offset_group', 1)]
  return (inputs) => {
    const [x, w, offset] = [0, 1, 2].map((i) => tensorOf(required(node, inputs, i), node)) as [
      Tensor,
      Tensor,
      Tensor,
    ]
    const values = arrayOf(node, x, 'its input').values as Float32Array
    const offsets = arrayOf(node, offset, 'the offsets').values as Float32Array
    const mask = inputs[4] && (arrayOf(node, tensorOf(inputs[4], node), 'the mask').values as Float32Array)
    const [n = 0, c = 0, height = 0, width = 0, ...more] = x.shape
    const [outputs = 0, each = 0, kh = 0, kw = 0] = w.shape
    if (x.shape.length !== 4 || more.length > 0 || w.shape.length !== 4) {
      throw node.unsupported(`it works on images of two dimensions but gets ${formatShape(x.shape)}`)
    }
    const window = place(node, attributes, attributes.kernel ?? [kh, kw], [height, width])
    const [oh = 0, ow = 0] = positions({ type: float32, shape: x.shape, values }, window, false)
    const taps = kh * kw
    const wanted = [n, offsetGroups * taps * 2, oh, ow]
    const fits = groups >= 1 && offsetGroups >= 1 && each * groups === c && c % offsetGroups === 0
    if (!fits || outputs % groups !== 0 || !sameShape(offset.shape, wanted)) {
      throw node.error(
        'ERR_SHAPE',
        `offsets of ${formatShape(offset.shape)} and weights of ${formatShape(w.shape)} do not go with ${formatShape(x.shape)}`,
      )
    }
    if (mask && mask.length !== n * offsetGroups * taps * oh * ow) {
      throw node.error(
        'ERR_SHAPE',
        `a mask of ${mask.length} numbers where ${n * offsetGroups * taps * oh * ow} are taken`,
      )
    }
    const columns = nd.allocate(float32, [n, c * taps, oh, ow]).values as Float32Array
    spend(16 * columns.length)
    const area = oh * ow
    const [[top = 0, left = 0], [sh = 1, sw = 1], [dh = 1, dw = 1]] = [
      window.before,
      window.stride,
      window.dilation,
    ]
    for (let row = 0; row < n * c * taps; row++) {
      const [plane, tap] = [Math.floor(row / taps), row % taps]
      const group = Math.floor((plane % c) / (c / offsetGroups))
      const shift = (Math.floor(plane / c) * offsetGroups + group) * taps + tap
      for (let i = 0; i < area; i++) {
        const y =
          Math.floor(i / ow) * sh - top + Math.floor(tap / kw) * dh + (offsets[2 * shift * area + i] ?? 0)
        const at = (i % ow) * sw - left + (tap % kw) * dw + (offsets[(2 * shift + 1) * area + i] ?? 0)
        const value = between(values, plane * height * width, height, width, y, at)
        columns[row * area + i] = value * (mask?.[shift * area + i] ?? 1)
      }
    }
    const weight = new Tensor(w.data, [outputs, each * taps, 1, 1])
    const bias = inputs[3] && tensorOf(inputs[3], node)
    return conv2d(new Tensor(columns, [n, c * taps, oh, ow]), weight, bias, { groups })
  }
}

/** The largest pixels of parts of regions [image, x1, y1, x2, y2], ends counted. */
const MaxRoiPool: Read = (node) => {
  const [height = 0, width = 0] = node.ints('pooled_shape') ?? []
  const scale = node.float('spatial_scale', 1)
  if (!(height >= 1 && width >= 1))
    throw node.error('ERR_FORMAT', 'attribute pooled_shape should be two sizes')
  return (inputs) => {
    const [x, rois] = [0, 1].map((i) => arrayOf(node, required(node, inputs, i))) as [nd.NdArray, nd.NdArray]
    const [n = 0, c = 0, h = 0, w = 0] = x.shape
    const count = rois.shape[0] ?? 0
    if (x.shape.length !== 4 || !sameShape(rois.shape, [count, 5])) {
      throw node.error(
        'ERR_SHAPE',
        `regions of ${formatShape(rois.shape)} do not go with ${formatShape(x.shape)}`,
      )
    }
    const result = nd.allocate(x.type, [count, c, height, width])
    const target = result.values as Float32Array
    spend(elements(result.shape) * 8)
    const limit = (value: number, most: number) => Math.min(Math.max(value, 0), most)
    for (let roi = 0; roi < count; roi++) {
      const [image, x1, y1, x2, y2] = [0, 1, 2, 3, 4].map((i) => Number(rois.values[roi * 5 + i])) as [
        number,
        number,
        number,
        number,
        number,
      ]
      if (!(image >= 0 && image < n)) throw node.error('ERR_SHAPE', `there is no image ${image} of ${n}`)
      // in float32, whose roundings decide which pixels are in
      const pixel = (at: number) => Math.round(Math.fround(at * scale))
      const [left, top] = [pixel(x1), pixel(y1)]
      const tall = Math.fround(Math.max(pixel(y2) - top + 1, 1) / height)
      const wide = Math.fround(Math.max(pixel(x2) - left + 1, 1) / width)
      for (let row = 0; row < height; row++) {
        const [from, to] = [
          limit(Math.floor(Math.fround(row * tall)) + top, h),
          limit(Math.ceil(Math.fround((row + 1) * tall)) + top, h),
        ]
        for (let column = 0; column < width; column++) {
          const begin = limit(Math.floor(Math.fround(column * wide)) + left, w)
          const end = limit(Math.ceil(Math.fround((column + 1) * wide)) + left, w)
          spend(c * Math.max((to - from) * (end - begin), 1))
          for (let channel = 0; channel < c; channel++) {
            let most = to > from && end > begin ? Number.NEGATIVE_INFINITY : 0
            for (let yy = from; yy < to; yy++) {
              for (let xx = begin; xx < end; xx++) {
                most = Math.max(most, Number(x.values[((Math.floor(image) * c + channel) * h + yy) * w + xx]))
              }
            }
            target[((roi * c + channel) * height + row) * width + column] = most
          }
        }
      }
    }
    return result
  }
}

export const deforming: Family = {
  operators: { DeformConv: { read: DeformConv, isKernel: true }, MaxRoiPool },
}
