/**
 * Every exported function and class, and the methods of what they make, with arguments of every kind: mostly wrong
 * ones. Right or wrong, a call gives a result or a KerneletError.
 */
import fc from 'fast-check'
import { Ours, oddValues, written } from './values.mjs'

export const extension = 'json'

export function prepare(kernelet) {
  kernelet.manualSeed(0)
  return { kernelet, calls: callsOf(kernelet), values: valuesOf(kernelet) }
}

/** Made by kernelet alone, as what their constructors say of themselves tells. */
const results = [
  'CompiledModel',
  'DivergedError',
  'Evaluation',
  'KerneletError',
  'ModelDescription',
  'OnnxModel',
  'Summary',
]

/** What can be called: by name, a function of the arguments. Objects are made anew for every call. */
function callsOf(kernelet) {
  const calls = []
  for (const [name, value] of Object.entries(kernelet)) {
    if (typeof value !== 'function' || results.includes(name)) continue
    const isClass = /^class\b/.test(Function.prototype.toString.call(value))
    calls.push([name, isClass ? (args) => new value(...args) : (args) => value(...args)])
    if (!isClass) continue
    for (const method of methodsOf(value)) calls.push([`${name}.${method}`, (args) => value[method](...args)])
  }
  const small = () =>
    new kernelet.Sequential(
      new kernelet.Conv2d(1, 2, { kernelSize: 3 }),
      new kernelet.ReLU(),
      new kernelet.Flatten(),
      new kernelet.Linear(8, 3),
    )
  const objects = {
    net: small,
    compiled: () => small().compile({ inputShape: [1, 4, 4] }),
    dataset: () => dataset(kernelet),
    generator: () => new kernelet.Generator(1),
    trainer: () => new kernelet.Trainer(small(), { seed: 1, inputShape: [1, 4, 4] }),
    optimizer: () => new kernelet.SGD({ lr: 0.1 }),
    schedule: () => new kernelet.CosineAnnealingLR(),
    classifier: () => kernelet.DigitClassifier.load(),
    onnx: () => kernelet.loadOnnx(kernelet.saveOnnx(small(), { inputShape: [1, 4, 4] })),
    summary: () => small().summary([1, 4, 4]),
    graph: () => kernelet.trace(small(), [1, 4, 4]),
    conv: () => new kernelet.Conv2d(2, 3, { kernelSize: 2 }),
    norm: () => new kernelet.BatchNorm2d(2),
    pool: () => new kernelet.MaxPool2d(2),
    linear: () => new kernelet.Linear(4, 3),
  }
  for (const [name, make] of Object.entries(objects)) {
    for (const method of methodsOf(Object.getPrototypeOf(make()))) {
      calls.push([
        `${name}.${method}`,
        async (args) => {
          const object = make()
          const result = object[method](...args)
          return result instanceof Promise ? await result : drained(result)
        },
      ])
    }
  }
  return calls
}

/** A few values of what is iterated over, such as the epochs of a fit. */
async function drained(result) {
  if (typeof result?.[Symbol.asyncIterator] !== 'function') return result
  let left = 2
  for await (const _ of result) if (--left === 0) break
  return result
}

function methodsOf(object) {
  const names = new Set()
  for (
    let at = object;
    at && at !== Object.prototype && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === 'function' && name !== 'constructor') names.add(name)
    }
  }
  return [...names]
}

function dataset({ Dataset }) {
  return new Dataset({
    images: new Float32Array(64),
    labels: [0, 1, 2, 0],
    shape: [1, 4, 4],
    classes: ['a', 'b', 'c'],
  })
}

