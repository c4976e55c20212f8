/**
 * node tests/ends/arguments.mjs [ADDON]: arguments that change under the hands of native code: getters that detach
 * buffers or dispose of objects, lengths that lie, buffers that shrink. Nothing may be read or written that is not
 * there: scripts/native-tests.mjs runs this under AddressSanitizer. Exit code 0 where all came out as it should.
 */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import * as k from '../../dist/index.js'

const file = process.argv[2] ?? fileURLToPath(new URL('../../build/Release/kernelet.node', import.meta.url))
const addon = createRequire(import.meta.url)(file)
addon.initialize(k.KerneletError)

/** Takes the memory of an array away. */
const detach = (array) => structuredClone(array.buffer, { transfer: [array.buffer] })
/** Large, so that its memory goes back to the system, where a read of it shows. */
const floats = (length) => new Float32Array(length).fill(0.5)
const code = (call) => {
  try {
    call()
  } catch (error) {
    if (error instanceof k.KerneletError) return error.code
    throw error
  }
  return 'ok'
}

const convolution = (weight, more = {}) => ({
  op: 'conv2d',
  name: 'conv',
  inputs: [0],
  shape: [64, 32, 32],
  weight,
  kernelSize: [1, 1],
  ...more,
})
const input = { op: 'input', name: 'input', inputs: [], shape: [64, 32, 32] }
const array = (values, at, act) => {
  const list = [...values]
  const get = () => {
    act()
    return values[at]
  }
  return Object.defineProperty(list, at, { get, enumerable: true })
}

