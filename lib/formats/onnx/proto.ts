/** The messages of onnx.proto and their readers. Generated: `npm run protobuf`. */

import type { MessageReader } from './message-reader.ts'

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

export function readModelProto(pbf: MessageReader, end?: number): ModelProto {
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

export function readOperatorSetIdProto(pbf: MessageReader, end?: number): OperatorSetIdProto {
  const obj: OperatorSetIdProto = { domain: '', version: 0 }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.domain = pbf.readString()
    else if (field === 2) obj.version = pbf.readVarint(true)
  }
  return obj
}

export function readStringStringEntryProto(pbf: MessageReader, end?: number): StringStringEntryProto {
  const obj: StringStringEntryProto = { key: '', value: '' }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.key = pbf.readString()
    else if (field === 2) obj.value = pbf.readString()
  }
  return obj
}

export function readFunctionProto(pbf: MessageReader, end?: number): FunctionProto {
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

export function readGraphProto(pbf: MessageReader, end?: number): GraphProto {
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

export function readNodeProto(pbf: MessageReader, end?: number): NodeProto {
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

export function readAttributeProto(pbf: MessageReader, end?: number): AttributeProto {
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

export function readValueInfoProto(pbf: MessageReader, end?: number): ValueInfoProto {
  const obj: ValueInfoProto = { name: '', type: undefined }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.name = pbf.readString()
    else if (field === 2) obj.type = readTypeProto(pbf, pbf.readVarint() + pbf.pos)
  }
  return obj
}

export function readTypeProto(pbf: MessageReader, end?: number): TypeProto {
  const obj: TypeProto = { tensor_type: undefined }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.tensor_type = readTensorTypeProto(pbf, pbf.readVarint() + pbf.pos)
  }
  return obj
}

export function readTensorTypeProto(pbf: MessageReader, end?: number): TensorTypeProto {
  const obj: TensorTypeProto = { elem_type: 0, shape: undefined }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.elem_type = pbf.readVarint(true)
    else if (field === 2) obj.shape = readTensorShapeProto(pbf, pbf.readVarint() + pbf.pos)
  }
  return obj
}

export function readTensorShapeProto(pbf: MessageReader, end?: number): TensorShapeProto {
  const obj: TensorShapeProto = { dim: [] }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.dim.push(readDimension(pbf, pbf.readVarint() + pbf.pos))
  }
  return obj
}

export function readDimension(pbf: MessageReader, end?: number): Dimension {
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

export function readTensorProto(pbf: MessageReader, end?: number): TensorProto {
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

export function readSparseTensorProto(pbf: MessageReader, end?: number): SparseTensorProto {
  const obj: SparseTensorProto = { values: undefined, indices: undefined, dims: [] }
  let field: number
  while ((field = pbf.nextField(end))) {
    if (field === 1) obj.values = readTensorProto(pbf, pbf.readVarint() + pbf.pos)
    else if (field === 2) obj.indices = readTensorProto(pbf, pbf.readVarint() + pbf.pos)
    else if (field === 3) pbf.readPackedVarint(obj.dims, true)
  }
  return obj
}
