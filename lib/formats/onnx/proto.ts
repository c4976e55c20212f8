/** The messages of onnx.proto, their readers and their writers. Generated: `npm run protobuf`. */

import type { PbfReader, PbfWriter } from 'pbf'

export interface ModelProto {
  ir_version: number
  producer_name: string
  producer_version: string
  graph: GraphProto | undefined
  opset_import: OperatorSetIdProto[]
  metadata_props: StringStringEntryProto[]
  functions: FunctionProto[]
}

export interface OperatorSetIdProto {
  domain: string
  version: number
}

export interface StringStringEntryProto {
  key: string
  value: string
}

export interface FunctionProto {
  name: string
  input: string[]
  output: string[]
  node: NodeProto[]
  opset_import: OperatorSetIdProto[]
  domain: string
  attribute_proto: AttributeProto[]
  overload: string
}

export interface GraphProto {
  node: NodeProto[]
  name: string
  initializer: TensorProto[]
  input: ValueInfoProto[]
  output: ValueInfoProto[]
  sparse_initializer: SparseTensorProto[]
}

export interface NodeProto {
  input: string[]
  output: string[]
  name: string
  op_type: string
  attribute: AttributeProto[]
  domain: string
  overload: string
}

export interface AttributeProto {
  name: string
  f: number
  i: number
  s: Uint8Array | undefined
  t: TensorProto | undefined
  g: GraphProto | undefined
  floats: number[]
  ints: number[]
  strings: Uint8Array[]
  type: number
  ref_attr_name: string
  sparse_tensor: SparseTensorProto | undefined
}

export interface ValueInfoProto {
  name: string
  type: TypeProto | undefined
}

export interface TypeProto {
  tensor_type: TensorTypeProto | undefined
}

export interface TensorTypeProto {
  elem_type: number
  shape: TensorShapeProto | undefined
}

export interface TensorShapeProto {
  dim: Dimension[]
}

export interface Dimension {
  dim_value: number
  dim_param: string
  value?: 'dim_value' | 'dim_param' | undefined
}

export interface TensorProto {
  dims: number[]
  data_type: number
  float_data: number[]
  int32_data: number[]
  int64_data: number[]
  name: string
  raw_data: Uint8Array | undefined
  double_data: number[]
  uint64_data: number[]
  external_data: StringStringEntryProto[]
  data_location: number
}

export interface SparseTensorProto {
  values: TensorProto | undefined
  indices: TensorProto | undefined
  dims: number[]
}

/** A message to be written: what is left out is not written. */
export type Draft<T> = T extends (infer U)[]
  ? Draft<U>[]
  : T extends Uint8Array | string | number | undefined
    ? T
    : { [K in keyof T]?: Draft<T[K]> | undefined }

export function readModelProto(pbf: PbfReader, end?: number): ModelProto {
  const obj: ModelProto = {
    ir_version: 0,
    producer_name: '',
    producer_version: '',
    graph: undefined,
    opset_import: [],
    metadata_props: [],
    functions: [],
  }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.ir_version = pbf.readVarint(true)
    else if (field === 2) obj.producer_name = pbf.readString()
    else if (field === 3) obj.producer_version = pbf.readString()
    else if (field === 7) obj.graph = readGraphProto(pbf, pbf.readVarint() + pbf.pos)
    else if (field === 8) obj.opset_import.push(readOperatorSetIdProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 14)
      obj.metadata_props.push(readStringStringEntryProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 25) obj.functions.push(readFunctionProto(pbf, pbf.readVarint() + pbf.pos))
  }
  return obj
}
export function writeModelProto(obj: Draft<ModelProto>, pbf: PbfWriter): void {
  if (obj.ir_version) pbf.writeVarintField(1, obj.ir_version)
  if (obj.producer_name) pbf.writeStringField(2, obj.producer_name)
  if (obj.producer_version) pbf.writeStringField(3, obj.producer_version)
  if (obj.graph) pbf.writeMessage(7, writeGraphProto, obj.graph)
  if (obj.opset_import)
    for (const item of obj.opset_import) pbf.writeMessage(8, writeOperatorSetIdProto, item)
  if (obj.metadata_props)
    for (const item of obj.metadata_props) pbf.writeMessage(14, writeStringStringEntryProto, item)
  if (obj.functions) for (const item of obj.functions) pbf.writeMessage(25, writeFunctionProto, item)
}

