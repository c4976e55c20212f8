/** Activations: what every step of a model makes of an input, one step after the other. */

import type { NativeCompileOptions } from '../backend/backend.ts'
import { native } from '../backend/node-addon.ts'
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { checkCost } from './cost.ts'
import { isConstant, isView } from './definition.ts'
import { graphGiven } from './given.ts'
import { type Graph, type GraphNode, graphShapes, trace } from './graph.ts'
import type { Model } from './model.ts'
import { attached, toNative } from './operation.ts'

/**
 * The output of every step of a model, by name, in the order they run: `input`, then layers by their path (`conv1`,
 * `block.0`), functions by theirs and a count (`relu_1`), as in `trace` and `summary`. Each step runs on its own;
 * the numbers are those of a compiled model, to the bit.
 *
 * @param x a batch: [n, ...the shape of one image]
 * @throws KerneletError `ERR_ARGUMENT` for something else than a model and a tensor; `ERR_SHAPE` when they do not
 *   fit; `ERR_UNSUPPORTED` for outputs of over a gibibyte that are much more than weights and input; otherwise as
 *   `trace`
 * @example
 * const found = activations(LeNet5.pretrained(), new Tensor(new Float32Array(784), [1, 1, 28, 28]))
 * [...found.keys()].slice(0, 3) // → ['input', 'conv1', 'relu_1']
 */
export function activations(model: Model | Graph, x: Tensor): Map<string, Tensor> {
  if (typeof model !== 'object' || model === null || !Tensor.is(x)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `activations: expected a Module or Graph and a Tensor but received ${show(model)} and ${show(x)}`,
    )
  }
  const [batch = 1, ...image] = x.shape
  const graph = graphGiven(model) ?? trace(model as Model, image)
  const { input } = graphShapes(graph)
  if (x.shape.length === 0 || !sameShape(image, input)) {
    throw new KerneletError(
      'ERR_SHAPE',
      `activations: expected a batch of ${formatShape(input)}, batch×${formatShape(input)}, but received ` +
        formatShape(x.shape),
    )
  }
  checkCost('activations', graph, batch)
  const values: Float32Array[] = []
  for (const [i, node] of graph.nodes.entries()) {
    values[i] =
      i === 0 ? attached(x, 'activations: input') : evaluate(graph, node, batch, (source) => values[source]!)
  }
  return new Map(
    graph.nodes.flatMap((node, i): [string, Tensor][] => {
      const { name, shape, flat } = node
      return isConstant(node) ? [] : [[name, new Tensor(values[i]!, flat ? [batch] : [batch, ...shape])]]
    }),
  )
}

/** One step's output from those of earlier ones. */
export function evaluate(
  { nodes }: Graph,
  node: GraphNode,
  batch: number,
  value: (source: number) => Float32Array,
  options: NativeCompileOptions = {},
): Float32Array {
  const inputs = node.inputs.map(value)
  if (isConstant(node) && node.weight) return repeated(attached(node.weight, node.name), batch)
  if (isView(node) && inputs[0]) return inputs[0]
  const operation = toNative(node, node.name, [...inputs.keys()], node.shape)
  const shapes = node.inputs.map((source) => nodes[source]!.shape)
  if (inputs.length === 1) return native().evaluate(operation, inputs, shapes, batch, options).data
  // The addon takes the further inputs for constants, the same for every image.
  const output = new Float32Array(batch * elements(node.shape))
  for (let image = 0; image < batch; image++) {
    const own = inputs.map((all) =>
      all.subarray((all.length / batch) * image, (all.length / batch) * (image + 1)),
    )
    output.set(native().evaluate(operation, own, shapes, 1, options).data, elements(node.shape) * image)
  }
  return output
}

/** The same for every image. */
function repeated(values: Float32Array, batch: number): Float32Array {
  const all = new Float32Array(values.length * batch)
  for (let image = 0; image < batch; image++) all.set(values, values.length * image)
  return all
}
