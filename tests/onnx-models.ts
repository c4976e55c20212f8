/** Small ONNX models made for tests, and onnxruntime-node to compare with where it is installed. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { PbfWriter } from 'pbf'
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from '../lib/formats/onnx/proto.ts'
import { type Draft, writeModelProto } from '../lib/formats/onnx/proto-write.ts'
import { loadOnnx, type OnnxResult } from '../lib/index.ts'
import { elements } from '../lib/tensor/shape.ts'
import { noise } from './helpers.ts'

/** By `TensorProto.DataType`. */
export const dataTypes = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
  float6e2m3: 27,
  float6e3m2: 28,
}

export interface Numbers {
  type?: keyof typeof dataTypes
  shape: number[]
  data: ArrayLike<number | bigint>
}

/** `{ float }` where a whole number is meant as a float. */
export type AttributeValue =
  | number
  | string
  | number[]
  | { float: number }
  | { floats: number[] }
  | { strings: string[] }
  | { tensor: Numbers }
  | { graph: TestGraph }
  | { ref: string; type: number }

/** A graph inside a node. */
export interface TestGraph {
  nodes: TestNode[]
  inputs?: TestModel['inputs']
  /** By name, with a type where it matters. */
  outputs: string[] | Record<string, { type?: keyof typeof dataTypes; shape: (number | string)[] }>
  initializers?: Record<string, Numbers>
}

export interface TestFunction {
  domain: string
  name: string
  inputs: string[]
  outputs: string[]
  nodes: TestNode[]
  opset?: number
  /** Attributes and what they are where a call leaves them out. */
  defaults?: Record<string, AttributeValue>
}

export interface TestNode {
  op: string
  inputs: string[]
  outputs?: string[]
  attributes?: Record<string, AttributeValue>
  name?: string
  domain?: string
}

export interface TestModel {
  opset?: number
  nodes: TestNode[]
  inputs: Record<string, { type?: keyof typeof dataTypes; shape: (number | string)[] }>
  outputs?: string[]
  initializers?: Record<string, Numbers>
  functions?: TestFunction[]
}

/** A model as messages, to be changed before it is encoded. */
export function modelProto({
  opset = 17,
  nodes,
  inputs,
  outputs,
  initializers = {},
  functions = [],
}: TestModel): Draft<ModelProto> {
  return {
    ir_version: 8,
    producer_name: 'test',
    opset_import: [
      { version: opset },
      ...[...new Set([...functions, ...nodes].map(({ domain }) => domain ?? ''))]
        .filter((domain) => domain !== '')
        .map((domain) => ({ domain, version: domain === 'ai.onnx.ml' ? 3 : 1 })),
    ],
    functions: functions.map((one) => ({
      name: one.name,
      domain: one.domain,
      input: one.inputs,
      output: one.outputs,
      node: one.nodes.map(nodeProto),
      opset_import: [
        { version: one.opset ?? opset },
        ...functions.map(({ domain }) => ({ domain, version: 1 })),
      ],
      attribute_proto: Object.entries(one.defaults ?? {}).map(([key, value]) => attributeProto(key, value)),
    })),
    graph: {
      name: 'test',
      node: nodes.map(nodeProto),
      initializer: Object.entries(initializers).map(([name, numbers]) => tensorProto(name, numbers)),
      input: Object.entries(inputs).map(([name, { type = 'float', shape }]) => valueInfo(name, type, shape)),
      output: (outputs ?? (nodes.at(-1)?.outputs ?? ['y']).slice(0, 1)).map((name) => ({ name })),
    },
  }
}

export function encode(model: Draft<ModelProto>): Uint8Array {
  const writer = new PbfWriter()
  writeModelProto(model, writer)
  return writer.finish().slice()
}

export function onnxModel(model: TestModel): Uint8Array {
  return encode(modelProto(model))
}

export type Type = keyof typeof dataTypes

