/** One convolution to measure: its numbers, its plan, and what must come out. */

import type { NativePlan } from '../backend/backend.ts'
import { native } from '../backend/node-addon.ts'
import type { Graph, GraphNode } from '../graph/graph.ts'
import { toNative } from '../graph/operation.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { uniform } from './inputs.ts'
import { naiveConv } from './naive.ts'
import { countFloats, countMacs, formatProblem, type Problem } from './problem.ts'

/** Of how many multiply-adds the reference may consist: beyond, a part of the outputs is checked. */
const REFERENCE_MACS = 1e8

/** Numbers for one problem, made on first use, and what must come out. */
export class Operands {
  readonly problem: Problem
  #made: { input: Float32Array; weight: Float32Array; bias: Float32Array } | undefined
  #expected: { step: number; values: Float64Array } | undefined

  constructor(problem: Problem) {
    this.problem = problem
  }

  get values(): { input: Float32Array; weight: Float32Array; bias: Float32Array } {
    const floats = countFloats(this.problem)
    // Weights small enough for sums of about 1, whatever the number of taps.
    const scale = Math.sqrt((3 * this.problem.oc) / floats.weight)
    this.#made ??= {
      input: uniform(floats.input, -1, 1, 1),
      weight: uniform(floats.weight, -scale, scale, 2),
      bias: uniform(floats.bias, -1, 1, 3),
    }
    return this.#made
  }

  /** @throws KerneletError `ERR_INTERNAL` at the first output that is wrong */
  check(output: Float32Array, what: string): void {
    const { problem } = this
    if (this.#expected === undefined) {
      const { input, weight, bias } = this.values
      // An odd step, or a prime one, visits every column of a power of two.
      const step = Math.max(1, Math.ceil(countMacs(problem) / REFERENCE_MACS)) | 1
      const values = new Float64Array(Math.ceil(output.length / step))
      for (let i = 0; i < values.length; i++) values[i] = naiveConv(problem, input, weight, bias, i * step)
      this.#expected = { step, values }
    }
    const { step, values } = this.#expected
    for (let i = 0; i < values.length; i++) {
      const [actual, expected] = [output[i * step] ?? Number.NaN, values[i] ?? Number.NaN]
      if (!(Math.abs(actual - expected) <= 1e-4 * Math.max(1, Math.abs(expected)))) {
        throw new KerneletError(
          'ERR_INTERNAL',
          `${what} on ${formatProblem(problem)}: output ${i * step} is ${actual} where ${expected} was ` +
            'expected; nothing was timed',
        )
      }
    }
  }
}

/** The convolution alone. */
export function graphOf({ problem: p, values }: Operands): Graph {
  const convolution = {
    op: 'conv2d',
    name: 'conv',
    inputs: [0],
    shape: [p.oc, p.oh, p.ow],
    weight: new Tensor(values.weight, [p.oc, p.ic / p.g, p.kh, p.kw]),
    bias: new Tensor(values.bias, [p.oc]),
    kernelSize: [p.kh, p.kw],
    stride: [p.sh, p.sw],
    dilation: [p.dh, p.dw],
    padding: [p.ph, p.pw, p.pb, p.pr],
    groups: p.g,
  } satisfies GraphNode
  return {
    nodes: [{ op: 'input', name: 'input', inputs: [], shape: [p.ic, p.ih, p.iw] }, convolution],
    output: 1,
  }
}

/** A plan of it. */
export function planOf(
  operands: Operands,
  isa: string | undefined,
  algorithm: string,
  threads: number,
): NativePlan {
  const { nodes, output } = graphOf(operands)
  return native().compile(
    { nodes: nodes.map((node) => toNative(node, node.name, node.inputs, node.shape)), output },
    { isa, algorithm, threads },
  )
}
