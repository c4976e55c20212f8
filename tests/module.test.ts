import { describe, expect, test } from 'vitest'
import {
  AvgPool2d,
  Conv2d,
  Flatten,
  Identity,
  LeNet5,
  Linear,
  MaxPool2d,
  Module,
  Parameter,
  ReLU,
  Sequential,
  Softmax,
  Tensor,
} from '../lib/index.ts'

class Shared extends Module {
  readonly a: Linear = new Linear(3, 3)
  readonly b: Linear = this.a
  readonly blocks: Linear[] = [new Linear(3, 2), new Linear(2, 3)]
  readonly scale: Parameter = new Parameter(new Float32Array(3), [3])
  readonly notes: unknown = { weight: 1 }
  parent: Module | undefined

  forward(x: Tensor): Tensor {
    return this.a.forward(this.b.forward(x))
  }
}

describe('finding parameters', () => {
  test('by property, in the order of assignment, named by path', () => {
    expect(new LeNet5().namedParameters().map(([name]) => name)).toEqual([
      'conv1.weight',
      'conv1.bias',
      'conv2.weight',
      'conv2.bias',
      'fc1.weight',
      'fc1.bias',
      'fc2.weight',
      'fc2.bias',
      'fc3.weight',
      'fc3.bias',
    ])
  })

  test('Sequential numbers its modules', () => {
    const inner = new Sequential(new Linear(2, 2, { bias: false }), new ReLU())
    const model = new Sequential(new Conv2d(1, 2, { kernelSize: 3 }), new ReLU(), inner)
    expect([...model.stateDict().keys()]).toEqual(['0.weight', '0.bias', '2.0.weight'])
    expect(model[2]).toBe(inner)
    expect(model.namedModules().map(([path]) => path)).toEqual(['', '0', '1', '2', '2.0', '2.1'])
  })

  test('shared modules have one parameter and two names; arrays count; cycles end', () => {
    const model = new Shared()
    model.parent = model
    expect(model.namedParameters().map(([name]) => name)).toEqual([
      'scale',
      'a.weight',
      'a.bias',
      'blocks.0.weight',
      'blocks.0.bias',
      'blocks.1.weight',
      'blocks.1.bias',
    ])
    expect(model.parameters()).toHaveLength(7)
    expect([...model.stateDict().keys()]).toHaveLength(9)
    expect(model.stateDict().get('b.weight')).toBe(model.a.weight)
    expect(model.namedModules().map(([path]) => path)).toEqual(['', 'a', 'blocks.0', 'blocks.1'])
  })
})

describe('loadStateDict', () => {
  const values = (model: Module) => model.parameters().map(({ data }) => data.slice())

  test('copies values, from a Map or an object', () => {
    const [from, to, third] = [new LeNet5(), new LeNet5(), new LeNet5()]
    expect(to.loadStateDict(from.stateDict())).toEqual({ missingKeys: [], unexpectedKeys: [] })
    expect(values(to)).toEqual(values(from))
    expect(to.conv1.weight.data).not.toBe(from.conv1.weight.data)
    third.loadStateDict(Object.fromEntries(from.stateDict()))
    expect(values(third)).toEqual(values(from))
  })

  test('lists everything that is wrong and changes nothing', () => {
    const model = new LeNet5()
    const before = values(model)
    const state = new LeNet5(1, 26).stateDict()
    state.delete('conv1.weight')
    state.delete('fc1.bias')
    state.set('fc4.weight', new Tensor(new Float32Array(1), [1]))
    expect(() => model.loadStateDict(state)).toThrow(
      expect.objectContaining({
        code: 'ERR_STATE_DICT',
        message: [
          'The weights do not fit LeNet5:',
          'Missing key(s): "conv1.weight", "fc1.bias".',
          'Unexpected key(s): "fc4.weight".',
          'Size mismatch for fc3.weight: the file or dictionary has 26×84, the model has 10×84.',
          'Size mismatch for fc3.bias: the file or dictionary has 26, the model has 10.',
        ].join('\n  '),
      }),
    )
    expect(values(model)).toEqual(before)
  })

  test.each([
    ['module.', ', which DataParallel puts there'],
    ['_orig_mod.', ', which torch.compile puts there'],
    ['net.body.', ''],
  ])('names that only begin with %s', (prefix, source) => {
    const state = new Map([...new LeNet5().stateDict()].map(([name, value]) => [prefix + name, value]))
    expect(() => new LeNet5().loadStateDict(state)).toThrow(
      `All of these begin with "${prefix}"${source}; leave it out: ` +
        `new Map([...state].map(([name, value]) => [name.slice(${prefix.length}), value]))`,
    )
    state.set('other.weight', state.get(`${prefix}fc1.weight`)!)
    expect(() => new LeNet5().loadStateDict(state)).not.toThrow('leave it out')
  })

  test('strict: false skips names, never shapes', () => {
    const model = new LeNet5()
    const fc1 = new Linear(256, 120)
    const state = { 'fc1.weight': fc1.weight, other: fc1.weight }
    const { missingKeys, unexpectedKeys } = model.loadStateDict(state, { strict: false })
    expect(missingKeys).toHaveLength(9)
    expect(unexpectedKeys).toEqual(['other'])
    expect(model.fc1.weight.data).toEqual(fc1.weight.data)
    expect(() => model.loadStateDict({ 'fc1.weight': fc1.bias! }, { strict: false })).toThrow('Size mismatch')
  })

  test.each([
    [{ dtype: 'I64', shape: [2, 2], bytes: new Uint8Array(32) }, 'ERR_DTYPE', 'received I64'],
    [new Float32Array(4), 'ERR_ARGUMENT', 'expected a Tensor but received a Float32Array'],
    [undefined, 'ERR_ARGUMENT', 'received undefined'],
  ])('refuses %o', (value, code, sentence) => {
    const model = new Linear(2, 2)
    const state = { weight: value, bias: model.bias } as never
    expect(() => model.loadStateDict(state)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(sentence) }),
    )
  })

  test('a state dict that was detached is refused before anything is written', () => {
    const [from, to] = [new Linear(2, 2), new Linear(2, 2)]
    const before = values(to)
    structuredClone(from.bias!.data.buffer, { transfer: [from.bias!.data.buffer as ArrayBuffer] })
    expect(() => to.loadStateDict(from.stateDict())).toThrow('bias: expected 2 values')
    expect(values(to)).toEqual(before)
  })
})

