/** Module: something with weights and a forward(), made of other modules. Works like `torch.nn.Module`. */

import { types } from 'node:util'
import { type CompiledModel, compile } from '../compile/compiled-model.ts'
import type { CompileOptions } from '../compile/options.ts'
import { attached } from '../graph/operation.ts'
import { type Summary, summary } from '../graph/summary.ts'
import { Buffer, Parameter } from '../tensor/parameter.ts'
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, itemsOf, objectOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { className, show } from '../util/show.ts'

/** Weights by name, as PyTorch names them: `conv1.weight`. */
export type StateDict = Map<string, Tensor>

/**
 * Base of all layers and models. Assign modules and Parameters to plain properties (or arrays of modules, or
 * of Parameters) in the constructor and they are found by the property's name; write `forward`.
 * @example
 * class Net extends Module {
 *   fc = new Linear(4, 2)
 *   forward(x) {
 *     return relu(this.fc.forward(x))
 *   }
 * }
 * const net = new Net()
 * [...net.stateDict().keys()] // → ['fc.weight', 'fc.bias']
 * net.compile({ inputShape: [4] }).run(new Float32Array(12)).length // → 6
 */
export abstract class Module {
  /** Whether layers that behave otherwise while they are trained (Dropout) do so; true at first, as in PyTorch. */
  training = true

  /** Computes the output; override it. Called with stand-ins without values when the model is compiled. */
  abstract forward(...inputs: Tensor[]): Tensor

  /**
   * Modules held directly, with their names.
   * @example
   * const net = new Sequential(new Linear(4, 3), new ReLU(), new Linear(3, 2))
   * net.namedChildren().map(([name]) => name) // → ['0', '1', '2']
   */
  namedChildren(): [name: string, module: Module][] {
    return held(this, Module)
  }

  /**
   * This module (named '') and all below, each once, with their paths.
   * @example
   * const net = new Sequential(new Linear(4, 3), new ReLU(), new Linear(3, 2))
   * net.namedModules().map(([path]) => path) // → ['', '0', '1', '2']
   */
  namedModules(): [path: string, module: Module][] {
    return firstOfEach(walk(this))
  }

  /**
   * All parameters, each once, with their paths: `conv1.weight`.
   * @example
   * const net = new Sequential(new Linear(4, 3), new ReLU(), new Linear(3, 2))
   * net.namedParameters().map(([name]) => name) // → ['0.weight', '0.bias', '2.weight', '2.bias']
   */
  namedParameters(): [name: string, parameter: Parameter][] {
    return firstOfEach(everyParameter(this))
  }

  /**
   * All parameters, each once.
   * @example
   * const net = new Sequential(new Linear(4, 3), new ReLU(), new Linear(3, 2))
   * net.parameters().length // → 4
   */
  parameters(): Parameter[] {
    return secondOfEach(this.namedParameters(), 'namedParameters')
  }

  /**
   * All buffers, each once, with their names in a state dict: `bn1.running_mean`.
   * @example
   * new BatchNorm2d(3).namedBuffers().map(([name]) => name) // → ['running_mean', 'running_var', 'num_batches_tracked']
   */
  namedBuffers(): [name: string, buffer: Buffer][] {
    return firstOfEach(everyBuffer(this))
  }

  /**
   * All buffers, each once.
   * @example
   * new BatchNorm2d(3).buffers().length // → 3
   */
  buffers(): Buffer[] {
    return secondOfEach(this.namedBuffers(), 'namedBuffers')
  }

  /**
   * Parameters and buffers by name: themselves, not copies. One held in two places has two names.
   * @example
   * new Linear(4, 2).stateDict().get('weight').shape // → [2, 4]
   */
  stateDict(): StateDict {
    return new Map(
      walk(this).flatMap(([path, part]): [string, Tensor][] => [
        ...ownParameters(path, part),
        ...ownBuffers(path, part),
      ]),
    )
  }

