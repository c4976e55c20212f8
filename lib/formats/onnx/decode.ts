/** The bytes of a model as messages. A file is not trusted: what does not fit its lengths is refused. */
import { KerneletError, messageOf } from '../../util/errors.ts'
import { kindOf } from '../file-kind.ts'
import { MessageReader } from './message-reader.ts'
import { type GraphProto, type ModelProto, readModelProto } from './proto.ts'

/** Graphs in nodes of graphs. */
const mostDepth = 16

/**
 * @param name what an error calls the file
 * @throws KerneletError `ERR_FORMAT` for bytes that are no ONNX model
 */
export function decodeModel(bytes: Uint8Array, name: string): ModelProto {
  let model: ModelProto
  try {
    model = readModelProto(new MessageReader(bytes))
  } catch (cause) {
    throw otherFile(bytes, name, cause) ?? notOnnx(name, messageOf(cause), cause)
  }
  if (!model.graph) throw otherFile(bytes, name) ?? notOnnx(name, 'it has no graph')
  checkDepth(model, name)
  return model
}

/** Of bytes that were read in vain. */
function otherFile(bytes: Uint8Array, name: string, cause?: unknown): KerneletError | undefined {
  const kind = kindOf(bytes)
  return kind === undefined
    ? undefined
    : new KerneletError('ERR_FORMAT', `${name} is not an ONNX model but ${kind}`, { cause })
}

/** Whoever goes through graphs in graphs may do so by calling itself. */
function checkDepth(model: ModelProto, name: string): void {
  const inside = ({ node }: Pick<GraphProto, 'node'>) => {
    const graphs: GraphProto[] = []
    for (const { attribute } of node) for (const { g } of attribute) if (g) graphs.push(g)
    return graphs
  }
  let graphs: Pick<GraphProto, 'node'>[] = [model.graph as GraphProto, ...model.functions]
  for (let depth = 0; graphs.length > 0; depth++) {
    if (depth > mostDepth) throw notOnnx(name, `its graphs lie in each other more than ${mostDepth} deep`)
    graphs = graphs.flatMap(inside)
  }
}

export function notOnnx(name: string, reason: string, cause?: unknown): KerneletError {
  return new KerneletError('ERR_FORMAT', `${name} is not a valid ONNX model: ${reason}`, { cause })
}