/** Arguments: what fits some function somewhere, what nearly does, and what nothing should be handed. */
function valuesOf(kernelet) {
  const { Tensor } = kernelet
  const fits = [
    () => new Tensor(new Float32Array(16), [1, 1, 4, 4]),
    () => new Tensor(new Float32Array(16).fill(0.5), [4, 4]),
    () => new Tensor(new Float32Array(2), [2]),
    () => new Tensor(new Float32Array(1), []),
    () => new Float32Array(16),
    () => new Float32Array(64),
    () => [1, 4, 4],
    () => [0, 1, 2, 0],
    () => ({ inputShape: [1, 4, 4] }),
    () => ({ kernelSize: 2 }),
    () => ({ lr: 0.1 }),
    () => ({ epochs: 1 }),
    () => new kernelet.Linear(4, 3),
    () => new kernelet.ReLU(),
    () => new kernelet.Sequential(new kernelet.Flatten(), new kernelet.Linear(16, 3)),
    () => dataset(kernelet),
    () => new kernelet.Generator(1),
    () => new kernelet.SGD({ lr: 0.1 }),
    () => new Map([['weight', new Tensor(new Float32Array(2), [2])]]),
    () => new kernelet.Parameter(new Float32Array(2), [2]),
  ]
  const odd = oddValues(kernelet)
  const leaf = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...fits) },
    { weight: 4, arbitrary: fc.constantFrom(...odd) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 5 }).map((value) => () => value) },
    { weight: 1, arbitrary: fc.double().map((value) => () => value) },
    { weight: 1, arbitrary: fc.anything({ maxDepth: 2 }).map((value) => () => value) },
  )
  const options = fc
    .dictionary(fc.constantFrom(...optionNames), leaf, { maxKeys: 3 })
    .map((entries) => () => Object.fromEntries(Object.entries(entries).map(([key, make]) => [key, make()])))
  const list = fc.array(leaf, { maxLength: 4 }).map((items) => () => items.map((make) => make()))
  const value = fc.oneof(
    { weight: 6, arbitrary: leaf },
    { weight: 2, arbitrary: options },
    { weight: 1, arbitrary: list },
  )
  return fc.array(value, { maxLength: 4 })
}

/** Names of options, so that some of what an option may hold gets past the check of names. */
const optionNames = [
  ...[
    'inputShape',
    'isa',
    'threads',
    'algorithm',
    'numerics',
    'maxBatch',
    'inputType',
    'scale',
    'shift',
    'precision',
  ],
  ...[
    'calibration',
    'output',
    'signal',
    'batchSize',
    'epochs',
    'validation',
    'schedule',
    'optimizer',
    'seed',
    'loss',
  ],
  ...[
    'lr',
    'momentum',
    'weightDecay',
    'betas',
    'eps',
    'kernelSize',
    'stride',
    'padding',
    'dilation',
    'groups',
    'bias',
  ],
  ...[
    'images',
    'labels',
    'shape',
    'classes',
    'names',
    'data',
    'width',
    'height',
    'channels',
    'weights',
    'key',
    'mean',
  ],
  ...[
    'std',
    'augment',
    'shuffle',
    'dataFolder',
    'inputName',
    'ceilMode',
    'checkpoint',
    'generator',
    'T_max',
    'stepSize',
  ],
]

/** Which call, and the seed of its arguments. */
export function make({ calls }, random) {
  return Buffer.from(
    JSON.stringify({ call: calls[random.below(calls.length)][0], seed: random.bits() >>> 1 }),
  )
}

function argumentsOf({ values }, seed) {
  return fc.sample(values, { numRuns: 1, seed })[0].map((make) => make())
}

export async function read(state, bytes) {
  const { kernelet, calls } = state
  const { call, seed } = JSON.parse(Buffer.from(bytes).toString())
  const found = calls.find(([name]) => name === call)
  // a name of another version of the package
  if (found === undefined) return
  try {
    const result = found[1](argumentsOf(state, seed))
    if (result instanceof Promise) await result
  } catch (error) {
    // What looks at the caller's own values threw: getters of ours, and a proxy that was revoked.
    if (!(error instanceof Ours || /proxy that has been revoked/.test(error?.message))) throw error
  } finally {
    kernelet.setThreads(1)
  }
}

/** The call as it would be written. */
export function describe(state, bytes) {
  const { call, seed } = JSON.parse(Buffer.from(bytes).toString())
  try {
    return `${call}(${argumentsOf(state, seed).map(written).join(', ')})`
  } catch (error) {
    return `${call}(…): ${error}`
  }
}
