/** `kernelet bench kernels`: single convolutions, every algorithm on every instruction set. */

import type { NativePlan } from '../../backend/backend.ts'
import type { Benchmark, Facts, Source } from '../../bench/benchmark.ts'
import { Operands, planOf } from '../../bench/convolution.ts'
import { countFloats, countMacs, formatProblem } from '../../bench/problem.ts'
import { columns, label } from '../../bench/report/markdown.ts'
import { drawRoofline } from '../../bench/report/roofline.ts'
import { timeNatively } from '../../bench/stopwatch.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { choices, counts, isas, measuring, output, plot, words } from './options.ts'
import { Session, skipped } from './session.ts'
import { problemsOf } from './shapes.ts'

export const command: Command = {
  summary: 'measure convolutions: algorithms × instruction sets × shapes',
  usage: '--problem LIST | --shapes FILE [options]',
  description: `Measures single convolutions with bias. A problem is a string such as mb1ic6ih12oc16oh8kh5 (mb images,
g groups, ic oc channels, ih iw oh ow planes, kh kw window, sh sw stride, dh dw dilation from 1, ph pw
padding); what is left out follows. Each result is compared with the definition of the convolution before
anything is timed. A time is that of the plan's whole run, taken in C++: no JavaScript is in it.`,
  options: {
    problem: { type: 'string', value: 'LIST', help: 'problem strings' },
    shapes: { type: 'string', value: 'FILE', help: 'a file of them, one a line (see bench/shapes)' },
    isa: choices.isa,
    algorithm: { type: 'string', value: 'LIST', help: 'im2col, direct, lanes …; default: auto' },
    batch: { ...choices.batch, help: 'images a call, instead of the mb of the problems' },
    threads: { ...choices.threads, help: 'threads of a call; default 1' },
    ...measuring,
    ...output,
    plot,
  },
  examples: [
    [
      'kernelet bench kernels --problem ic6ih12oc16kh5 --isa sse,avx2 --algorithm im2col,direct',
      'one layer four ways',
    ],
    [
      'kernelet bench kernels --shapes bench/shapes/resnet50.txt --plot roofline.svg',
      'a network, with a picture',
    ],
  ],
  positionals: false,
  async run(values) {
    const problems = problemsOf(values)
    if (problems.length === 0) throw new UsageError('bench kernels: expected --problem or --shapes')
    const tiers = isas(values)
    const algorithms = words(String(values.algorithm ?? 'auto'), 'algorithm')
    const threads = counts(values, 'threads', [1])
    const session = new Session(values)
    const benchmarks: Benchmark[] = []
    for (const problem of problems) {
      const operands = new Operands(problem)
      const sources = tiers.flatMap((isa) =>
        algorithms.flatMap((algorithm) =>
          threads.flatMap((count) => sourceOf(session, operands, isa, algorithm, count)),
        ),
      )
      // a problem at a time: its algorithms take turns, and its memory goes before the next one's comes
      benchmarks.push(...(await session.measure(sources)))
    }
    session.report(
      [
        {
          title: 'Convolutions',
          columns: [
            ...(problems.some((problem) => problem.name !== '') ? [label('shape')] : []),
            label('problem'),
            label('isa', 'ISA'),
            label('algorithm'),
            label('ran'),
            columns.threads,
            columns.p50,
            columns.min,
            columns.spread,
            columns.gflops,
            columns.share,
          ],
          benchmarks,
          notes: ['GFLOP/s: 2 a multiply-add, without those that would meet the padding.'],
        },
      ],
      (findings) =>
        drawRoofline(
          findings,
          'Convolutions on the roofline',
          benchmarks.map((b) => ({
            name: `${inWords(b)}, ${b.labels.ran} ${b.labels.isa}${b.threads > 1 ? `, ${b.threads} threads` : ''}`,
            intensity: b.counters.flops_per_byte!,
            gflops: b.gflops,
          })),
        ),
    )
    return EXIT.ok
  },
}

/** The name of a shape where it has one, else its problem string. */
function inWords({ labels, batch }: Benchmark): string {
  return labels.shape ? `${labels.shape}${batch > 1 ? ` × ${batch}` : ''}` : labels.problem!
}

/** Names that leave the algorithm to the plan. */
const FREE_CHOICE: readonly string[] = ['auto', 'fastest']

function sourceOf(
  session: Session,
  operands: Operands,
  isa: string,
  algorithm: string,
  threads: number,
): Source[] {
  const { problem } = operands
  const plan = planOf(operands, isa, algorithm, threads)
  const ran = whatRan(plan, problem.mb)
  plan.dispose()
  const name = formatProblem(problem)
  if (!FREE_CHOICE.includes(algorithm) && ran !== algorithm && !ran.startsWith(`${algorithm}-`)) {
    skipped(`${name} by ${algorithm} on ${isa}`, `it does not fit; the plan would take ${ran}`)
    return []
  }
  const { input, output, weight, bias } = countFloats(problem)
  const flops = 2 * countMacs(problem)
  const facts: Facts = {
    name: `conv/${name}/isa:${isa}/algorithm:${algorithm}/threads:${threads}`,
    labels: { shape: problem.name, problem: name, isa, algorithm, ran },
    batch: problem.mb,
    threads,
    flops,
    peak: session.roof.peak(isa, threads),
  }
  return [
    {
      facts: [facts],
      open: () => {
        const plan = planOf(operands, isa, algorithm, threads)
        const from = operands.values.input
        const to = new Float32Array(output)
        plan.bind(from, to, problem.mb)
        plan.execute()
        operands.check(to, `${ran} on ${isa}`)
        const sample = timeNatively((iterations) => plan.time(from, to, problem.mb, iterations))
        return {
          sample: async (ms) => [await sample(ms)],
          close: () => plan.dispose(),
          counters: [{ flops_per_byte: flops / (4 * (input + output + weight + bias)) }],
        }
      },
    },
  ]
}

/** The algorithm of the step, or `lanes` where the batch runs with its images in the lanes. */
function whatRan(plan: NativePlan, batch: number): string {
  return plan.batchLanes > 0 && batch >= plan.batchLanes ? 'lanes' : plan.describe()[0]!.algorithm
}
