/** A picture of how LeNet-5 reads a digit: the picture, what the network sees, what every layer makes of it. */

import { isConstant, isInput, isView, title } from '../../graph/definition.ts'
import { type Graph, type GraphNode, trace } from '../../graph/graph.ts'
import { activations } from '../../graph/intermediates.ts'
import { softmax } from '../../ops/index.ts'
import { formatShape } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { line, round, svgDocument, text } from '../../util/svg.ts'
import type { Box, Pixels } from '../picture/pixels.ts'
import { encodePng } from '../picture/png-encode.ts'
import { resample } from '../picture/resample.ts'
import { loadNetwork } from './classifier.ts'
import { FIELD } from './field.ts'
import { normalizeDigit } from './normalize.ts'

const WIDTH = 1180
const LEFT = 166
const RIGHT = 24
/** Between tiles. */
const GAP = 8
const LARGEST_TILE = 96
/** Of a row of numbers. */
const LARGEST_CELL = 32
/** Longest side of the input picture. */
const PICTURE = 196

/** What `explain` found and drew. */
export interface Explanation {
  digit: number
  confidence: number
  svg: string
}

/**
 * @param name what to call the picture
 * @param weights as for `DigitClassifier.load`
 * @throws KerneletError `ERR_UNSUPPORTED` when the picture shows no digit, or several; otherwise as
 *   `DigitClassifier`
 */
export function explain(pixels: Required<Pixels>, name: string, weights?: string): Explanation {
  const { network, form } = loadNetwork(weights)
  const { status, image, boxes } = normalizeDigit(pixels, form)
  if (image === null) {
    const count = boxes.length > 0 ? ` (${boxes.length})` : ''
    throw new KerneletError('ERR_UNSUPPORTED', `${name}: ${status}${count}, so there is nothing to explain`)
  }
  const graph = trace(network, [1, FIELD, FIELD])
  const steps = activations(graph, new Tensor(image, [1, 1, FIELD, FIELD]))
  const scores = [...steps.values()].at(-1) as Tensor
  const probabilities = softmax(scores, -1).data
  const confidence = Math.max(...probabilities)
  const digit = probabilities.indexOf(confidence)
  const seen = image.map((value) => value * form.std + form.mean)
  const short = name.length > 60 ? `${name.slice(0, 57)}…` : name
  const heading = `${short}: ${digit}, ${percent(confidence)}`
  const body = [
    text(RIGHT, 34, heading, { kind: 'title' }),
    ...drawInput(pixels, boxes[0]),
    ...drawSeen(seen),
    ...drawProbabilities(probabilities, digit),
  ]
  let y = 300
  body.push(...drawLegend(y))
  for (const band of bands(graph, steps)) {
    y += 34
    const { height, parts } = drawBand(band, y)
    body.push(...parts)
    y += height
  }
  return { digit, confidence, svg: svgDocument(WIDTH, y + 28, heading, body) }
}

const percent = (value: number) => `${(100 * value).toFixed(1)} %`

/** Tiles of one size beside each other. */
interface Band {
  name: string
  about: string
  height: number
  width: number
  tiles: Float32Array[]
}

/** What there is to draw, in order: the filters of a convolution, and what every step gives. */
function bands(graph: Graph, steps: ReadonlyMap<string, Tensor>): Band[] {
  return graph.nodes
    .filter((node) => !isInput(node) && !isConstant(node) && !isView(node))
    .flatMap((node) => {
      const { data } = steps.get(node.name) as Tensor
      const output = { name: node.name, about: `${title(node, node.shape)}, ${formatShape(node.shape)}` }
      const [channels, height, width] = node.shape.length === 3 ? node.shape : [1, 1, node.shape.at(-1)]
      const band = { ...output, height: height!, width: width!, tiles: split(data, channels!) }
      return node.weight?.shape.length === 4 ? [filters(node, node.weight), band] : [band]
    })
}

function split(data: Float32Array, parts: number): Float32Array[] {
  const size = data.length / parts
  return Array.from({ length: parts }, (_, i) => data.subarray(i * size, (i + 1) * size))
}