const cases = {
  'a getter of a later node detaches the weights of an earlier one'() {
    const weight = floats(64 * 64)
    const nodes = [input, convolution(weight)]
    nodes.push({
      op: 'relu',
      name: 'relu',
      inputs: [1],
      get shape() {
        detach(weight)
        return [64, 32, 32]
      },
    })
    assert.equal(
      code(() => addon.compile({ nodes, output: 2 }, {})),
      'ERR_SHAPE',
    )
  },
  'an array that need not be given, but was, and is detached or empty'() {
    const image = { ...input, shape: [2, 1, 1] }
    const norm = { op: 'batchNorm', name: 'norm', inputs: [0], shape: [2, 1, 1] }
    const line = { op: 'linear', name: 'line', inputs: [0], shape: [2], weight: floats(8) }
    const nets = {
      bias: [{ ...input, shape: [4] }, line],
      ...Object.fromEntries(
        ['weight', 'bias', 'mean', 'variance'].map((key) => [`norm ${key}`, [image, norm]]),
      ),
    }
    for (const [name, nodes] of Object.entries(nets)) {
      const key = name.split(' ').at(-1)
      for (const empty of ['detached', 'empty', 'by a getter']) {
        const one = empty === 'empty' ? new Float32Array(0) : floats(2)
        const stats = nodes === nets.bias ? {} : { mean: floats(2), variance: floats(2) }
        const get = () => {
          if (empty === 'by a getter') detach(one)
          return 1
        }
        if (empty === 'detached') detach(one)
        const graph = Object.defineProperty(
          { nodes: [nodes[0], { ...nodes[1], ...stats, [key]: one }] },
          'output',
          { get },
        )
        assert.equal(
          code(() => addon.compile(graph, {})),
          'ERR_SHAPE',
          `${name}, ${empty}`,
        )
      }
    }
    const options = { loss: { kind: 'mse' }, optimizer: { kind: 'sgd' } }
    const unused = { name: 'unused', data: new Float32Array(0) }
    const parameters = [{ name: 'weight', data: line.weight }, unused]
    const trainer = addon.trainer({ nodes: nets.bias.slice(), output: 1 }, { ...options, parameters })
    const call = {
      images: floats(4),
      targets: floats(2),
      indices: new Uint32Array(1),
      batch: 1,
      learningRates: [0.1],
    }
    assert.equal(trainer.run(call).losses.length, 1)
  },
  'an element of a list, an option and the output detach them'() {
    for (const place of ['kernelSize', 'threads', 'output', 'ranges']) {
      const weight = floats(64 * 64)
      const act = () => detach(weight)
      const node = convolution(weight, place === 'kernelSize' ? { kernelSize: array([1, 1], 1, act) } : {})
      const options = {
        get threads() {
          if (place === 'threads') act()
          return 1
        },
        get ranges() {
          if (place === 'ranges') act()
          return undefined
        },
      }
      const graph = {
        nodes: [input, node],
        get output() {
          if (place === 'output') act()
          return 1
        },
      }
      assert.equal(
        code(() => addon.compile(graph, options)),
        'ERR_SHAPE',
        place,
      )
    }
  },
  'a list of nodes that grows, or shrinks, while it is read'() {
    for (const change of [(nodes) => nodes.push(...nodes), (nodes) => (nodes.length = 1)]) {
      const nodes = [input]
      nodes.push({
        ...convolution(floats(64 * 64)),
        get name() {
          change(nodes)
          return 'conv'
        },
      })
      nodes.push({ op: 'relu', name: 'relu', inputs: [1], shape: [64, 32, 32] })
      assert.ok(['ok', 'ERR_ARGUMENT'].includes(code(() => addon.compile({ nodes, output: 2 }, {}))))
    }
    assert.equal(
      code(() => addon.compile({ nodes: new Array(2 ** 32 - 1), output: 0 }, {})),
      'ERR_ARGUMENT',
    )
  },
  'one operation: a getter detaches its inputs'() {
    const [a, b] = [floats(65536), floats(65536)]
    const node = { op: 'add', name: 'add', inputs: [0, 1], shape: [65536] }
    const options = {
      get threads() {
        detach(a)
        detach(b)
        return 1
      },
    }
    assert.equal(
      code(() => addon.evaluate(node, [a, b], [[65536], [65536]], 1, options)),
      'ERR_SHAPE',
    )
    const c = floats(65536)
    const shapes = [[65536], array([65536], 0, () => detach(c))]
    assert.equal(
      code(() => addon.evaluate(node, [c, floats(65536)], shapes, 1, {})),
      'ERR_SHAPE',
    )
  },
  'a shape that is asked for: a getter detaches the weight'() {
    const weight = floats(65536)
    const node = { op: 'prelu', name: 'prelu', inputs: [0], weight }
    const shapes = [array([65536], 0, () => detach(weight))]
    assert.equal(
      code(() => addon.inferShape(node, shapes)),
      'ERR_SHAPE',
    )
  },
  'augmentation: an option detaches the images'() {
    const images = floats(28 * 28 * 64)
    const options = {
      get degrees() {
        detach(images)
        return 5
      },
    }
    const result = addon.augment(images, [1, 28, 28], options, 1, 0, 0, 1)
    assert.equal(result.length, 0)
  },
  'a length that lies'() {
    const model = k.LeNet5.pretrained().compile({ inputShape: [1, 28, 28] })
    const [x, y] = [floats(784 * 512), floats(10 * 512)]
    for (const [one, length] of [
      [x, 784 * 512],
      [y, 10 * 512],
    ]) {
      Object.defineProperty(one, 'length', { value: length })
    }
    model.run(x, y)
    detach(x)
    detach(y)
    assert.equal(
      code(() => model.run(x, y)),
      'ERR_SHAPE',
    )
    const short = floats(784)
    Object.defineProperty(short, 'length', { value: 784 * 64 })
    assert.equal(model.run(short).length, 10)
    for (const lie of [{ byteOffset: 1 << 20 }, { buffer: new ArrayBuffer(8) }, { byteLength: 0 }]) {
      const liar = floats(784)
      for (const [name, value] of Object.entries(lie)) Object.defineProperty(liar, name, { value })
      assert.equal(model.run(liar).length, 10)
      assert.equal(model.run(liar).length, 10)
    }
  },
  'a length that lies, given once the array is known'() {
    const model = k.LeNet5.pretrained().compile({ inputShape: [1, 28, 28] })
    const x = floats(784 * 512)
    const output = model.run(x)
    Object.defineProperty(x, 'length', { value: 784 * 512 })
    Object.defineProperty(output, 'length', { value: 10 * 512 })
    detach(x)
    assert.equal(
      code(() => model.run(x)),
      'ERR_SHAPE',
    )
    detach(output)
    assert.equal(model.run(floats(784 * 512)).length, 10 * 512)
  },
  'buffers that shrink and grow'() {
    const model = k.LeNet5.pretrained().compile({ inputShape: [1, 28, 28] })
    const bytes = 784 * 4 * 512
    const buffer = new ArrayBuffer(bytes, { maxByteLength: 2 * bytes })
    const [fixed, tracking] = [new Float32Array(buffer, 0, 784 * 512), new Float32Array(buffer)]
    assert.equal(model.run(fixed).length, 10 * 512)
    assert.equal(model.run(tracking).length, 10 * 512)
    buffer.resize(2 * bytes)
    assert.equal(model.run(tracking).length, 20 * 512)
    assert.equal(model.run(fixed).length, 10 * 512)
    buffer.resize(784 * 4)
    assert.equal(model.run(tracking).length, 10)
    assert.equal(
      code(() => model.run(fixed)),
      'ERR_SHAPE',
    )
    buffer.resize(bytes)
    assert.equal(model.run(fixed).length, 10 * 512)
    buffer.resize(0)
    assert.equal(
      code(() => model.run(fixed)),
      'ERR_SHAPE',
    )
    assert.equal(
      code(() => model.run(tracking)),
      'ERR_SHAPE',
    )
  },
  async 'a trainer that is disposed of, or set to work, by a getter of its own call'() {
    const nodes = [
      { op: 'input', name: 'input', inputs: [], shape: [784] },
      { op: 'linear', name: 'fc', inputs: [0], shape: [10], weight: floats(7840) },
    ]
    const make = () =>
      addon.trainer(
        { nodes, output: 1 },
        {
          parameters: [{ name: 'fc.weight', data: nodes[1].weight }],
          loss: { kind: 'crossEntropy' },
          optimizer: { kind: 'sgd' },
        },
      )
    const call = (act) => ({
      images: floats(784 * 64),
      targets: new Int32Array(64),
      indices: Uint32Array.from({ length: 64 }, (_, i) => i),
      get batch() {
        act()
        return 64
      },
      learningRates: [0.1],
    })
    for (const method of ['run', 'runAsync']) {
      const disposed = make()
      assert.equal(
        code(() => disposed[method](call(() => disposed.dispose()))),
        'ERR_DISPOSED',
      )
      const busy = make()
      let pending
      assert.equal(
        code(() => busy[method](call(() => (pending = busy.runAsync(call(() => {})))))),
        'ERR_BUSY',
      )
      await pending
      busy.dispose()
    }
    const written = make()
    assert.equal(
      code(() =>
        written.write(
          'momentum',
          array([floats(7840)], 0, () => written.dispose()),
        ),
      ),
      'ERR_DISPOSED',
    )
  },
  'a trainer whose parameters a getter replaces or detaches while it is made'() {
    const weight = floats(7840)
    const nodes = [
      { op: 'input', name: 'input', inputs: [], shape: [784] },
      { op: 'linear', name: 'fc', inputs: [0], shape: [10], weight },
    ]
    let reads = 0
    const parameter = {
      name: 'fc.weight',
      get data() {
        reads++
        return reads === 1 ? weight : floats(1)
      },
    }
    const options = (more) => ({
      parameters: [parameter],
      loss: { kind: 'crossEntropy' },
      optimizer: { kind: 'sgd' },
      ...more,
    })
    const trainer = addon.trainer({ nodes, output: 1 }, options())
    assert.equal(reads, 1)
    trainer.dispose()
    reads = 0
    const detaching = Object.defineProperty(options(), 'augment', { get: () => void detach(weight) })
    assert.equal(
      code(() => addon.trainer({ nodes, output: 1 }, detaching)),
      'ERR_SHAPE',
    )
  },
  'setters of prototypes that dispose of what a result is made of'() {
    const weight = floats(7840)
    const nodes = [
      { op: 'input', name: 'input', inputs: [], shape: [784] },
      { op: 'linear', name: 'fc', inputs: [0], shape: [10], weight },
    ]
    const graph = { nodes, output: 1 }
    const options = {
      parameters: [{ name: 'fc.weight', data: weight }],
      loss: { kind: 'crossEntropy' },
      optimizer: { kind: 'sgd', momentum: 0.9 },
    }
    /** What `make` gives, with a setter on a prototype that disposes of `object`, or else of what is assigned to. */
    const trapped = (prototype, name, object, make) => {
      const set = function () {
        const one = object ?? this
        one.dispose()
        assigned.push(name)
      }
      Object.defineProperty(prototype, name, { configurable: true, get: () => undefined, set })
      try {
        return make()
      } finally {
        delete prototype[name]
      }
    }
    const assigned = []
    const plan = trapped(Object.prototype, 'inputLength', undefined, () => addon.compile(graph, {}))
    assert.equal(plan.inputLength, 784)
    const [step] = trapped(Object.prototype, 'problem', plan, () => plan.describe())
    assert.ok(Object.hasOwn(step, 'problem'))
    const trainer = trapped(Object.prototype, 'inputLength', undefined, () => addon.trainer(graph, options))
    const report = trapped(Object.prototype, 'losses', trainer, () =>
      trainer.run({
        images: floats(784),
        targets: new Int32Array(1),
        indices: new Uint32Array(1),
        batch: 1,
        learningRates: [0.1],
      }),
    )
    assert.equal(report.losses.length, 1)
    const momentum = trapped(Array.prototype, '0', trainer, () => trainer.read('momentum'))
    assert.equal(momentum[0].length, 7840)
    assert.deepEqual(assigned, [])
  },
  async 'a getter of a promise that sets the trainer to work again'() {
    const weight = floats(7840)
    const nodes = [
      { op: 'input', name: 'input', inputs: [], shape: [784] },
      { op: 'linear', name: 'fc', inputs: [0], shape: [10], weight },
    ]
    const trainer = addon.trainer(
      { nodes, output: 1 },
      {
        parameters: [{ name: 'fc.weight', data: weight }],
        loss: { kind: 'crossEntropy' },
        optimizer: { kind: 'sgd' },
      },
    )
    const call = (count) => ({
      images: floats(784 * count),
      targets: new Int32Array(count),
      indices: Uint32Array.from({ length: count }, (_, i) => i),
      batch: count,
      learningRates: [0.1],
    })
    const first = trainer.runAsync(call(1))
    let second
    // Resolving a promise with an object reads its `then`.
    Object.defineProperty(Object.prototype, 'then', {
      configurable: true,
      get() {
        if ('losses' in this && !second) {
          delete Object.prototype.then
          second = trainer.runAsync(call(4096))
        }
        return undefined
      },
    })
    await first
    assert.equal(
      code(() => trainer.run(call(1))),
      'ERR_BUSY',
    )
    await second
    assert.equal(
      code(() => trainer.run(call(1))),
      'ok',
    )
  },
  'a buffer that lies about its kind, and runs the model on other arrays meanwhile'() {
    const model = k.LeNet5.pretrained().compile({ inputShape: [1, 28, 28] })
    const count = 512
    const [a, b] = [floats(784 * count).fill(0.25), floats(784 * count)]
    const [forA, forB] = [floats(10 * count), floats(10 * count)]
    const expected = model.run(a.slice()).slice()
    for (const kind of ['resizable', 'growable', 'maxByteLength']) {
      const get = () => {
        model.run(b, forB)
        return false
      }
      Object.defineProperty(a.buffer, kind, { get, configurable: true })
    }
    model.run(a, forA)
    model.run(b, forB)
    model.run(a, forA)
    detach(b)
    detach(forB)
    forA.fill(0)
    model.run(a, forA)
    assert.deepEqual(forA, expected)
    // One that says it cannot be resized is followed all the same.
    const bytes = 784 * 4
    const buffer = new ArrayBuffer(bytes, { maxByteLength: 2 * bytes })
    Object.defineProperty(buffer, 'resizable', { value: false })
    const tracking = new Float32Array(buffer)
    assert.equal(model.run(tracking).length, 10)
    buffer.resize(2 * bytes)
    assert.equal(model.run(tracking).length, 20)
    const shared = new SharedArrayBuffer(bytes, { maxByteLength: 2 * bytes })
    Object.defineProperty(shared, 'growable', { value: false })
    const growing = new Float32Array(shared)
    assert.equal(model.run(growing).length, 10)
    shared.grow(2 * bytes)
    assert.equal(model.run(growing).length, 20)
  },
  'samples that a getter detaches'() {
    const trainer = new k.Trainer(new k.LeNet5(), { seed: 1, inputShape: [1, 28, 28] })
    const x = floats(784 * 64)
    const y = Array(64).fill(1)
    const get = () => {
      if (x.buffer.byteLength > 0) detach(x)
      return 1
    }
    Object.defineProperty(y, 3, { get, enumerable: true })
    assert.ok(['ERR_SHAPE', 'ERR_ARGUMENT'].includes(code(() => trainer.step(x, y))))
  },
  'errors of callers come through as they are'() {
    const graph = {
      get nodes() {
        throw new SyntaxError('mine')
      },
    }
    assert.throws(() => addon.compile(graph, {}), { name: 'SyntaxError', message: 'mine' })
  },
}

let wrong = 0
for (const [name, run] of Object.entries(cases)) {
  try {
    await run()
    console.log(`right ${name}`)
  } catch (error) {
    wrong++
    console.log(`WRONG ${name}: ${error.message}`)
  }
}
process.exitCode = wrong === 0 ? 0 : 1