export function readOperatorSetIdProto(pbf: PbfReader, end?: number): OperatorSetIdProto {
  const obj: OperatorSetIdProto = { domain: '', version: 0 }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.domain = pbf.readString()
    else if (field === 2) obj.version = pbf.readVarint(true)
  }
  return obj
}
export function writeOperatorSetIdProto(obj: Draft<OperatorSetIdProto>, pbf: PbfWriter): void {
  if (obj.domain) pbf.writeStringField(1, obj.domain)
  if (obj.version) pbf.writeVarintField(2, obj.version)
}

export function readStringStringEntryProto(pbf: PbfReader, end?: number): StringStringEntryProto {
  const obj: StringStringEntryProto = { key: '', value: '' }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.key = pbf.readString()
    else if (field === 2) obj.value = pbf.readString()
  }
  return obj
}
export function writeStringStringEntryProto(obj: Draft<StringStringEntryProto>, pbf: PbfWriter): void {
  if (obj.key) pbf.writeStringField(1, obj.key)
  if (obj.value) pbf.writeStringField(2, obj.value)
}

export function readFunctionProto(pbf: PbfReader, end?: number): FunctionProto {
  const obj: FunctionProto = {
    name: '',
    input: [],
    output: [],
    node: [],
    opset_import: [],
    domain: '',
    attribute_proto: [],
    overload: '',
  }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.name = pbf.readString()
    else if (field === 4) obj.input.push(pbf.readString())
    else if (field === 5) obj.output.push(pbf.readString())
    else if (field === 7) obj.node.push(readNodeProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 9) obj.opset_import.push(readOperatorSetIdProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 10) obj.domain = pbf.readString()
    else if (field === 11) obj.attribute_proto.push(readAttributeProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 13) obj.overload = pbf.readString()
  }
  return obj
}
export function writeFunctionProto(obj: Draft<FunctionProto>, pbf: PbfWriter): void {
  if (obj.name) pbf.writeStringField(1, obj.name)
  if (obj.input) for (const item of obj.input) pbf.writeStringField(4, item)
  if (obj.output) for (const item of obj.output) pbf.writeStringField(5, item)
  if (obj.node) for (const item of obj.node) pbf.writeMessage(7, writeNodeProto, item)
  if (obj.opset_import)
    for (const item of obj.opset_import) pbf.writeMessage(9, writeOperatorSetIdProto, item)
  if (obj.domain) pbf.writeStringField(10, obj.domain)
  if (obj.attribute_proto)
    for (const item of obj.attribute_proto) pbf.writeMessage(11, writeAttributeProto, item)
  if (obj.overload) pbf.writeStringField(13, obj.overload)
}

export function readGraphProto(pbf: PbfReader, end?: number): GraphProto {
  const obj: GraphProto = {
    node: [],
    name: '',
    initializer: [],
    input: [],
    output: [],
    sparse_initializer: [],
  }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.node.push(readNodeProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 2) obj.name = pbf.readString()
    else if (field === 5) obj.initializer.push(readTensorProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 11) obj.input.push(readValueInfoProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 12) obj.output.push(readValueInfoProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 15) obj.sparse_initializer.push(readSparseTensorProto(pbf, pbf.readVarint() + pbf.pos))
  }
  return obj
}
export function writeGraphProto(obj: Draft<GraphProto>, pbf: PbfWriter): void {
  if (obj.node) for (const item of obj.node) pbf.writeMessage(1, writeNodeProto, item)
  if (obj.name) pbf.writeStringField(2, obj.name)
  if (obj.initializer) for (const item of obj.initializer) pbf.writeMessage(5, writeTensorProto, item)
  if (obj.input) for (const item of obj.input) pbf.writeMessage(11, writeValueInfoProto, item)
  if (obj.output) for (const item of obj.output) pbf.writeMessage(12, writeValueInfoProto, item)
  if (obj.sparse_initializer)
    for (const item of obj.sparse_initializer) pbf.writeMessage(15, writeSparseTensorProto, item)
}

export function readNodeProto(pbf: PbfReader, end?: number): NodeProto {
  const obj: NodeProto = {
    input: [],
    output: [],
    name: '',
    op_type: '',
    attribute: [],
    domain: '',
    overload: '',
  }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.input.push(pbf.readString())
    else if (field === 2) obj.output.push(pbf.readString())
    else if (field === 3) obj.name = pbf.readString()
    else if (field === 4) obj.op_type = pbf.readString()
    else if (field === 5) obj.attribute.push(readAttributeProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 7) obj.domain = pbf.readString()
    else if (field === 8) obj.overload = pbf.readString()
  }
  return obj
}
export function writeNodeProto(obj: Draft<NodeProto>, pbf: PbfWriter): void {
  if (obj.input) for (const item of obj.input) pbf.writeStringField(1, item)
  if (obj.output) for (const item of obj.output) pbf.writeStringField(2, item)
  if (obj.name) pbf.writeStringField(3, obj.name)
  if (obj.op_type) pbf.writeStringField(4, obj.op_type)
  if (obj.attribute) for (const item of obj.attribute) pbf.writeMessage(5, writeAttributeProto, item)
  if (obj.domain) pbf.writeStringField(7, obj.domain)
  if (obj.overload) pbf.writeStringField(8, obj.overload)
}

