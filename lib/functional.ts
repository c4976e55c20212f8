/**
 * The functions of `torch.nn.functional` in camelCase. On tensors with values each is one native call (the composed
 * ones a few); on the stand-ins of a trace each adds a node to the graph.
 *
 * All of them throw KerneletError: `ERR_ARGUMENT` for an argument of the wrong type or value, `ERR_SHAPE` for
 * shapes that do not fit, `ERR_UNSUPPORTED` for what a trace cannot record.
 */
export * from './functional/activations.ts'
export * from './functional/arithmetic.ts'
export * from './functional/convolution.ts'
export * from './functional/dropout.ts'
export * from './functional/loss.ts'
export * from './functional/normalization.ts'
export * from './functional/pooling.ts'
export * from './functional/shape.ts'
