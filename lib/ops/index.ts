/**
 * Every operation, a file a family: its definition, the functions of `torch.nn.functional` in camelCase, and their
 * layers. What the files listed here export is public. On tensors with values each is one native call (the composed ones a few);
 * on the stand-ins of a trace each adds a node to the graph.
 *
 * All of them throw KerneletError: `ERR_ARGUMENT` for an argument of the wrong type or value, `ERR_SHAPE` for
 * shapes that do not fit, `ERR_UNSUPPORTED` for what a trace cannot record.
 */
export * from './activations.ts'
export * from './arithmetic.ts'
export * from './conv-transpose.ts'
export * from './convolution.ts'
export * from './dropout.ts'
export * from './elementwise.ts'
export * from './linear.ts'
export * from './loss.ts'
export * from './matmul.ts'
export * from './more-activations.ts'
export * from './movement.ts'
export * from './normalization.ts'
export * from './pixel-shuffle.ts'
export * from './pooling.ts'
export * from './recurrent.ts'
export * from './row-normalization.ts'
export * from './upsampling.ts'
