/** An ONNX model evaluated: node by node, with values or traced. */

import type { NamedShapes } from '../../compile/named-model.ts'
import { free, isFree } from '../../compile/sizes.ts'
import { SymbolicTensor, type Tracer } from '../../graph/graph.ts'
import { checkShape, elements, formatShape, sameShape } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { objectOf } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { Budget, within } from './budget.ts'
import type { ElementType } from './element.ts'
import { list, type OnnxValueInfo } from './info.ts'
import { bytesOf, inputValue, resultOf } from './io.ts'
import { Joined } from './joined.ts'
import { Loose } from './loose.ts'
import { OfTheBatch } from './of-the-batch.ts'
import type { OnnxInput, OnnxResult } from './onnx-array.ts'
import { nodesFor, type Prepared, prepare } from './prepare.ts'
import { type PreparedNode, runNode } from './prepared-node.ts'
import type { ModelProto } from './proto.ts'
import { closingFiles } from './tensor.ts'
import { Turned } from './turned.ts'
import { isSymbolic, type Known, Nothing, type Run, Sequence, tensorOf, type Value } from './value.ts'

/** What OnnxModel does beyond being a Module. */
export class Evaluator {
  readonly model: Prepared
  readonly metadata: ReadonlyMap<string, string>
  readonly #result: string | undefined
  /** The nodes that the result of forward() takes. */
  readonly #forward: readonly PreparedNode[]
  /** The batch the model was exported with, where it is a number. */
  readonly #declaredBatch: number | undefined
  /** Bytes of the model's weights. */
  readonly #given: number

  /** @param output the result of forward(), by name; needed where there are several */
  constructor(model: ModelProto, file: string, folder: { path: string | undefined }, output?: string) {
    const budget = new Budget('load')
    this.model = closingFiles(folder, () => within(budget, () => prepare(model, file, folder)))
    this.#given = budget.given
    this.metadata = new Map(model.metadata_props.map(({ key, value }) => [key, value]))
    const { nodes, outputs, inputs } = this.model
    const result = chosen(outputs, output, file)
    this.#result = result
    this.#forward =
      result === undefined || outputs.length === 1
        ? nodes
        : closingFiles(folder, () => within(budget, () => nodesFor(this.model, result, folder)))
    const batch = inputs[0]?.shape?.[0]
    this.#declaredBatch = typeof batch === 'number' ? batch : undefined
  }

  /**
   * The shape of the first input with its batch, where the model fixes a batch of several; undefined: it does not, or
   * leaves other sizes open.
   *
   * @param image the shape of one image, or with the batch, as it was asked for
   */
  wholeShape(image: readonly number[] | undefined): number[] | undefined {
    const [info, ...others] = this.model.inputs
    const shape = info && wholeOf(info, this.#declaredBatch)
    if (!shape || others.length > 0) return undefined
    if (image === undefined || sameShape(image, shape) || sameShape(image, shape.slice(1))) return shape
    return undefined
  }

  /** As `named`, of whole batches. */
  wholeNamed(inputShapes: NamedShapes | undefined): ReturnType<Evaluator['named']> | undefined {
    const shapes: Record<string, readonly number[]> = {}
    for (const info of this.model.inputs) {
      const shape = wholeOf(info, this.#declaredBatch)
      const asked = inputShapes?.[info.name] ?? shape
      const fits =
        shape && (sameShape(asked as number[], shape) || sameShape(asked as number[], shape.slice(1)))
      if (!fits || (info.dtype ?? 'float32') !== 'float32') return undefined
      shapes[info.name] = shape
    }
    return { shapes, joined: this.#joined((value) => new Loose(value)) }
  }

  /**
   * As OnnxModel.forward.
   *
   * @param whole an input of a trace is a batch of the model as one image
   */
  forward(inputs: readonly Tensor[], whole = false): Tensor {
    if (inputs.length !== this.model.inputs.length) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `The model has ${this.model.inputs.length} inputs (${list(this.model.inputs)}) but received ${inputs.length}`,
      )
    }
    if (this.#result === undefined) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `The model has several outputs (${list(this.model.outputs)}): name one in loadOnnx(…, { output }), or use run()`,
      )
    }
    const values = new Map<string, Value>(
      inputs.map((input, i) => {
        const info = this.model.inputs[i] as OnnxValueInfo
        if (!isSymbolic(input)) return [info.name, inputValue(input, info)]
        return [info.name, whole ? new Loose(input) : input]
      }),
    )
    return this.#imagesOf(this.#run(values, this.#forward).get(this.#result) as Value, this.#result)
  }

