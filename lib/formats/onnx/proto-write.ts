/** Writers of the messages of onnx.proto. Generated: `npm run protobuf`. */

import type { PbfWriter } from 'pbf'

import type {
  AttributeProto,
  Dimension,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OperatorSetIdProto,
  SparseTensorProto,
  StringStringEntryProto,
  TensorProto,
  TensorShapeProto,
  TensorTypeProto,
  TypeProto,
  ValueInfoProto,
} from './proto.ts'

/** A message to be written: what is left out is not written. */
export type Draft<T> = T extends (infer U)[]
  ? Draft<U>[]
  : T extends Uint8Array | string | number | undefined
    ? T
    : { [K in keyof T]?: Draft<T[K]> | undefined }

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

export function writeOperatorSetIdProto(obj: Draft<OperatorSetIdProto>, pbf: PbfWriter): void {
  if (obj.domain) pbf.writeStringField(1, obj.domain)
  if (obj.version) pbf.writeVarintField(2, obj.version)
}

export function writeStringStringEntryProto(obj: Draft<StringStringEntryProto>, pbf: PbfWriter): void {
  if (obj.key) pbf.writeStringField(1, obj.key)
  if (obj.value) pbf.writeStringField(2, obj.value)
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

export function writeGraphProto(obj: Draft<GraphProto>, pbf: PbfWriter): void {
  if (obj.node) for (const item of obj.node) pbf.writeMessage(1, writeNodeProto, item)
  if (obj.name) pbf.writeStringField(2, obj.name)
  if (obj.initializer) for (const item of obj.initializer) pbf.writeMessage(5, writeTensorProto, item)
  if (obj.input) for (const item of obj.input) pbf.writeMessage(11, writeValueInfoProto, item)
  if (obj.output) for (const item of obj.output) pbf.writeMessage(12, writeValueInfoProto, item)
  if (obj.sparse_initializer)
    for (const item of obj.sparse_initializer) pbf.writeMessage(15, writeSparseTensorProto, item)
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

export function writeValueInfoProto(obj: Draft<ValueInfoProto>, pbf: PbfWriter): void {
  if (obj.name) pbf.writeStringField(1, obj.name)
  if (obj.type) pbf.writeMessage(2, writeTypeProto, obj.type)
}

export function writeTypeProto(obj: Draft<TypeProto>, pbf: PbfWriter): void {
  if (obj.tensor_type) pbf.writeMessage(1, writeTensorTypeProto, obj.tensor_type)
}

export function writeTensorTypeProto(obj: Draft<TensorTypeProto>, pbf: PbfWriter): void {
  if (obj.elem_type) pbf.writeVarintField(1, obj.elem_type)
  if (obj.shape) pbf.writeMessage(2, writeTensorShapeProto, obj.shape)
}

export function writeTensorShapeProto(obj: Draft<TensorShapeProto>, pbf: PbfWriter): void {
  if (obj.dim) for (const item of obj.dim) pbf.writeMessage(1, writeDimension, item)
}

export function writeDimension(obj: Draft<Dimension>, pbf: PbfWriter): void {
  if (obj.dim_value != null) pbf.writeVarintField(1, obj.dim_value)
  if (obj.dim_param != null) pbf.writeStringField(2, obj.dim_param)
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

export function writeSparseTensorProto(obj: Draft<SparseTensorProto>, pbf: PbfWriter): void {
  if (obj.values) pbf.writeMessage(1, writeTensorProto, obj.values)
  if (obj.indices) pbf.writeMessage(2, writeTensorProto, obj.indices)
  if (obj.dims) for (const item of obj.dims) pbf.writeVarintField(3, item)
}