export function readAttributeProto(pbf: PbfReader, end?: number): AttributeProto {
  const obj: AttributeProto = {
    name: '',
    f: 0,
    i: 0,
    s: undefined,
    t: undefined,
    g: undefined,
    floats: [],
    ints: [],
    strings: [],
    type: 0,
    ref_attr_name: '',
    sparse_tensor: undefined,
  }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.name = pbf.readString()
    else if (field === 2) obj.f = pbf.readFloat()
    else if (field === 3) obj.i = pbf.readVarint(true)
    else if (field === 4) obj.s = pbf.readBytes()
    else if (field === 5) obj.t = readTensorProto(pbf, pbf.readVarint() + pbf.pos)
    else if (field === 6) obj.g = readGraphProto(pbf, pbf.readVarint() + pbf.pos)
    else if (field === 7) pbf.readPackedFloat(obj.floats)
    else if (field === 8) pbf.readPackedVarint(obj.ints, true)
    else if (field === 9) obj.strings.push(pbf.readBytes())
    else if (field === 20) obj.type = pbf.readVarint(true)
    else if (field === 21) obj.ref_attr_name = pbf.readString()
    else if (field === 22) obj.sparse_tensor = readSparseTensorProto(pbf, pbf.readVarint() + pbf.pos)
  }
  return obj
}
export function writeAttributeProto(obj: Draft<AttributeProto>, pbf: PbfWriter): void {
  if (obj.name) pbf.writeStringField(1, obj.name)
  if (obj.f) pbf.writeFloatField(2, obj.f)
  if (obj.i) pbf.writeVarintField(3, obj.i)
  if (obj.s != null) pbf.writeBytesField(4, obj.s)
  if (obj.t) pbf.writeMessage(5, writeTensorProto, obj.t)
  if (obj.g) pbf.writeMessage(6, writeGraphProto, obj.g)
  if (obj.floats) for (const item of obj.floats) pbf.writeFloatField(7, item)
  if (obj.ints) for (const item of obj.ints) pbf.writeVarintField(8, item)
  if (obj.strings) for (const item of obj.strings) pbf.writeBytesField(9, item)
  if (obj.type) pbf.writeVarintField(20, obj.type)
  if (obj.ref_attr_name) pbf.writeStringField(21, obj.ref_attr_name)
  if (obj.sparse_tensor) pbf.writeMessage(22, writeSparseTensorProto, obj.sparse_tensor)
}

export function readValueInfoProto(pbf: PbfReader, end?: number): ValueInfoProto {
  const obj: ValueInfoProto = { name: '', type: undefined }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.name = pbf.readString()
    else if (field === 2) obj.type = readTypeProto(pbf, pbf.readVarint() + pbf.pos)
  }
  return obj
}
export function writeValueInfoProto(obj: Draft<ValueInfoProto>, pbf: PbfWriter): void {
  if (obj.name) pbf.writeStringField(1, obj.name)
  if (obj.type) pbf.writeMessage(2, writeTypeProto, obj.type)
}

export function readTypeProto(pbf: PbfReader, end?: number): TypeProto {
  const obj: TypeProto = { tensor_type: undefined }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.tensor_type = readTensorTypeProto(pbf, pbf.readVarint() + pbf.pos)
  }
  return obj
}
export function writeTypeProto(obj: Draft<TypeProto>, pbf: PbfWriter): void {
  if (obj.tensor_type) pbf.writeMessage(1, writeTensorTypeProto, obj.tensor_type)
}

export function readTensorTypeProto(pbf: PbfReader, end?: number): TensorTypeProto {
  const obj: TensorTypeProto = { elem_type: 0, shape: undefined }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.elem_type = pbf.readVarint(true)
    else if (field === 2) obj.shape = readTensorShapeProto(pbf, pbf.readVarint() + pbf.pos)
  }
  return obj
}
export function writeTensorTypeProto(obj: Draft<TensorTypeProto>, pbf: PbfWriter): void {
  if (obj.elem_type) pbf.writeVarintField(1, obj.elem_type)
  if (obj.shape) pbf.writeMessage(2, writeTensorShapeProto, obj.shape)
}

