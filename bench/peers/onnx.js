/**
 * Writes ONNX models: LeNet-5 with given weights, and single convolutions. Protocol buffers by hand: a message
 * is a list of fields, a field its number and wire type, then its value.
 */

/** LeNet-5 in the form PyTorch exports. `state`: the weights by PyTorch's names, { shape, data }. */
export function lenet5(state) {
  const nodes = [
    node('Conv', ['input', 'conv1.weight', 'conv1.bias'], 'c1', { kernel_shape: [5, 5] }),
    node('Relu', ['c1'], 'r1'),
    node('MaxPool', ['r1'], 'p1', { kernel_shape: [2, 2], strides: [2, 2] }),
    node('Conv', ['p1', 'conv2.weight', 'conv2.bias'], 'c2', { kernel_shape: [5, 5] }),
    node('Relu', ['c2'], 'r2'),
    node('MaxPool', ['r2'], 'p2', { kernel_shape: [2, 2], strides: [2, 2] }),
    node('Flatten', ['p2'], 'f', { axis: 1 }),
    node('Gemm', ['f', 'fc1.weight', 'fc1.bias'], 'g1', { transB: 1 }),
    node('Relu', ['g1'], 'r3'),
    node('Gemm', ['r3', 'fc2.weight', 'fc2.bias'], 'g2', { transB: 1 }),
    node('Relu', ['g2'], 'r4'),
    node('Gemm', ['r4', 'fc3.weight', 'fc3.bias'], 'output', { transB: 1 }),
  ]
  return model(nodes, state, ['n', 1, 28, 28], ['n', 10])
}

/** One convolution. `p`: sizes by oneDNN's letters, dilation from 1. */
export function convolution(p, weight, bias) {
  const conv = node('Conv', ['input', 'weight', 'bias'], 'output', {
    kernel_shape: [p.kh, p.kw],
    strides: [p.sh, p.sw],
    dilations: [p.dh, p.dw],
    pads: [p.ph, p.pw, p.pb, p.pr],
    group: p.g,
  })
  const state = {
    weight: { shape: [p.oc, p.ic / p.g, p.kh, p.kw], data: weight },
    bias: { shape: [p.oc], data: bias },
  }
  return model([conv], state, [p.mb, p.ic, p.ih, p.iw], [p.mb, p.oc, p.oh, p.ow])
}

function model(nodes, state, input, output) {
  const graph = message(
    ...nodes.map((each) => bytes(1, each)),
    string(2, 'kernelet-bench'),
    ...Object.entries(state).map(([name, tensor]) => bytes(5, initializer(name, tensor))),
    bytes(11, value('input', input)),
    bytes(12, value('output', output)),
  )
  const opset = message(string(1, ''), integer(2, 17))
  return message(integer(1, 8), string(2, 'kernelet bench'), bytes(7, graph), bytes(8, opset))
}

function node(type, inputs, output, attributes = {}) {
  return message(
    ...inputs.map((name) => string(1, name)),
    string(2, output),
    string(3, output),
    string(4, type),
    ...Object.entries(attributes).map(([name, content]) => bytes(5, attribute(name, content))),
  )
}

function attribute(name, content) {
  const [int, ints] = [2, 7]
  return Array.isArray(content)
    ? message(string(1, name), ...content.map((each) => integer(8, each)), integer(20, ints))
    : message(string(1, name), integer(3, content), integer(20, int))
}

function initializer(name, { shape, data }) {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  return message(...shape.map((size) => integer(1, size)), integer(2, 1), string(8, name), bytes(9, raw))
}

function value(name, shape) {
  const dimensions = shape.map((size) =>
    bytes(1, typeof size === 'string' ? string(2, size) : integer(1, size)),
  )
  return message(
    string(1, name),
    bytes(2, bytes(1, message(integer(1, 1), bytes(2, message(...dimensions))))),
  )
}

function message(...fields) {
  return Buffer.concat(fields)
}

function integer(field, number) {
  return Buffer.from([...varint(field << 3), ...varint(number)])
}

function string(field, content) {
  return bytes(field, Buffer.from(content))
}

function bytes(field, content) {
  return Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(content.length)]), content])
}

function varint(number) {
  const out = []
  for (; number > 127; number = Math.floor(number / 128)) out.push((number % 128) | 128)
  return [...out, number]
}