/** The filters of a convolution: for each output the windows of all inputs, three in a row, NaN between them. */
function filters({ name }: GraphNode, { data, shape }: Tensor): Band {
  const [outputs = 1, inputs = 1, height = 1, width = 1] = shape
  const columns = Math.min(inputs, 3)
  const rows = Math.ceil(inputs / columns)
  const tile = { height: rows * (height + 1) - 1, width: columns * (width + 1) - 1 }
  const tiles = split(data, outputs).map((filter) => {
    const values = new Float32Array(tile.height * tile.width).fill(Number.NaN)
    for (const [i, value] of filter.entries()) {
      const [input, y, x] = [Math.floor(i / height / width), Math.floor(i / width) % height, i % width]
      const top = Math.floor(input / columns) * (height + 1)
      values[(top + y) * tile.width + (input % columns) * (width + 1) + x] = value
    }
    return values
  })
  return { name: `${name}.weight`, about: `filters, ${formatShape(shape)}`, ...tile, tiles }
}

function drawBand(
  { name, about, height, width, tiles }: Band,
  y: number,
): { height: number; parts: string[] } {
  const room = WIDTH - LEFT - RIGHT
  const share = (room - GAP * (tiles.length - 1)) / tiles.length
  const limit = height > 1 ? LARGEST_TILE : LARGEST_CELL * width
  const scale = Math.max(1, Math.floor(Math.min(limit, share) / width))
  const tall = height === 1 ? 20 : scale * height
  const largest = Math.max(...tiles.map((tile) => tile.reduce((a, b) => Math.max(a, Math.abs(b) || 0), 0)))
  const parts = [
    text(LEFT - 16, y + 12, name, { anchor: 'end' }),
    text(LEFT - 16, y + 28, about, { anchor: 'end', kind: 'soft' }),
    text(LEFT, y - 6, `± ${Number(largest.toPrecision(3))}`, { kind: 'soft' }),
  ]
  for (const [i, tile] of tiles.entries()) {
    const x = LEFT + i * (scale * width + GAP)
    parts.push(picture(x, y, scale * width, tall, width, height, signed(tile, largest)))
    parts.push(frame(x, y, scale * width, tall))
  }
  return { height: Math.max(tall, 32), parts }
}

/** Values as colours: orange below zero, blue above, the stronger the larger; nothing at zero, so that the ground shows. */
function signed(values: Float32Array, largest: number): Uint8Array {
  const pixels = new Uint8Array(4 * values.length)
  for (const [i, value] of values.entries()) {
    pixels.set(value < 0 ? NEGATIVE : POSITIVE, 4 * i)
    pixels[4 * i + 3] = Math.round((255 * (Math.abs(value) || 0)) / (largest || 1))
  }
  return pixels
}

/** Legible on white and on black. */
const POSITIVE = [0x1f, 0x7a, 0xea]
const NEGATIVE = [0xe0, 0x66, 0x1c]

function drawLegend(y: number): string[] {
  const shades = Float32Array.from({ length: 41 }, (_, i) => (i - 20) / 20)
  const x = WIDTH - RIGHT - 164
  return [
    text(x - 8, y, 'every row to its own scale:  −', { anchor: 'end', kind: 'soft' }),
    picture(x, y - 10, 164, 11, 41, 1, signed(shades, 1)),
    frame(x, y - 10, 164, 11),
    text(x + 82, y - 14, '0', { anchor: 'middle', kind: 'soft' }),
    text(WIDTH - RIGHT + 4, y, '+', { kind: 'soft' }),
  ]
}

/** The picture on white, with a box around the digit. */
function drawInput(pixels: Required<Pixels>, box: Box): string[] {
  const ratio = PICTURE / Math.max(pixels.width, pixels.height)
  const [width, height] = [pixels.width * ratio, pixels.height * ratio]
  const [columns, rows] = ratio < 1 ? [Math.ceil(width), Math.ceil(height)] : [pixels.width, pixels.height]
  const [x, y] = [RIGHT + (PICTURE - width) / 2, 76 + (PICTURE - height) / 2]
  const outline = [x + box.x * ratio, y + box.y * ratio, box.width * ratio, box.height * ratio].map(round)
  return [
    text(RIGHT, 62, `the picture, ${pixels.width}×${pixels.height}`, { kind: 'soft' }),
    picture(x, y, width, height, columns, rows, colours(pixels, columns, rows)),
    frame(x, y, width, height),
    `<rect class="axis" fill="none" stroke-dasharray="4 3" x="${outline[0]}" y="${outline[1]}" ` +
      `width="${outline[2]}" height="${outline[3]}"/>`,
    ...arrow(RIGHT + PICTURE + 14, 174),
  ]
}

