/** Values that nothing should be handed, or hardly anything: what a caller's slip, or malice, may come with. */
import { inspect } from 'node:util'
import vm from 'node:vm'

/** Thrown by getters and functions of ours: that it comes out again is right. */
export class Ours extends Error {}

const context = vm.createContext({})
const foreign = (text) => vm.runInContext(text, context)

/** @returns {(() => unknown)[]} each makes its value anew */
export function oddValues({ Tensor, Module, Sequential }) {
  return [
    ...[undefined, null, true, false, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    ...[-1, 0, -0, 0.5, 1e-320, 2 ** 15 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 1e300],
    ...[10n ** 100n, 1n, Symbol('hostile'), Symbol.iterator],
    ...[
      '',
      '1',
      'conv1.weight',
      '__proto__',
      'constructor',
      '\0',
      'x'.repeat(5000),
      'none/such',
      '.',
      '\ud800',
    ],
    ...[() => 1, class {}, /x/],
  ]
    .map((value) => () => value)
    .concat([
      () => [],
      () => [[[[[]]]]],
      () => [Number.NaN],
      () => ['1'],
      () => [1, -1],
      () => [1, 4, 4],
      () => [2 ** 31 - 1],
      () => [2 ** 31, 2 ** 31],
      () => Array(10),
      () => Array(2 ** 32 - 1),
      () => Object.assign(Array(3), { 0: 1, 2: 4 }),
      () => Array.from({ length: 100 }, () => 1),
      () => Object.assign([1, 4, 4], { length: 2 }),
      () => Object.freeze([1, 4, 4]),
      () => foreign('[1, 4, 4]'),
      () => foreign('[]'),
      () => foreign('({})'),
      () => foreign('new Map()'),
      () => foreign('new Float32Array(16)'),
      () => foreign('new Uint8Array(16)'),
      () => foreign('new ArrayBuffer(16)'),
      () => foreign('new Proxy([1, 4, 4], {})'),
      () => foreign('Promise.resolve(1)'),
      () => foreign('new Date(0)'),
      () => foreign('new Error("x")'),
      () => ({}),
      () => Object.create(null),
      () => ({ length: -1 }),
      () => ({ length: 2 ** 53 }),
      () => ({ length: 1, 0: 1 }),
      () => ({ data: new Float32Array(4), shape: [2, 2] }),
      () => ({ data: new Uint8Array(16), width: 4, height: 4, channels: 1 }),
      () => ({ nodes: [], output: 0 }),
      () => ({ nodes: [{ op: 'input', name: 'input', inputs: [], shape: [1] }], output: 0 }),
      () => ({ href: 'x', protocol: 'file:' }),
      () => ({ aborted: false, addEventListener() {}, removeEventListener() {} }),
      () => new Map(),
      () => new Map([[1, 1]]),
      () => new Set([1]),
      () => new WeakMap(),
      () => new Date(Number.NaN),
      () => new Error('x'),
      () => new Uint8Array(0),
      () => new Uint8Array(30),
      () => new Uint8ClampedArray(3),
      () => new Float32Array(0),
      () => new Float32Array(16).fill(Number.NaN),
      () => new Float64Array(16),
      () => new Int8Array(16),
      () => new BigInt64Array(2),
      () => new ArrayBuffer(8),
      () => new SharedArrayBuffer(8),
      () => new DataView(new ArrayBuffer(8)),
      () => new Float32Array(new SharedArrayBuffer(64)),
      () => new Float32Array(new ArrayBuffer(64, { maxByteLength: 128 })),
      shrunk,
      () => new URL('file:///none'),
      () => new URL('https://example.org'),
      () => Promise.resolve(1),
      () => AbortSignal.abort(),
      () => new AbortController().signal,
      () => new Proxy([], {}),
      () => new Proxy([1, 4, 4], {}),
      () => new Proxy({}, { get: () => 1 }),
      () => new Proxy(new Float32Array(16), {}),
      () => new Proxy(new Tensor(new Float32Array(16), [1, 1, 4, 4]), {}),
      () => new Proxy(new Sequential(), {}),
      revoked,
      detached,
      circle,
      laughs,
      throwing,
      throwingArray,
      () => ({ toString: null, valueOf: null }),
      () => ({ valueOf: () => ({}), toString: () => ({}) }),
      () => ({ valueOf: () => 3, toString: () => '3' }),
      () => ({
        valueOf: () => {
          throw new Ours('valueOf')
        },
      }),
      () => Object.defineProperty(new Float32Array(16), 'length', { value: 1e6 }),
      () => Object.defineProperty(new Uint8Array(16), 'byteLength', { value: 1e6 }),
      () => Object.setPrototypeOf(new Float32Array(16), null),
      () => Object.setPrototypeOf({}, Tensor.prototype),
      () => Object.setPrototypeOf({}, Module.prototype),
      () => Object.create(Tensor.prototype, { shape: { value: [1, 1, 4, 4] }, data: { value: 7 } }),
      () => new (class extends Module {})(),
      ...[undefined, null, 7, Promise.resolve(1), [], {}].map(
        (value) => () => Object.assign(new Sequential(), { forward: () => value }),
      ),
      () => Object.assign(new Sequential(), { forward: (x) => x }),
      () => Object.assign(new Sequential(), { namedModules: null }),
      () => Object.assign(new Sequential(), { namedParameters: () => 7 }),
      () => Object.assign(new Sequential(), { namedParameters: () => [['x', 7]] }),
      () => Object.assign(new Sequential(), { constructor: null }),
      () => selfContained(new Sequential()),
      () =>
        Object.defineProperty(new Sequential(), 'weight', {
          enumerable: true,
          get: () => {
            throw new Ours('get weight')
          },
        }),
      () =>
        Object.assign(new Sequential(), {
          forward: () => {
            throw new Ours('forward')
          },
        }),
    ])
}

function selfContained(module) {
  return Object.assign(module, { self: module, list: [module, [module]], forward: (x) => x })
}

function revoked() {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  return proxy
}

function detached() {
  const array = new Float32Array(16)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

/** Part of it lies beyond the end of its buffer now. */
function shrunk() {
  const buffer = new ArrayBuffer(64, { maxByteLength: 64 })
  const array = new Float32Array(buffer, 0, 16)
  buffer.resize(8)
  return array
}

function circle() {
  const array = [1]
  array.push(array)
  return array
}

function laughs() {
  let array = ['lol']
  for (let i = 0; i < 30; i++) array = [array, array, array, array]
  return array
}

function throwing() {
  return new Proxy({}, traps())
}

function throwingArray() {
  return new Proxy([1, 4, 4], traps())
}

function traps() {
  const fail = (name) => () => {
    throw new Ours(name)
  }
  return Object.fromEntries(['get', 'has', 'ownKeys', 'getPrototypeOf'].map((name) => [name, fail(name)]))
}

/** Short and quick: values hold each other in circles, or a thousand times over. */
export function written(value) {
  try {
    const some = { depth: 3, maxArrayLength: 4, maxStringLength: 60, showProxy: true, getters: false }
    return inspect(value, { ...some, breakLength: Number.POSITIVE_INFINITY }).slice(0, 200)
  } catch {
    return 'what cannot be written'
  }
}
