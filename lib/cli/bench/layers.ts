/** `kernelet bench layers`: where the time of LeNet-5 goes, step by step. */

import type { Benchmark, Facts, Source } from '../../bench/benchmark.ts'
import { images } from '../../bench/inputs.ts'
import { columns, formatFigure, formatPercent, formatTime, label } from '../../bench/report/markdown.ts'
import { drawRoofline } from '../../bench/report/roofline.ts'
import { costsOf } from '../../bench/step-costs.ts'
import { timeSteps } from '../../bench/stopwatch.ts'
import { compile } from '../../compile/compiled-model.ts'
import type { ModelDescription } from '../../compile/description.ts'
import { LeNet5 } from '../../models/lenet5.ts'
import { elements } from '../../tensor/shape.ts'
import { type Command, EXIT } from '../command.ts'
import { choices, counts, isas, measuring, output, plot, words } from './options.ts'
import { type Section, Session } from './session.ts'

export const command: Command = {
  summary: 'measure the steps of LeNet-5: time share, GFLOP/s, what bounds them',
  usage: '[options]',
  description: `Measures every step of LeNet-5's plan on one thread, in C++ (plan.profile): nanoseconds for the whole batch,
share of the time, GFLOP/s, share of the measured peak, and arithmetic intensity: operations a byte of input,
output and weights, each counted once. A step is bound by memory where the roof over its intensity is the
bandwidth of the level that holds the model and the batch (L1, L2 …), by compute where it is the peak.`,
  options: {
    batch: { ...choices.batch, help: 'images a call; default 1' },
    isa: choices.isa,
    algorithm: { type: 'string', value: 'LIST', help: 'of the convolutions; default auto' },
    ...measuring,
    ...output,
    plot,
  },
  examples: [
    ['kernelet bench layers', 'one image'],
    ['kernelet bench layers --batch 1,64 --isa all --plot layers.svg', 'and the roofline as a picture'],
  ],
  positionals: false,
  async run(values) {
    const tiers = isas(values)
    const batches = counts(values, 'batch', [1])
    const algorithms = words(String(values.algorithm ?? 'auto'), 'algorithm')
    const session = new Session(values)
    const model = LeNet5.pretrained()
    const sections: Section[] = []
    for (const isa of tiers) {
      for (const batch of batches) {
        for (const algorithm of algorithms) {
          const { source, notes } = sourceOf(session, model, { isa, batch, algorithm })
          const benchmarks = await session.measure([source])
          sections.push(section(`batch ${batch}, ${algorithm} on ${isa}`, benchmarks, notes))
        }
      }
    }
    session.report(sections, (findings) =>
      drawRoofline(
        findings,
        "LeNet-5's layers on the roofline",
        findings.benchmarks
          .filter(({ flops }) => flops > 0)
          .map((b) => ({
            name: `${b.labels.step!.split(' + ')[0]}, batch ${b.batch}, ${b.labels.ran} ${b.labels.isa}`,
            intensity: b.counters.flops_per_byte!,
            gflops: b.gflops,
          })),
      ),
    )
    return EXIT.ok
  },
}

interface Configuration {
  isa: string
  batch: number
  algorithm: string
}

function sourceOf(
  session: Session,
  model: LeNet5,
  { isa, batch, algorithm }: Configuration,
): { source: Source; notes: string[] } {
  const options = { inputShape: [1, 28, 28], isa, algorithm, threads: 1 }
  using probe = compile(model, options)
  const description = probe.describe()
  const { steps, batchLanes } = description
  const peak = session.roof.peak(isa, 1)
  const level = session.roof.levelOf(workingSet(description, batch))
  const inLanes = batchLanes > 0 && batch >= batchLanes
  using block = compile(model, inLanes ? { ...options, algorithm: 'lanes' } : options)
  const ran = block.describe().steps
  const costs = steps.map(costsOf)
  const counters = costs.map(({ flops, weights, values }) => {
    const flops_per_byte = (flops * batch) / (weights + values * batch)
    return { flops_per_byte, roof_gflops: Math.min(peak, flops_per_byte * level.bandwidth) }
  })
  const facts = steps.map(
    (step, i): Facts => ({
      name: `lenet5/${step.names.join('+')}/batch:${batch}/isa:${isa}/algorithm:${algorithm}`,
      labels: {
        step: step.names.join(' + '),
        isa,
        algorithm,
        ran: ran[i]!.algorithm,
        tile: ran[i]!.tile,
        bound: counters[i]!.roof_gflops < peak ? `memory (${level.name})` : 'compute',
      },
      batch,
      threads: 1,
      flops: costs[i]!.flops * batch,
      peak,
    }),
  )
  const source: Source = {
    facts,
    open: () => {
      const net = compile(model, options)
      const input = images(batch, 784)
      return {
        sample: timeSteps((iterations) => net.profile(input, { iterations })),
        close: () => net.dispose(),
        counters,
      }
    },
  }
  return { source, notes: inLanes ? [] : fusedPrefetches(description) }
}

/** What has to stay in a cache from one call to the next. */
function workingSet(
  { weightBytes, arenaBytes, inputShape, outputShape }: ModelDescription,
  batch: number,
): number {
  return weightBytes + arenaBytes + 4 * batch * (elements(inputShape) + elements(outputShape))
}

/** A call is faster than the sum of its steps where one is fused into another as a prefetch. */
function fusedPrefetches({ steps }: ModelDescription): string[] {
  return steps
    .filter(({ during }) => during)
    .map(
      ({ names, during }) => `Measured apart; in a call ${names[0]} runs during ${during}, slice by slice.`,
    )
}

function section(title: string, benchmarks: readonly Benchmark[], notes: readonly string[]): Section {
  const total = benchmarks.reduce((sum, { p50 }) => sum + p50, 0)
  const flops = benchmarks.reduce((sum, b) => sum + b.flops, 0)
  const peak = benchmarks[0]?.peak ?? 0
  return {
    title,
    columns: [
      label('step'),
      label('ran'),
      label('tile'),
      columns.p50,
      columns.spread,
      { title: 'share', right: true, cell: ({ p50 }) => formatPercent(p50 / total) },
      columns.gflops,
      columns.share,
      { title: 'flop/byte', right: true, cell: ({ counters }) => formatFigure(counters.flops_per_byte ?? 0) },
      label('bound'),
    ],
    benchmarks,
    notes: [
      `All steps: ${formatTime(total)}, ${formatFigure(flops / total)} GFLOP/s, ${formatPercent(flops / total / peak)} of peak.`,
      ...notes,
    ],
  }
}
