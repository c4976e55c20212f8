/** Reading and writing of ONNX models with all operators: what later.ts loads. */
export { decodeModel } from './decode.ts'
export { GraphWriter } from './graph-writer.ts'
export { readOnnx } from './inspect.ts'
export { writers } from './operators/index.ts'
export { nodesFor, prepare } from './prepare.ts'
export { runNode } from './prepared-node.ts'