describe('layers check their arguments when they are made', () => {
  test.each<[string, () => unknown, string]>([
    [
      'no options',
      () => new Conv2d(1, 6, undefined as never),
      'Conv2d: options must be an object { kernelSize, str',
    ],
    ['a positional kernel', () => new Conv2d(1, 6, 5 as never), 'but is 5'],
    [
      'no kernel size',
      () => new Conv2d(1, 6, {} as never),
      'Conv2d: kernelSize must be an integer from 1 to 32768',
    ],
    [
      'PyTorch’s spelling',
      () => new Conv2d(1, 6, { kernel_size: 5 } as never),
      'unknown option "kernel_size"',
    ],
    [
      'groups',
      () => new Conv2d(3, 6, { kernelSize: 1, groups: 2 }),
      'groups must divide 3 input and 6 output',
    ],
    [
      'no channels',
      () => new Conv2d(0, 6, { kernelSize: 1 }),
      'inChannels must be an integer of at least 1 but is 0',
    ],
    [
      'a negative padding',
      () => new Conv2d(1, 1, { kernelSize: 1, padding: -1 }),
      'padding must be an integer from 0',
    ],
    [
      'half a feature',
      () => new Linear(2.5, 1),
      'Linear: inFeatures must be an integer of at least 1 but is 2.5',
    ],
    [
      'too much padding',
      () => new MaxPool2d(2, { padding: 2 }),
      'padding 2 is more than half the window of 2',
    ],
    [
      'ceilMode: 1',
      () => new AvgPool2d(2, { ceilMode: 1 as never }),
      'AvgPool2d: ceilMode must be true or false',
    ],
    ['groups', () => new AvgPool2d(2, { groups: 2 } as never), 'unknown option "groups"'],
    ['no module', () => new Sequential(new ReLU(), (() => 1) as never), 'argument 1 is a function'],
  ])('%s', (_, make, sentence) => {
    expect(make).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining(sentence) }),
    )
  })
})

test('layers compute what their functions compute', () => {
  const x = new Tensor(
    Float32Array.from({ length: 16 }, (_, i) => i),
    [1, 1, 4, 4],
  )
  expect([...new MaxPool2d(2).forward(x).data]).toEqual([5, 7, 13, 15])
  expect([...new AvgPool2d([2, 4]).forward(x).data]).toEqual([3.5, 11.5])
  expect(new Flatten().forward(x).shape).toEqual([1, 16])
  expect(new Identity().forward(x)).toBe(x)
  expect(new Softmax(-1).forward(new Tensor(new Float32Array(4), [4])).data).toEqual(
    new Float32Array(4).fill(0.25),
  )
})