/** Averaged down to columns × rows, as red, green, blue and opaque. */
function colours(
  { data, width, height, channels }: Required<Pixels>,
  columns: number,
  rows: number,
): Uint8Array {
  const colour = channels > 2 ? 3 : 1
  const alpha = channels === 2 || channels === 4
  const out = new Uint8Array(4 * columns * rows).fill(255)
  for (let c = 0; c < 3; c++) {
    const plane = new Uint8Array(width * height)
    for (let i = 0; i < plane.length; i++) {
      const value = data[i * channels + Math.min(c, colour - 1)] ?? 0
      const share = alpha ? (data[i * channels + channels - 1] ?? 0) / 255 : 1
      plane[i] = Math.round(value * share + 255 * (1 - share))
    }
    const small = resample({ data: plane, width, height }, columns, rows)
    for (const [i, value] of small.entries()) out[4 * i + c] = Math.round(value)
  }
  return out
}

/** What the network is given, white ink on black. */
function drawSeen(image: Float32Array): string[] {
  const pixels = new Uint8Array(4 * image.length).fill(255)
  for (const [i, value] of image.entries()) pixels.fill(Math.round(255 * value), 4 * i, 4 * i + 3)
  const x = RIGHT + PICTURE + 56
  return [
    text(x, 62, `what the network sees, ${FIELD}×${FIELD}`, { kind: 'soft' }),
    picture(x, 76, 7 * FIELD, 7 * FIELD, FIELD, FIELD, pixels),
    frame(x, 76, 7 * FIELD, 7 * FIELD),
    ...arrow(x + 7 * FIELD + 14, 174),
  ]
}

function drawProbabilities(probabilities: Float32Array, digit: number): string[] {
  const x = 2 * (RIGHT + PICTURE) + 110
  const room = WIDTH - RIGHT - x - 80
  const rows = [...probabilities].flatMap((value, i) => {
    const y = 76 + 20 * i
    return [
      text(x, y + 12, String(i), { anchor: 'end', kind: i === digit ? 'number' : '' }),
      `<rect class="${i === digit ? 'accent' : 'other'}" x="${x + 10}" y="${y}" rx="2" height="14" ` +
        `width="${round(Math.max(1, room * value))}"/>`,
      text(x + 18 + room * value, y + 12, percent(value), { kind: i === digit ? '' : 'soft' }),
    ]
  })
  return [text(x + 10, 62, 'what it answers', { kind: 'soft' }), ...rows]
}

function arrow(x: number, y: number): string[] {
  return [
    line(x, y, x + 24, y, 'axis'),
    line(x + 18, y - 5, x + 24, y, 'axis'),
    line(x + 18, y + 5, x + 24, y, 'axis'),
  ]
}

function frame(x: number, y: number, width: number, height: number): string {
  return (
    `<rect class="grid" fill="none" x="${round(x) - 0.5}" y="${round(y) - 0.5}" ` +
    `width="${round(width) + 1}" height="${round(height) + 1}"/>`
  )
}

/**
 * Pixels (red, green, blue, alpha) as a part of the document. Those that are drawn larger are repeated: some viewers
 * would blur them.
 */
function picture(
  x: number,
  y: number,
  width: number,
  height: number,
  columns: number,
  rows: number,
  data: Uint8Array,
): string {
  const times = Math.max(1, Math.round(width / columns))
  const large = new Uint8Array(data.length * times * times)
  for (let i = 0; i < large.length; i += 4) {
    const [row, column] = [Math.floor(i / 4 / columns / times), (i / 4) % (columns * times)]
    const from = 4 * (Math.floor(row / times) * columns + Math.floor(column / times))
    for (let c = 0; c < 4; c++) large[i + c] = data[from + c] ?? 0
  }
  const png = encodePng({ data: large, width: columns * times, height: rows * times, channels: 4 })
  return (
    `<image x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" ` +
    `preserveAspectRatio="none" href="data:image/png;base64,${png.toString('base64')}"/>`
  )
}