/** Numbers of a type and shape; a list of them; a list of int64. */
export const of = (type: Type, shape: number[], ...data: (number | bigint)[]): Numbers => ({
  type,
  shape,
  data,
})
export const list = (type: Type, ...data: (number | bigint)[]): Numbers => of(type, [data.length], ...data)
export const int64s = (...data: number[]): Numbers => list('int64', ...data)

/** The outputs of one operator. */
export function runOperator(
  op: string,
  given: (Numbers | undefined)[],
  attributes: Record<string, AttributeValue> = {},
  opset = 18,
  outputs = 1,
): OnnxResult[] {
  // what is undefined is an input that is left out
  const names = given.map((one, i) => (one ? `in${i}` : ''))
  const inputs = Object.fromEntries(given.flatMap((one, i) => (one ? [[`in${i}`, one]] : [])))
  const made = Array.from({ length: outputs }, (_, i) => `y${i}`)
  const node = { op, inputs: names, outputs: made, attributes }
  const bytes = onnxModel({ opset, nodes: [node], inputs, outputs: made })
  return Object.values(loadOnnx(bytes).run<OnnxResult>(inputs))
}

/** A node by the names of its inputs and outputs, with blanks between. */
export const node = (
  op: string,
  inputs: string,
  output: string,
  attributes: Record<string, AttributeValue> = {},
): TestNode => ({ op, inputs: inputs.split(' '), outputs: output.split(' '), attributes })
export const turn = (x: string, y: string, ...perm: number[]): TestNode => node('Transpose', x, y, { perm })
/** Noise of a shape. */
export const weight = (shape: number[], seed: number): Numbers => ({
  shape,
  data: noise(elements(shape), seed),
})

/** The numbers of its only output. */
export function numbersOf(...args: Parameters<typeof runOperator>): (number | bigint)[] {
  return [...(runOperator(...args)[0]!.data as Iterable<number | bigint>)]
}

function nodeProto({
  op,
  inputs,
  outputs = ['y'],
  attributes = {},
  name,
  domain,
}: TestNode): Draft<NodeProto> {
  return {
    op_type: op,
    input: inputs,
    output: outputs,
    name,
    domain,
    attribute: Object.entries(attributes).map(([key, value]) => attributeProto(key, value)),
  }
}

function attributeProto(name: string, value: AttributeValue): Draft<AttributeProto> {
  if (typeof value === 'string') return { name, s: Buffer.from(value), type: 3 }
  if (Array.isArray(value)) return { name, ints: value, type: 7 }
  if (typeof value === 'number') {
    return Number.isInteger(value) ? { name, i: value, type: 2 } : { name, f: value, type: 1 }
  }
  if ('graph' in value) return { name, g: graphProto(value.graph), type: 5 }
  if ('ref' in value) return { name, ref_attr_name: value.ref, type: value.type }
  if ('tensor' in value) return { name, t: tensorProto('', value.tensor), type: 4 }
  if ('strings' in value) return { name, strings: value.strings.map((one) => Buffer.from(one)), type: 8 }
  return 'float' in value ? { name, f: value.float, type: 1 } : { name, floats: value.floats, type: 6 }
}

function graphProto({ nodes, inputs = {}, outputs, initializers = {} }: TestGraph): Draft<GraphProto> {
  const infos = (all: NonNullable<TestGraph['inputs']>) =>
    Object.entries(all).map(([name, { type = 'float', shape }]) => valueInfo(name, type, shape))
  return {
    name: 'inside',
    node: nodes.map(nodeProto),
    initializer: Object.entries(initializers).map(([name, numbers]) => tensorProto(name, numbers)),
    input: infos(inputs),
    output: Array.isArray(outputs) ? outputs.map((name) => ({ name })) : infos(outputs),
  }
}

export function tensorProto(name: string, { type = 'float', shape, data }: Numbers): Draft<TensorProto> {
  return { name, dims: shape, data_type: dataTypes[type], raw_data: rawBytes(type, data) }
}