  /** A result as it comes out of a compiled model, image after image. */
  #imagesOf(value: Value, name: string): Tensor {
    const result = tensorOf(value)
    if (result instanceof Loose) return result.images
    if (!(result instanceof Turned)) return result
    if (result.spread === 0) return result.images
    const last = this.model.nodes.find(({ node }) => node.outputs.includes(name))
    const reason = 'the result holds the images of a batch in one dimension with others; run() computes it'
    throw last?.node.unsupported(reason) ?? new KerneletError('ERR_UNSUPPORTED', reason)
  }

  /** As OnnxModel.run. */
  run(inputs: Readonly<Record<string, OnnxInput>>): Record<string, OnnxResult | OnnxResult[]> {
    const names = new Set(this.model.inputs.map(({ name }) => name))
    objectOf(inputs, 'run: inputs')
    for (const name of Object.keys(inputs)) {
      if (names.has(name)) continue
      throw new KerneletError(
        'ERR_ARGUMENT',
        `run: there is no input ${show(name)}; there are ${list(this.model.inputs)}`,
      )
    }
    const values = new Map<string, Value>()
    for (const info of this.model.inputs) {
      if (!Object.hasOwn(inputs, info.name)) {
        throw new KerneletError('ERR_ARGUMENT', `run: the input ${show(info.name)} is missing`)
      }
      values.set(info.name, inputValue(inputs[info.name] as OnnxInput, info))
    }
    const results = this.#run(values, this.model.nodes)
    const { types } = this.model
    return Object.fromEntries(
      this.model.outputs.map(({ name }) => [name, resultsOf(results.get(name) as Value, types.get(name))]),
    )
  }

  /** Shapes of one image of all inputs, with −1 where they are free, and the model as a Module of one input and one output. */
  named(inputShapes: NamedShapes | undefined): {
    shapes: NamedShapes
    joined: (shapes: NamedShapes) => Joined
  } {
    const { inputs } = this.model
    if (inputShapes !== undefined) objectOf(inputShapes, 'compileNamed: inputShapes')
    const shapes = Object.fromEntries(inputs.map((info) => [info.name, imageShape(info, inputShapes)]))
    for (const name of Object.keys(inputShapes ?? {})) {
      if (Object.hasOwn(shapes, name)) continue
      throw new KerneletError(
        'ERR_ARGUMENT',
        `compileNamed: there is no input ${show(name)}; there are ${list(inputs)}`,
      )
    }
    return { shapes, joined: this.#joined((value) => value) }
  }

  /** @param laid an input of a trace as the model has it */
  #joined(laid: (value: SymbolicTensor) => SymbolicTensor): (shapes: NamedShapes) => Joined {
    return (shapes) =>
      new Joined(shapes, (given) => {
        const inputs = Object.entries(given).map(([name, value]): [string, Value] => [
          name,
          isSymbolic(value) ? laid(value) : value,
        ])
        const values = this.#run(new Map(inputs), this.model.nodes)
        return Object.fromEntries(
          this.model.outputs.map(({ name }) => {
            const value = values.get(name) as Value
            if (isSymbolic(value)) return [name, this.#imagesOf(value, name)]
            throw new KerneletError(
              'ERR_UNSUPPORTED',
              `compileNamed: the output ${name} is the same for every image; run() gives it`,
            )
          }),
        )
      })
  }

  #run(inputs: ReadonlyMap<string, Value>, nodes: readonly PreparedNode[]): Map<string, Value> {
    for (const info of this.model.inputs) checkInput(inputs.get(info.name) as Value, info)
    const first = inputs.values().next().value
    const batch = first?.shape[0] ?? 1
    const { held, types } = this.model
    const isWhole = first instanceof Loose
    const run: Run = isWhole
      ? { batch: 1, declaredBatch: 1, held, types }
      : { batch, declaredBatch: this.#declaredBatch, held, types }
    const values = new Map([...this.model.known, ...inputs])
    const tracer = [...inputs.values()].find((value) => value instanceof SymbolicTensor)?.tracer
    const budget = tracer
      ? new Budget('load', this.#given)
      : new Budget('run', this.#given + bytesOf([...inputs.values()]))
    const traced = tracer && !isWhole ? { ...run, ofTwo: once(() => this.#ofTwo(inputs, nodes)) } : run
    return within(budget, () => this.#runNodes(nodes, values, traced, tracer))
  }

  /** What all values are for two images; undefined where they cannot be computed. */
  #ofTwo(
    inputs: ReadonlyMap<string, Value>,
    nodes: readonly PreparedNode[],
  ): ReadonlyMap<string, Known> | undefined {
    const zeros = this.model.inputs.map((info): [string, Value] => {
      const given = inputs.get(info.name)?.shape ?? []
      const shape = [2 * (given[0] ?? 1), ...given.slice(1)]
      return [info.name, inputValue({ data: new Float32Array(elements(shape)), shape }, info)]
    })
    try {
      const values = this.#run(new Map(zeros), nodes)
      return new Map(
        [...values].map(([name, value]) => [name, Tensor.is(value) ? { shape: value.shape } : value]),
      )
    } catch (error) {
      if (error instanceof KerneletError) return undefined
      throw error
    }
  }

  #runNodes(
    nodes: readonly PreparedNode[],
    values: Map<string, Value>,
    run: Run,
    tracer: Tracer | undefined,
  ): Map<string, Value> {
    const around = tracer?.scopes.at(-1)?.path ?? ''
    const ofTheBatch = run.ofTwo && run.declaredBatch === undefined ? new OfTheBatch(this.#given) : undefined
    for (const prepared of nodes) {
      const name = prepared.node.name.replace(/^\//, '')
      tracer?.scopes.push({ path: around === '' ? name : `${around}.${name}`, leaf: true })
      try {
        runNode(prepared, values, run)
        ofTheBatch?.follow(prepared, values, run)
      } finally {
        tracer?.scopes.pop()
      }
    }
    return values
  }
}

/** Shape of one image, with −1 for sizes that the model leaves open; undefined where it says nothing of it. */
export function patternOf(info: OnnxValueInfo | undefined): number[] | undefined {
  return info?.shape?.slice(1).map((size) => (typeof size === 'number' ? size : free))
}

/** The shape of an input that fixes a batch of several and all else. */
function wholeOf({ shape }: OnnxValueInfo, batch: number | undefined): number[] | undefined {
  const isFixed = shape?.every((size) => typeof size === 'number')
  return isFixed && batch !== undefined && batch > 1 && shape[0] === batch ? (shape as number[]) : undefined
}

/** Shape of one image of an input: as it was asked for, or as the model fixes it. */
function imageShape(info: OnnxValueInfo, wanted: NamedShapes | undefined): readonly number[] {
  if (info.dtype !== undefined && info.dtype !== 'float32') {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `compileNamed: the input ${list([info])} is not float32; run() takes it`,
    )
  }
  if (wanted !== undefined && Object.hasOwn(wanted, info.name)) {
    const shape = wanted[info.name] as number[]
    return isFree(shape) ? [...shape] : checkShape(shape, `inputShapes.${info.name}`)
  }
  const image = patternOf(info)
  if (image) return image
  throw new KerneletError(
    'ERR_SHAPE',
    `compileNamed: the shape of one image of ${list([info])} is needed: { inputShapes: { ${info.name}: […] } }`,
  )
}

/** A result, or those of a sequence. */
function resultsOf(value: Value, type: ElementType | undefined): OnnxResult | OnnxResult[] {
  if (value instanceof Nothing) {
    throw new KerneletError('ERR_UNSUPPORTED', 'run: a result is an optional value that is not there')
  }
  return value instanceof Sequence ? value.items.map((one) => resultOf(one, type)) : resultOf(value, type)
}

/** What `make` gives, made when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** The output that was asked for, or the only one. */
function chosen(
  outputs: readonly OnnxValueInfo[],
  wanted: string | undefined,
  file: string,
): string | undefined {
  const name = wanted ?? (outputs[0] as OnnxValueInfo).name
  if (wanted === undefined && outputs.length > 1) return undefined
  if (outputs.some((output) => output.name === name)) return name
  throw new KerneletError('ERR_ARGUMENT', `${file} has no output ${show(wanted)}; it has ${list(outputs)}`)
}

/** The batch may be any; what else the model fixes must be so. */
function checkInput(value: Value, info: OnnxValueInfo): void {
  const { shape } = info
  if (shape === undefined) return
  const fits = value.shape.length === shape.length
  if (fits && shape.every((size, d) => d === 0 || typeof size !== 'number' || size === value.shape[d])) return
  throw new KerneletError(
    'ERR_SHAPE',
    `The input is ${list([info])} but received ${formatShape(value.shape)}`,
  )
}