export function readTensorShapeProto(pbf: PbfReader, end?: number): TensorShapeProto {
  const obj: TensorShapeProto = { dim: [] }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.dim.push(readDimension(pbf, pbf.readVarint() + pbf.pos))
  }
  return obj
}
export function writeTensorShapeProto(obj: Draft<TensorShapeProto>, pbf: PbfWriter): void {
  if (obj.dim) for (const item of obj.dim) pbf.writeMessage(1, writeDimension, item)
}

export function readDimension(pbf: PbfReader, end?: number): Dimension {
  const obj: Dimension = { dim_value: 0, value: undefined, dim_param: '' }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) {
      obj.dim_value = pbf.readVarint(true)
      obj.value = 'dim_value'
    } else if (field === 2) {
      obj.dim_param = pbf.readString()
      obj.value = 'dim_param'
    }
  }
  return obj
}
export function writeDimension(obj: Draft<Dimension>, pbf: PbfWriter): void {
  if (obj.dim_value != null) pbf.writeVarintField(1, obj.dim_value)
  if (obj.dim_param != null) pbf.writeStringField(2, obj.dim_param)
}

export function readTensorProto(pbf: PbfReader, end?: number): TensorProto {
  const obj: TensorProto = {
    dims: [],
    data_type: 0,
    float_data: [],
    int32_data: [],
    int64_data: [],
    name: '',
    raw_data: undefined,
    double_data: [],
    uint64_data: [],
    external_data: [],
    data_location: 0,
  }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) pbf.readPackedVarint(obj.dims, true)
    else if (field === 2) obj.data_type = pbf.readVarint(true)
    else if (field === 4) pbf.readPackedFloat(obj.float_data)
    else if (field === 5) pbf.readPackedVarint(obj.int32_data, true)
    else if (field === 7) pbf.readPackedVarint(obj.int64_data, true)
    else if (field === 8) obj.name = pbf.readString()
    else if (field === 9) obj.raw_data = pbf.readBytes()
    else if (field === 10) pbf.readPackedDouble(obj.double_data)
    else if (field === 11) pbf.readPackedVarint(obj.uint64_data)
    else if (field === 13) obj.external_data.push(readStringStringEntryProto(pbf, pbf.readVarint() + pbf.pos))
    else if (field === 14) obj.data_location = pbf.readVarint(true)
  }
  return obj
}
export function writeTensorProto(obj: Draft<TensorProto>, pbf: PbfWriter): void {
  if (obj.dims) for (const item of obj.dims) pbf.writeVarintField(1, item)
  if (obj.data_type) pbf.writeVarintField(2, obj.data_type)
  if (obj.float_data) pbf.writePackedFloat(4, obj.float_data)
  if (obj.int32_data) pbf.writePackedVarint(5, obj.int32_data)
  if (obj.int64_data) pbf.writePackedVarint(7, obj.int64_data)
  if (obj.name) pbf.writeStringField(8, obj.name)
  if (obj.raw_data != null) pbf.writeBytesField(9, obj.raw_data)
  if (obj.double_data) pbf.writePackedDouble(10, obj.double_data)
  if (obj.uint64_data) pbf.writePackedVarint(11, obj.uint64_data)
  if (obj.external_data)
    for (const item of obj.external_data) pbf.writeMessage(13, writeStringStringEntryProto, item)
  if (obj.data_location) pbf.writeVarintField(14, obj.data_location)
}

export function readSparseTensorProto(pbf: PbfReader, end?: number): SparseTensorProto {
  const obj: SparseTensorProto = { values: undefined, indices: undefined, dims: [] }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.values = readTensorProto(pbf, pbf.readVarint() + pbf.pos)
    else if (field === 2) obj.indices = readTensorProto(pbf, pbf.readVarint() + pbf.pos)
    else if (field === 3) pbf.readPackedVarint(obj.dims, true)
  }
  return obj
}
export function writeSparseTensorProto(obj: Draft<SparseTensorProto>, pbf: PbfWriter): void {
  if (obj.values) pbf.writeMessage(1, writeTensorProto, obj.values)
  if (obj.indices) pbf.writeMessage(2, writeTensorProto, obj.indices)
  if (obj.dims) for (const item of obj.dims) pbf.writeVarintField(3, item)
}
