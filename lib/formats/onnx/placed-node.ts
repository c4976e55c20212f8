/** Nodes where the model as a whole has them. */
import type { NodeProto } from './proto.ts'

/** A node where the model as a whole has it. */
export interface PlacedNode extends NodeProto {
  /** Version of the operator set it is written for, where that is not the model's: a function's own. */
  readonly opset?: number
  /** The last of its inputs, so many, are values around it that its own graphs read. */
  readonly captured?: number
}

export function identity(from: string, to: string): NodeProto {
  return {
    input: [from],
    output: [to],
    name: to,
    op_type: 'Identity',
    attribute: [],
    domain: '',
    overload: '',
  }
}
