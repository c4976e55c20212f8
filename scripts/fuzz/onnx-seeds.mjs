/**
 * Models with what saveOnnx does not write: functions, graphs inside nodes, operators that move and choose elements, most
 * of them on constants, so that loading runs them. As fields: [number, wire type, value].
 */

const text = (number, value) => [number, 2, Buffer.from(value)]
const whole = (number, value) => [number, 0, BigInt(value)]
const message = (number, fields) => [number, 2, fields]

function attribute([name, value]) {
  const named = text(1, name)
  if (typeof value === 'string') return [named, text(4, value), whole(20, 3)]
  if (typeof value === 'number') return [named, whole(3, value), whole(20, 2)]
  if (Array.isArray(value)) return [named, ...value.map((one) => whole(8, one)), whole(20, 7)]
  if (value.graph) return [named, message(6, value.graph), whole(20, 5)]
  return [named, text(21, value.reference), whole(20, 2)]
}

function node(op, inputs, outputs, attributes = {}, domain = '') {
  return [
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map((one) => message(5, attribute(one))),
    ...(domain === '' ? [] : [text(7, domain)]),
  ]
}

const types = { float: 1, int64: 7, bool: 9 }

function tensor(name, type, dims, numbers) {
  const array =
    type === 'float'
      ? Float32Array.from(numbers)
      : type === 'int64'
        ? BigInt64Array.from(numbers, BigInt)
        : Uint8Array.from(numbers)
  return [
    ...dims.map((size) => whole(1, size)),
    whole(2, types[type]),
    text(8, name),
    [9, 2, Buffer.from(array.buffer)],
  ]
}

const value = (name, dims, type = 'float') => [
  text(1, name),
  message(2, [
    message(1, [
      whole(1, types[type]),
      message(
        2,
        dims.map((size) => message(1, [whole(1, size)])),
      ),
    ]),
  ]),
]

function graph(nodes, { inputs = [], outputs, initializers = [] }) {
  return [
    ...nodes.map((one) => message(1, one)),
    text(2, 'g'),
    ...initializers.map((one) => message(5, one)),
    ...inputs.map((one) => message(11, one)),
    ...outputs.map((name) => message(12, [text(1, name)])),
  ]
}

const opset = (version, domain = '') =>
  message(8, [...(domain === '' ? [] : [text(1, domain)]), whole(2, version)])

function model(body, functions = []) {
  return [
    whole(1, 8),
    message(7, body),
    opset(18),
    opset(1, 'local'),
    ...functions.map((one) => message(25, one)),
  ]
}

const range = (count, by = 1) => Array.from({ length: count }, (_, i) => (i * by) % 7)

function withGraphs() {
  const twice = [
    text(1, 'Twice'),
    text(4, 'v'),
    text(5, 'w'),
    message(7, node('Flatten', ['v'], ['u'], { axis: { reference: 'axis' } })),
    message(7, node('Add', ['u', 'u'], ['w'])),
    [9, ...opset(18).slice(1)],
    text(10, 'local'),
    message(11, attribute(['axis', 1])),
  ]
  const branch = (op) => ({ graph: graph([node(op, ['x'], ['r'])], { outputs: ['r'] }) })
  const round = {
    graph: graph([node('Mul', ['v', 'k'], ['m']), node('Identity', ['go'], ['on'])], {
      inputs: [value('i', [], 'int64'), value('go', [], 'bool'), value('v', [1, 4])],
      outputs: ['on', 'm'],
      initializers: [tensor('k', 'float', [1], [2])],
    }),
  }
  const row = {
    graph: graph([node('Add', ['s', 'e'], ['t'])], {
      inputs: [value('s', [1]), value('e', [1])],
      outputs: ['t', 't'],
    }),
  }
  const body = graph(
    [
      node('If', ['c'], ['a'], { then_branch: branch('Relu'), else_branch: branch('Neg') }),
      node('Twice', ['a'], ['b'], { axis: 1 }, 'local'),
      node('Loop', ['n', 'c', 'b'], ['d'], { body: round }),
      node('ReduceSum', ['d', 'axes'], ['s0'], { keepdims: 0 }),
      node('Scan', ['s0', 'd'], ['end', 'y'], {
        body: row,
        num_scan_inputs: 1,
        scan_input_axes: [1],
        scan_output_axes: [1],
      }),
    ],
    {
      inputs: [value('x', [1, 4])],
      outputs: ['y'],
      initializers: [
        tensor('c', 'bool', [], [1]),
        tensor('n', 'int64', [], [3]),
        tensor('axes', 'int64', [1], [1]),
      ],
    },
  )
  return model(body, [twice])
}