  /**
   * Copies values into parameters and buffers. On an error nothing is changed.
   *
   * @param state a Map or object from names to tensors
   * @param options `strict` (default true): missing and unexpected names are errors; with false they are
   *   skipped. A shape that differs is always an error.
   * @returns the names that were missing and those that were not expected
   * @throws KerneletError `ERR_STATE_DICT` listing all that is wrong; `ERR_DTYPE` for values that are not float32
   * @example
   * const net = new Sequential(new Linear(4, 3), new ReLU(), new Linear(3, 2))
   * const other = new Sequential(new Linear(4, 3))
   * other.loadStateDict(net.stateDict(), { strict: false }).unexpectedKeys // → ['2.weight', '2.bias']
   */
  loadStateDict(
    state: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
    options: { strict?: boolean } = {},
  ): { missingKeys: string[]; unexpectedKeys: string[] } {
    const given: ReadonlyMap<string, Tensor> = types.isMap(state)
      ? state
      : new Map(Object.entries(objectOf(state, 'loadStateDict: state')))
    for (const name of given.keys()) {
      if (typeof name === 'string') continue
      throw new KerneletError('ERR_ARGUMENT', `loadStateDict: state must go by names but has ${show(name)}`)
    }
    checkOptions('loadStateDict', options, ['strict'])
    const strict = flag(options.strict ?? true, 'loadStateDict: strict')
    const own = this.stateDict()
    // Files of PyTorch before 0.4.1 have no count of batches; they load there too.
    const missingKeys = [...own.keys()].filter(
      (name) => !given.has(name) && !name.endsWith('num_batches_tracked'),
    )
    const unexpectedKeys = [...given.keys()].filter((name) => !own.has(name))
    const found = [...own].filter(([name]) => given.has(name))
    const problems: string[] = []
    if (strict) {
      if (missingKeys.length > 0) problems.push(`Missing key(s): ${quote(missingKeys)}.`)
      if (unexpectedKeys.length > 0) problems.push(`Unexpected key(s): ${quote(unexpectedKeys)}.`)
    }
    const copies = found.map(([name, parameter]): [Tensor, Float32Array] => {
      const value = checkValue(name, given.get(name))
      const scalars =
        elements(value.shape) === 1 && elements(parameter.shape) === 1 && parameter instanceof Buffer
      if (!sameShape(value.shape, parameter.shape) && !scalars) {
        problems.push(
          `Size mismatch for ${name}: the file or dictionary has ${formatShape(value.shape)}, ` +
            `the model has ${formatShape(parameter.shape)}.`,
        )
      }
      attached(parameter, name)
      const { mask } = parameter as Parameter
      if (mask && value.data.some((one, i) => one !== 0 && !mask[i])) {
        problems.push(`${name} has weights where the model has no connections.`)
      }
      return [parameter, attached(value, name)]
    })
    if (problems.length > 0) {
      problems.push(...prefixHint(missingKeys, unexpectedKeys))
      throw new KerneletError(
        'ERR_STATE_DICT',
        `The weights do not fit ${className(this)}:\n  ${problems.join('\n  ')}`,
      )
    }
    for (const [parameter, values] of copies) parameter.data.set(values)
    return { missingKeys, unexpectedKeys }
  }

  /**
   * Sets `training` here and in all modules below. Compiled models never drop anything.
   * @example
   * new Dropout(0.5).train().training // → true
   */
  train(mode = true): this {
    flag(mode, 'train: mode')
    for (const [, module] of this.namedModules()) module.training = mode
    return this
  }

  /**
   * `train(false)`.
   * @example
   * const x = new Tensor(Float32Array.of(1, 2), [1, 2])
   * new Dropout(0.5).eval().forward(x) // → [[1, 2]]
   */
  eval(): this {
    return this.train(false)
  }

  /**
   * A native plan of this model with the weights it has now; see `compile`.
   * @example
   * new Linear(4, 2).compile({ inputShape: [4] }).run(new Float32Array(12)).length // → 6
   */
  compile(options: CompileOptions): CompiledModel {
    return compile(this, options)
  }

  /**
   * Layers, output shapes, parameters and multiply-adds; see `summary`.
   * @example
   * const net = new Sequential(new Linear(4, 3), new ReLU(), new Linear(3, 2))
   * net.summary([4]).parameters // → 23
   */
  summary(inputShape: readonly number[]): Summary {
    return summary(this, inputShape)
  }
}

