/**
 * The ONNX operators, a third of the library's code: programs that read no ONNX model should not load them. In lib/ and
 * in bundles this is an import like any other; in dist/ scripts/build-ts.mjs puts a `require` of ./reader.js into its
 * place, which runs when the first model is read or written.
 */
import * as reader from './reader.ts'

export const onnx = (): typeof reader => reader
