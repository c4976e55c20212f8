/** KERNELET_VERBOSE=1: compiled models tell on stderr what they do, a line a step, as oneDNN does. */
import type { NativePlan, StepDescription } from '../backend/backend.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/**
 * Whether it was asked for.
 *
 * @throws KerneletError `ERR_ARGUMENT` for another value than 0 or 1
 */
export function isVerbose(): boolean {
  const asked = process.env.KERNELET_VERBOSE ?? ''
  if (asked === '' || asked === '0') return false
  if (asked === '1') return true
  throw new KerneletError('ERR_ARGUMENT', `KERNELET_VERBOSE: expected 0 or 1 but received ${show(asked)}`)
}

/** kernelet_verbose,compile,ISA,MODEL,bytes of weights,bytes of working memory,milliseconds */
export function tellCompiled(plan: NativePlan, shapes: string, ms: number): void {
  tell('compile', [plan.isa, shapes, plan.weightBytes, plan.arenaBytes, ms.toFixed(3)])
}

/**
 * kernelet_verbose,run,ISA,operations,algorithm,layout,fused,problem,images,name,milliseconds: of each step on its own, on
 * one thread.
 *
 * @param ns nanoseconds by step
 */
export function tellRun(steps: readonly StepDescription[], ns: ArrayLike<number>, batch: number): void {
  steps.forEach((step, i) => {
    const algorithm = step.strip ? `${step.algorithm}:strip${step.strip}` : step.algorithm
    const what = [step.isa, step.ops.join('+'), algorithm, step.layout, step.epilogue, step.problem]
    tell('run', [...what, `mb${batch}`, step.names.join('+'), ((ns[i] ?? 0) / 1e6).toFixed(6)])
  })
}

/** Names come from files: nothing of them shall end a field or a line, or steer a terminal. */
function tell(what: string, fields: readonly (string | number)[]): void {
  const line = fields.map((field) => String(field).replace(/[,\p{C}\p{Zl}\p{Zp}]/gu, '_'))
  process.stderr.write(`kernelet_verbose,${what},${line.join(',')}\n`)
}