function rawBytes(type: keyof typeof dataTypes, data: ArrayLike<number | bigint>): Uint8Array {
  if (type === 'int64' || type === 'uint64') {
    return new Uint8Array(BigInt64Array.from(Array.from(data, BigInt)).buffer)
  }
  const numbers = Array.from(data, Number)
  const array =
    type === 'int32' || type === 'uint32'
      ? Int32Array.from(numbers, (one) => one | 0)
      : type === 'int16' || type === 'uint16'
        ? Int16Array.from(numbers)
        : type === 'double'
          ? Float64Array.from(numbers)
          : type === 'float'
            ? Float32Array.from(numbers)
            : Uint8Array.from(numbers)
  return new Uint8Array(array.buffer)
}

function valueInfo(
  name: string,
  type: keyof typeof dataTypes,
  shape: (number | string)[],
): Draft<ValueInfoProto> {
  const dim = shape.map((size) => (typeof size === 'string' ? { dim_param: size } : { dim_value: size }))
  return { name, type: { tensor_type: { elem_type: dataTypes[type], shape: { dim } } } }
}

/** One operator to compare with onnxruntime, and to compile. */
export interface OperatorCase {
  op: string
  domain?: string
  /** Inputs in order, by shape or with their numbers; null leaves one out. */
  inputs: (number[] | Numbers | null)[]
  attributes?: Record<string, AttributeValue>
  opset?: number
  outputs?: number
  /** Its first input is a sequence of that twice, or its result one. */
  sequence?: 'in' | 'out' | 'both'
  /** Not to be compiled: what run() does only. */
  runOnly?: boolean
  /** Largest difference, as a part of the largest number; default 2e-6. */
  tolerance?: number
}

export interface OrtTensor {
  readonly dims: readonly number[]
  readonly type: string
  readonly data: ArrayLike<number | bigint>
}

interface OrtSession {
  readonly outputNames: readonly string[]
  run(feeds: Record<string, unknown>): Promise<Record<string, OrtTensor>>
}

interface Ort {
  Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown
  InferenceSession: { create(bytes: Uint8Array, options?: object): Promise<OrtSession> }
}

/** onnxruntime-node as `npm --prefix bench/peers ci --ignore-scripts` installs it; undefined where it is not. */
export function onnxruntime(): Ort | undefined {
  const folder = fileURLToPath(new URL('../bench/peers/', import.meta.url))
  if (existsSync(`${folder}node_modules/onnxruntime-node`)) {
    return createRequire(folder)('onnxruntime-node') as Ort
  }
  console.warn('skipped: onnxruntime-node is not there; run npm --prefix bench/peers ci --ignore-scripts')
  return undefined
}

const arrays: Partial<Record<string, (data: ArrayLike<number | bigint>) => unknown>> = {
  float: (data) => Float32Array.from(data as ArrayLike<number>),
  int64: (data) => BigInt64Array.from(Array.from(data, BigInt)),
  int32: (data) => Int32Array.from(data as ArrayLike<number>),
  uint8: (data) => Uint8Array.from(data as ArrayLike<number>),
  uint32: (data) => Uint32Array.from(data as ArrayLike<number>),
  uint64: (data) => BigUint64Array.from(Array.from(data, BigInt)),
  bool: (data) => Uint8Array.from(data as ArrayLike<number>),
  double: (data) => Float64Array.from(data as ArrayLike<number>),
}

/** What onnxruntime calls types otherwise. */
const ortTypes: Partial<Record<Type, string>> = { float: 'float32', double: 'float64' }

/** What onnxruntime makes of a model: outputs by name, numbers as numbers. */
export async function runOrt(
  ort: Ort,
  bytes: Uint8Array,
  inputs: Record<string, Numbers>,
): Promise<Record<string, { shape: number[]; data: number[] }>> {
  const session = await ort.InferenceSession.create(bytes, {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  })
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, { type = 'float', shape, data }]) => [
      name,
      new ort.Tensor(ortTypes[type] ?? type, arrays[type]!(data), shape),
    ]),
  )
  const results = await session.run(feeds)
  return Object.fromEntries(
    Object.entries(results).map(([name, { dims, data }]) => [
      name,
      { shape: [...dims], data: Array.from(data as ArrayLike<number>, Number) },
    ]),
  )
}
