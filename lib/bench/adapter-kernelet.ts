/** kernelet as a contender among its peers: through its public API, in a process like theirs. */
import type { CompileOptions } from '../compile/options.ts'
import { LeNet5 } from '../models/lenet5.ts'
import { version } from '../util/version.ts'
import type { Runtime, Task } from './contender.ts'

export async function open({ onnx, problem, network, threads }: Task): Promise<Runtime> {
  if (problem !== null) return openConvolution(problem, threads)
  if (network !== null) return openNetwork(onnx, { ...network, threads })
  const net = LeNet5.pretrained().compile({ inputShape: [1, 28, 28], threads })
  return {
    version,
    prepare(input, [batch]) {
      const output = new Float32Array(batch! * 10)
      return () => net.run(input, output)
    },
  }
}

async function openConvolution(text: string, threads: number): Promise<Runtime> {
  // only here: LeNet-5's cold start shall not pay for it
  const { Operands, planOf } = await import('./convolution.ts')
  const { parseProblem } = await import('./problem.ts')
  const problem = parseProblem(text)
  const plan = planOf(new Operands(problem), undefined, 'auto', threads)
  return {
    version,
    prepare(input) {
      const output = new Float32Array(problem.mb * plan.outputLength)
      plan.bind(input, output, problem.mb)
      return () => {
        plan.execute()
        return output
      }
    },
  }
}

/** As users run it: one output is an array of the model's own. Of several all are computed, and the first is given. */
async function openNetwork(file: string, options: CompileOptions): Promise<Runtime> {
  const { loadOnnx } = await import('../formats/onnx/load.ts')
  const { runnerOf } = await import('./networks/compiled.ts')
  return { version, prepare: runnerOf(loadOnnx(file), options) }
}