// A class that leaves it out, or an object that only has the prototype, is told so when it is run.
Object.defineProperty(Module.prototype, 'forward', {
  value(this: Module): never {
    throw new KerneletError('ERR_ARGUMENT', `${className(this)} has no forward()`)
  },
  writable: true,
  configurable: true,
})

/** Of an array; longer ones hold something else. */
const mostHeld = 2 ** 16

/** Properties of `module` of a kind, with their names; those in arrays as `name.index`. */
function held<T>(module: Module, kind: abstract new (...args: never) => T): [string, T][] {
  const found: [string, T][] = []
  for (const name of Object.keys(module)) {
    const value = (module as unknown as Record<string, unknown>)[name]
    if (value instanceof kind) found.push([name, value])
    if (!Array.isArray(value)) continue
    for (const [i, one] of (itemsOf(value, mostHeld) ?? []).entries()) {
      if (one instanceof kind) found.push([`${name}.${i}`, one])
    }
  }
  return found
}

/** This module and those below by path, the shared ones by every path, never into itself. */
function walk(module: Module, path = '', above: readonly Module[] = []): [string, Module][] {
  if (above.includes(module)) return []
  const below = module
    .namedChildren()
    .flatMap(([name, child]) => walk(child, join(path, name), [...above, module]))
  return [[path, module], ...below]
}

function everyParameter(module: Module): [string, Parameter][] {
  return walk(module).flatMap(([path, part]) => ownParameters(path, part))
}

function everyBuffer(module: Module): [string, Buffer][] {
  return walk(module).flatMap(([path, part]) => ownBuffers(path, part))
}

function ownParameters(path: string, part: Module): [string, Parameter][] {
  return held(part, Parameter).map(([name, parameter]) => [join(path, name), parameter])
}

function ownBuffers(path: string, part: Module): [string, Buffer][] {
  return held(part, Buffer).map(([name, buffer]) => [join(path, snakeCase(name)), buffer])
}

/** Names of properties; those that a file gives (`bn.Mean`) stay. */
function snakeCase(name: string): string {
  if (!/^[a-z][A-Za-z0-9]*$/.test(name)) return name
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function firstOfEach<T>(entries: readonly [string, T][]): [string, T][] {
  const seen = new Set<T>()
  return entries.filter(([, one]) => !seen.has(one) && seen.add(one))
}

/** What methods that a class overrides say, without the names. */
function secondOfEach<T>(entries: readonly [string, T][], who: string): T[] {
  if (Array.isArray(entries)) return entries.map(([, one]) => one)
  throw new KerneletError('ERR_ARGUMENT', `${who} must give an array but gave ${show(entries)}`)
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

function quote(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name)).join(', ')
}

/** A word on names that only have something put before them. */
function prefixHint(missing: readonly string[], unexpected: readonly string[]): string[] {
  const given = unexpected[0] ?? ''
  const wanted = missing.find((name) => given.endsWith(`.${name}`))
  const prefix = wanted === undefined ? '' : given.slice(0, -wanted.length)
  if (prefix === '' || !unexpected.every((name) => name.startsWith(prefix))) return []
  const source = prefixes[prefix]
  return [
    `All of these begin with ${JSON.stringify(prefix)}${source ? `, which ${source} puts there` : ''}; leave it out: ` +
      `new Map([...state].map(([name, value]) => [name.slice(${prefix.length}), value]))`,
  ]
}

const prefixes: Record<string, string> = { 'module.': 'DataParallel', '_orig_mod.': 'torch.compile' }

function checkValue(name: string, value: unknown): Tensor {
  if (Tensor.is(value)) return value
  const dtype = (value as { dtype?: unknown } | null | undefined)?.dtype
  if (typeof dtype === 'string' && dtype !== 'F32') {
    throw new KerneletError('ERR_DTYPE', `${name}: expected float32 values (F32) but received ${dtype}`)
  }
  throw new KerneletError('ERR_ARGUMENT', `${name}: expected a Tensor but received ${show(value)}`)
}
