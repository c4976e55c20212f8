/** ONNX: messages are changed field by field and encoded again with the right lengths. */
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../util.mjs'
import { integer, joined, mutateBytes, mutateList } from './mutate.mjs'
import * as made from './onnx-seeds.mjs'

export const extension = 'onnx'

/** The fields of a message that are messages, by their numbers: [name of the message]. */
const messages = {
  Model: { 7: 'Graph', 8: 'OperatorSet', 14: 'Note', 25: 'Function' },
  Function: { 7: 'Node', 9: 'OperatorSet', 11: 'Attribute' },
  Graph: { 1: 'Node', 5: 'Tensor', 11: 'Value', 12: 'Value', 13: 'Value' },
  Node: { 5: 'Attribute' },
  Attribute: { 5: 'Tensor', 6: 'Graph' },
  Value: { 2: 'Type' },
  Type: { 1: 'TensorType' },
  TensorType: { 2: 'Shape' },
  Shape: { 1: 'Dimension' },
  Tensor: { 13: 'Note' },
}

export function prepare(kernelet) {
  const folder = join(root, 'tests/fixtures')
  const files = readdirSync(folder).filter((name) => name.endsWith('.onnx'))
  const seeds = [
    ...files.map((name) => readFileSync(join(folder, name))),
    ...saved(kernelet),
    ...made.trees().map(encode),
  ]
  const trees = seeds.map((bytes) => parse(bytes, 'Model'))
  const pools = { Note: [] }
  for (const tree of trees) collect(tree, 'Model', pools)
  return { kernelet, seeds, trees, pools }
}

/** Small networks of our own: most of their bytes are structure. */
function saved({
  Sequential,
  Conv2d,
  ReLU,
  MaxPool2d,
  Flatten,
  Linear,
  Softmax,
  BatchNorm2d,
  saveOnnx,
  ...kernelet
}) {
  kernelet.manualSeed(0)
  const nets = [
    new Sequential(
      new Conv2d(1, 2, { kernelSize: 3 }),
      new ReLU(),
      new MaxPool2d(2),
      new Flatten(),
      new Linear(8, 3),
    ),
    new Sequential(
      new Conv2d(1, 2, { kernelSize: 3, padding: 1 }),
      new BatchNorm2d(2),
      new kernelet.Hardswish(),
    ),
    new Sequential(
      new Flatten(),
      new Linear(36, 4),
      new kernelet.Sigmoid(),
      new Linear(4, 2),
      new Softmax(1),
    ),
    new Sequential(
      new kernelet.AvgPool2d(2),
      new kernelet.ConstantPad2d(1, 0.5),
      new kernelet.AdaptiveAvgPool2d(1),
    ),
    new Sequential(
      new kernelet.ConvTranspose2d(1, 2, { kernelSize: 3, stride: 2, padding: 1, outputPadding: 1 }),
      new kernelet.Upsample({ scaleFactor: 1.5, mode: 'bilinear' }),
      new kernelet.Upsample({ size: [5, 7] }),
    ),
  ]
  return nets.map((net) => saveOnnx(net, { inputShape: [1, 6, 6] }))
}

/** A message as fields: [number, wire type, value]; a value is a BigInt, bytes or, of a message, fields. */
function parse(bytes, message) {
  const fields = []
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const [number, wire] = [tag >>> 3, tag & 7]
    if (wire === 0) {
      fields.push([number, wire, varint()])
      continue
    }
    const length = wire === 2 ? Number(varint()) : wire === 1 ? 8 : 4
    const content = bytes.subarray(at, at + length)
    at += length
    const inner = wire === 2 ? messages[message]?.[number] : undefined
    fields.push([number, wire, inner ? parse(content, inner) : content])
  }
  return fields
}

function encode(fields) {
  const parts = []
  for (const [number, wire, value] of fields) {
    parts.push(varint(BigInt(number * 8 + wire)))
    if (wire === 0) {
      parts.push(varint(value))
      continue
    }
    const content = Array.isArray(value) ? encode(value) : value
    if (wire === 2) parts.push(varint(BigInt(content.length)))
    parts.push(content)
  }
  return joined(...parts)
}

function varint(value) {
  const bytes = []
  let left = BigInt.asUintN(64, value)
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128)
  bytes.push(Number(left))
  return Uint8Array.from(bytes)
}

/** Every field of every message, by message: what may be put in the place of another. */
function collect(fields, message, pools) {
  pools[message] ??= []
  pools[message].push(...fields)
  for (const [number, , value] of fields) {
    const inner = messages[message]?.[number]
    if (inner && Array.isArray(value)) collect(value, inner, pools)
  }
}

export function make({ seeds, trees, pools }, random) {
  if (random.oneIn(4)) return mutateBytes(random, random.pick(seeds), seeds)
  let tree = random.pick(trees)
  for (let left = random.between(1, 4); left > 0; left--) tree = mutate(random, tree, 'Model', pools)
  return encode(tree)
}

/** A message with one change somewhere in it. */
function mutate(random, fields, message, pools) {
  const inner = fields.map((_, i) => i).filter((i) => Array.isArray(fields[i][2]))
  // the fields of the model itself, such as the opset, are soon all that is wrong
  if (inner.length > 0 && !random.oneIn(message === 'Model' ? 30 : 5)) {
    const result = [...fields]
    const graphs = inner.filter((i) => messages[message][fields[i][0]] === 'Graph')
    const at = random.pick(graphs.length > 0 && !random.oneIn(10) ? graphs : inner)
    const [number, wire, value] = result[at]
    result[at] = [number, wire, mutate(random, value, messages[message][number], pools)]
    return result
  }
  if (fields.length === 0 || random.oneIn(2)) return mutateList(random, fields, pools[message] ?? [])
  const result = [...fields]
  const at = random.below(result.length)
  const [number, wire, value] = result[at]
  if (wire === 0) result[at] = [number, wire, BigInt(integer(random))]
  else if (!Array.isArray(value))
    result[at] = [number, wire, changed(random, number, wire, value, message, pools)]
  return result
}

function changed(random, number, wire, value, message, pools) {
  const others = pools[message].filter(([other, kind]) => other === number && kind === wire)
  if (others.length > 0 && random.oneIn(2)) {
    const other = random.pick(others)[2]
    if (!Array.isArray(other)) return other
  }
  if (wire !== 2) return Uint8Array.from(value, () => random.pick([0, 127, 128, 255, random.below(256)]))
  // packed integers: dimensions, axes, int64 data
  if (random.oneIn(3)) {
    const count = random.pick([0, 1, 2, 3, 4, 8, 65])
    return joined(...Array.from({ length: count }, () => varint(BigInt(integer(random)))))
  }
  return mutateBytes(random, value, [value])
}

export function read({ kernelet }, bytes, random) {
  const net = kernelet.loadOnnx(bytes, { dataFolder: tmpdir() })
  // a model that loads is nearly always one that did before it was changed: compiling takes ten times as long
  if (random.oneIn(4)) {
    const model = net.compile()
    const { inputShape, arenaBytes, macs } = model.describe()
    const length = inputShape.reduce((product, one) => product * one, 1)
    // a run may take what the network asks for: a padding of a million is legal
    if (length < 1e5 && arenaBytes < 2 ** 24 && macs < 1e7) model.run(new Float32Array(length))
    model.dispose()
  }
  if (random.oneIn(16)) kernelet.loadOnnx(kernelet.saveOnnx(net, { inputShape: net.inputShape }))
}