/** Each operator on constants, and the image added to what they give, which nobody checks. */
function onConstants() {
  const initializers = [
    tensor('f', 'float', [1, 4, 2, 2], range(16, 3)),
    tensor('i', 'int64', [2, 2], [0, 1, 0, 3]),
    tensor('k', 'int64', [1], [2]),
    tensor('two', 'int64', [2], [1, 2]),
    tensor('four', 'int64', [4], [1, 4, 2, 2]),
    tensor('u', 'float', [2, 2, 2], range(8)),
    tensor('m', 'float', [2, 2], [1, 0, 2, 1]),
    tensor('values', 'float', [2], [0, 1]),
    tensor('grid', 'float', [1, 2, 2, 2], [-1, -1, 0, 1, 0, 0, 1, 0]),
    tensor('theta', 'float', [1, 2, 3], [1, 0, 0, 0, 1, 0]),
    tensor('boxes', 'float', [1, 2, 4], [0, 0, 1, 1, 0, 0, 2, 2]),
    tensor('scores', 'float', [1, 1, 2], [1, 2]),
    tensor('b', 'bool', [2], [1, 0]),
    tensor('volume', 'float', [1, 1, 3, 3, 3], range(27, 2)),
    tensor('w', 'float', [1, 1, 2, 2, 2], range(8)),
    tensor('columns', 'float', [1, 4, 4], range(16)),
  ]
  const nodes = [
    node('DepthToSpace', ['f'], ['d2s'], { blocksize: 2, mode: 'CRD' }),
    node('SpaceToDepth', ['f'], ['s2d'], { blocksize: 2 }),
    node('GatherND', ['f', 'i'], ['gnd'], { batch_dims: 0 }),
    node('GatherElements', ['m', 'i2'], ['ge'], { axis: 1 }),
    node('Mod', ['i', 'k'], ['i2']),
    node('ScatterND', ['f', 'i', 'u'], ['snd'], { reduction: 'add' }),
    node('ScatterElements', ['m', 'i2', 'm'], ['se'], { axis: 1, reduction: 'max' }),
    node('TopK', ['m', 'k'], ['best', 'places'], { axis: -1, largest: 0 }),
    node('Unique', ['m'], ['one', '', 'where'], { axis: 0, sorted: 0 }),
    node('OneHot', ['i', 'k', 'values'], ['hot'], { axis: 1 }),
    node('NonZero', ['m'], ['nz']),
    node('Compress', ['m', 'b'], ['some'], { axis: 1 }),
    node('Trilu', ['m', 'k1'], ['tri'], { upper: 0 }),
    node('Squeeze', ['k'], ['k1']),
    node('ReverseSequence', ['m', 'two'], ['rev'], { time_axis: 1, batch_axis: 0 }),
    node('CenterCropPad', ['m', 'two'], ['crop']),
    node('EyeLike', ['m'], ['eye'], { k: 1 }),
    node('Tile', ['m', 'two'], ['tiled']),
    node('Expand', ['m', 'four2'], ['expanded']),
    node('Concat', ['two', 'k'], ['four2'], { axis: 0 }),
    node('GridSample', ['f', 'grid'], ['sampled'], { mode: 'bicubic', padding_mode: 'reflection' }),
    node('AffineGrid', ['theta', 'four'], ['grid2'], { align_corners: 1 }),
    node('RoiAlign', ['f', 'rois', 'zero'], ['roi'], { output_height: 2, sampling_ratio: 2 }),
    node('Squeeze', ['boxes'], ['rois']),
    node('Mod', ['two', 'one1'], ['zero']),
    node('Div', ['k', 'k'], ['one1']),
    node('NonMaxSuppression', ['boxes', 'scores', 'k'], ['kept'], { center_point_box: 1 }),
    node('LpPool', ['f'], ['lp'], { kernel_shape: [2, 1], p: 3 }),
    node('MaxPool', ['volume'], ['pool', 'at'], { kernel_shape: [2, 2, 2], strides: [1, 1, 1] }),
    node('MaxUnpool', ['pool', 'at'], ['un'], { kernel_shape: [2, 2, 2] }),
    node('Conv', ['volume', 'w'], ['conv'], { pads: [0, 1, 0, 1, 0, 0] }),
    node('ConvTranspose', ['volume', 'w'], ['wide'], { strides: [2, 1, 1] }),
    node('Col2Im', ['columns', 'image', 'block'], ['im']),
    node('Mul', ['k', 'block'], ['image0']),
    node('Concat', ['three', 'three'], ['image'], { axis: 0 }),
    node('Add', ['k', 'one1'], ['three']),
    node('Concat', ['k', 'k'], ['block'], { axis: 0 }),
  ]
  const made = [
    ...new Set(nodes.flatMap((one) => one.filter(([number]) => number === 2).map(([, , name]) => `${name}`))),
  ]
  const sums = made.filter((name) => name !== '')
  return model(
    graph([...nodes, node('Relu', ['x'], ['y'])], {
      inputs: [value('x', [1, 4])],
      outputs: ['y', ...sums],
      initializers,
    }),
  )
}

/** On the image, by places that are known. */
function onImages() {
  return model(
    graph(
      [
        node('GatherND', ['x', 'i'], ['a']),
        node('ScatterND', ['x', 'i', 'u'], ['b']),
        node('Trilu', ['b'], ['c'], { upper: 1 }),
        node('GridSample', ['c', 'grid'], ['d']),
        node('Slice', ['d', 'from', 'to', 'axes', 'by'], ['e']),
        node('Tile', ['e', 'times'], ['y']),
      ],
      {
        inputs: [value('x', [1, 2, 3, 3])],
        outputs: ['y'],
        initializers: [
          tensor('i', 'int64', [1, 2], [0, 1]),
          tensor('u', 'float', [1, 3, 3], range(9)),
          tensor('grid', 'float', [1, 2, 2, 2], [-1, -1, 0, 1, 0, 0, 1, 0]),
          tensor('from', 'int64', [1], [-1]),
          tensor('to', 'int64', [1], [-9]),
          tensor('axes', 'int64', [1], [3]),
          tensor('by', 'int64', [1], [-1]),
          tensor('times', 'int64', [4], [1, 1, 2, 3]),
        ],
      },
    ),
  )
}

export const trees = () => [withGraphs(), onConstants(), onImages()]
