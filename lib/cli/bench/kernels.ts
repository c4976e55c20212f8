/** `kernelet bench kernels`: single convolutions, every algorithm on every instruction set. */

import type { NativePlan } from '../../backend/backend.ts'
import type { Benchmark, Facts, Source } from '../../bench/benchmark.ts'
import { Operands, planOf } from '../../bench/convolution.ts'
import { countFloats, countMacs, formatProblem } from '../../bench/problem.ts'
import { columns, formatPercent, label } from '../../bench/report/markdown.ts'
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
            {
              title: 'predicted',
              right: true,
              cell: ({ counters }) => formatPercent(counters.predicted ?? Number.NaN),
            },
          ],
          benchmarks,
          notes: [
            'GFLOP/s: 2 a multiply-add, without those that would meet the padding. predicted: % of peak, by the cost model.',
            ...lossOfChoice(benchmarks),
          ],
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

/** What the plan's own choice loses against the best that was measured of the same problem. */
function lossOfChoice(benchmarks: readonly Benchmark[]): string[] {
  const losses = benchmarks
    .filter(({ labels }) => labels.algorithm === 'auto')
    .flatMap((chosen) => {
      const same = benchmarks.filter(
        ({ labels, threads }) =>
          labels.problem === chosen.labels.problem &&
          labels.isa === chosen.labels.isa &&
          labels.algorithm !== 'fastest' &&
          labels.ran !== 'winograd' &&
          threads === chosen.threads,
      )
      if (same.length < 2) return []
      const best = same.reduce((a, b) => (b.p50 < a.p50 ? b : a))
      // the same kernel twice differs by noise alone
      const loss = best.labels.ran === chosen.labels.ran ? 0 : 1 - best.p50 / chosen.p50
      return [{ chosen, best, loss }]
    })
  if (losses.length === 0) return []
  const worst = losses.reduce((a, b) => (b.loss > a.loss ? b : a))
  const average = losses.reduce((sum, { loss }) => sum + loss, 0) / losses.length
  return [
    `auto loses ${formatPercent(average)} in the mean of ${losses.length} against the best that was measured; at worst ` +
      `${formatPercent(worst.loss)}: ${worst.chosen.labels.problem} by ${worst.chosen.labels.ran} instead of ` +
      `${worst.best.labels.ran} on ${worst.chosen.labels.isa}.`,
  ]
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
  const predicted = predictionOf(plan)
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
          counters: [
            {
              flops_per_byte: flops / (4 * (input + output + weight + bias)),
              ...(predicted > 0 && { predicted }),
            },
          ],
        }
      },
    },
  ]
}

/** The share of the peak that the whole plan should reach, reorders and all; NaN where the cost model has no word. */
function predictionOf(plan: NativePlan): number {
  const steps = plan.describe()
  const cost = steps.reduce((sum, step) => sum + (step.cost ?? Number.NaN), 0)
  return steps.reduce((sum, { macs }) => sum + macs, 0) / cost
}

/** The algorithm of the step, or `lanes` where the batch runs with its images in the lanes. */
function whatRan(plan: NativePlan, batch: number): string {
  if (plan.batchLanes > 0 && batch >= plan.batchLanes) return 'lanes'
  // (reorders around it compute nothing)
  return (plan.describe().find(({ macs }) => macs > 0) ?? plan.describe()[0]!).algorithm
}
