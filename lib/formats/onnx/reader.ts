/**
 * Reading of ONNX models, which programs that read none need not load: scripts/build-ts.mjs has these functions load it
 * when one of them is first called, and what only some models need (operators/rare.ts, writing, inspecting) then.
 */
import { Evaluator } from './evaluator.ts'
import type { ModelProto } from './proto.ts'

export { decodeModel } from './decode.ts'
export { encodeGraph } from './encode.ts'
export { patternOf } from './evaluator.ts'
export { readOnnx } from './inspect.ts'

/** @throws KerneletError as `loadOnnx` */
export function evaluatorOf(
  model: ModelProto,
  file: string,
  folder: { path: string | undefined },
  output: string | undefined,
): Evaluator {
  return new Evaluator(model, file, folder, output)
}
