/** `kernelet bench peers`: the same network in other runtimes, side by side. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Benchmark, Source } from '../../bench/benchmark.ts'
import { Child } from '../../bench/child.ts'
import type { Task } from '../../bench/contender.ts'
import { graphOf, Operands } from '../../bench/convolution.ts'
import { images } from '../../bench/inputs.ts'
import { countMacs, formatProblem, type Problem } from '../../bench/problem.ts'
import { drawBars } from '../../bench/report/bars.ts'
import { columns, label } from '../../bench/report/markdown.ts'
import { startColumns } from '../../bench/start.ts'
import { geometricMean, median } from '../../bench/statistics.ts'
import { compile } from '../../compile/compiled-model.ts'
import { saveOnnx } from '../../formats/onnx/save.ts'
import { LeNet5 } from '../../models/lenet5.ts'
import { KerneletError } from '../../util/errors.ts'
import { packageFile } from '../../util/package-files.ts'
import { type Command, EXIT } from '../command.ts'
import { choices, counts, measuring, output, plot, usualThreads } from './options.ts'
import { type Contender, INSTALL, installed, KERNELET, race, type Trial } from './race.ts'
import { type Section, Session } from './session.ts'
import { problemsOf } from './shapes.ts'

export const command: Command = {
  summary: 'measure LeNet-5 in other runtimes beside kernelet',
  usage: '[options]',
  description: `Measures LeNet-5 with the same weights and inputs in kernelet and in the runtimes installed under bench/peers,
each in a process of its own, in turns (A B C A B C …), through their public JavaScript API. Results must
agree within 1e-4 before anything is timed. What is not installed is skipped; to install all:
${INSTALL}
With --problem or --shapes: single convolutions instead, in the runtimes that read ONNX.`,
  options: {
    batch: { ...choices.batch, help: 'images a call; default 1,64,1024' },
    threads: { ...choices.threads, help: 'threads of a call; default 1,2' },
    peer: { type: 'string', value: 'LIST', help: 'only these, by the name of their adapter' },
    problem: { type: 'string', value: 'LIST', help: 'convolutions instead of LeNet-5' },
    shapes: { type: 'string', value: 'FILE', help: 'a file of them, one a line (see bench/shapes)' },
    ...measuring,
    ...output,
    plot,
  },
  examples: [
    ['kernelet bench peers', 'everything that is installed'],
    ['kernelet bench peers --batch 1 --threads 1 --peer onnxruntime-node', 'the shortest way to one ratio'],
    ['kernelet bench peers --shapes bench/shapes/resnet50.txt --peer onnxruntime-node', 'convolutions'],
  ],
  positionals: false,
  async run(values) {
    const problems = problemsOf(values)
    const batches = counts(values, 'batch', [1, 64, 1024])
    const threads = counts(values, 'threads', problems.length > 0 ? [1] : usualThreads())
    const contenders = [KERNELET, ...(await installed(values, problems.length > 0))]
    const session = new Session(values)
    const scratch = mkdtempSync(join(tmpdir(), 'kernelet-bench-'))
    try {
      const sections =
        problems.length > 0
          ? await convolutions(session, contenders, problems, threads, scratch)
          : await lenet5(session, contenders, batches, threads, scratch)
      session.report(sections, ({ benchmarks, host }) => bars(benchmarks, host.cpu))
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
    return EXIT.ok
  },
}

/** @throws KerneletError `ERR_INTERNAL` at the first value that differs */
function compareWith(expected: Float32Array): Trial['check'] {
  return (output, who) => {
    for (let i = 0; i < expected.length; i++) {
      if (!(Math.abs((output[i] ?? Number.NaN) - (expected[i] ?? Number.NaN)) <= 1e-4)) {
        throw new KerneletError(
          'ERR_INTERNAL',
          `${who}: value ${i} is ${output[i]} where kernelet has ${expected[i]}; nothing was timed`,
        )
      }
    }
  }
}

async function lenet5(
  session: Session,
  contenders: readonly Contender[],
  batches: readonly number[],
  threads: readonly number[],
  scratch: string,
): Promise<Section[]> {
  const model = LeNet5.pretrained()
  using net = compile(model, { inputShape: [1, 28, 28], threads: 1 })
  const { macs } = net.describe()
  const onnx = join(scratch, 'lenet5.onnx')
  saveOnnx(model, onnx, { inputShape: [1, 28, 28] })
  const weights = packageFile('models/lenet5-mnist.safetensors')
  const trialOf = (batch: number): Trial => ({
    key: `peers/lenet5/batch:${batch}`,
    label: `batch ${batch}`,
    batch,
    flops: 2 * macs * batch,
    shape: [batch, 1, 28, 28],
    input: () => images(batch, 784),
    check: compareWith(net.run(images(batch, 784)).slice()),
  })
  const trials = batches.map(trialOf)
  const task = (count: number): Task => ({ onnx, weights, problem: null, network: null, threads: count })
  const benchmarks: Benchmark[] = []
  for (const count of threads) {
    const peak = session.roof.peak(session.host.isa.chosen, count)
    benchmarks.push(...(await race(session, contenders, task(count), trials, { peak: () => peak, scratch })))
  }
  const starts = await session.measure([startsOf(contenders, task(1), trialOf(1))])
  return [
    { title: 'LeNet-5 beside its peers', columns: [columns.batch, ...raceColumns(benchmarks)], benchmarks },
    { title: 'Start: from the import to the first result', columns: startColumns, benchmarks: starts },
  ]
}

async function convolutions(
  session: Session,
  contenders: readonly Contender[],
  problems: readonly Problem[],
  threads: readonly number[],
  scratch: string,
): Promise<Section[]> {
  const onnx = join(scratch, 'convolution.onnx')
  const benchmarks: Benchmark[] = []
  for (const problem of problems) {
    const operands = new Operands(problem)
    saveOnnx(graphOf(operands), onnx)
    const text = formatProblem(problem)
    const trial: Trial = {
      key: `peers/conv/${text}`,
      label: problem.name === '' ? text : `${problem.name} ${text}`,
      batch: problem.mb,
      flops: 2 * countMacs(problem),
      shape: [problem.mb, problem.ic, problem.ih, problem.iw],
      input: () => operands.values.input,
      check: (output, who) => operands.check(output, who),
    }
    for (const count of threads) {
      const task: Task = { onnx, weights: '', problem: text, network: null, threads: count }
      const peak = session.roof.peak(session.host.isa.chosen, count)
      benchmarks.push(...(await race(session, contenders, task, [trial], { peak: () => peak, scratch })))
    }
  }
  const notes = summaries(benchmarks)
  return [
    {
      title: 'Convolutions beside their peers',
      columns: [label('problem'), ...raceColumns(benchmarks)],
      benchmarks,
      notes,
    },
  ]
}

/** Fresh processes: how long to the first result, and what memory they hold beyond an idle one. */
function startsOf(contenders: readonly Contender[], task: Task, trial: Trial): Source {
  const idle: number[] = []
  const resident = contenders.map((): number[] => [])
  const open = async (name: string, adapter: string | null | undefined) => {
    const child = new Child(name)
    try {
      const { shape } = trial
      return await child.ask({ do: 'open', adapter: adapter ?? null, task, input: trial.input(), shape })
    } finally {
      child.stop()
    }
  }
  return {
    facts: contenders.map(({ name }) => ({
      name: `start/${name}`,
      labels: { what: name },
      ...{ batch: 1, threads: 1, flops: 0, peak: 0 },
    })),
    open: () => ({
      sample: async () => {
        idle.push((await open('idle', null)).rss)
        const times: number[] = []
        for (const [i, { name, adapter }] of contenders.entries()) {
          const { ms, rss } = await open(name, adapter)
          resident[i]!.push(rss)
          times.push(ms)
        }
        return times.map((ms) => ({ iterations: 1, samples: Float64Array.of(ms * 1e6), cpu: 0 }))
      },
      close: () => {},
      counters: resident.map((sizes) => ({
        get rss_over_node_bytes() {
          return median(sizes) - median(idle)
        },
      })),
    }),
  }
}

/** Of the same problem and threads: how many times faster kernelet is, by the medians. */
function ratio(benchmarks: readonly Benchmark[], one: Benchmark): number {
  const own = benchmarks.find(
    ({ labels, threads }) =>
      labels.contender === 'kernelet' && labels.problem === one.labels.problem && threads === one.threads,
  )
  return own ? one.p50 / own.p50 : Number.NaN
}

function raceColumns(benchmarks: readonly Benchmark[]) {
  return [
    columns.threads,
    label('runtime'),
    columns.p50,
    columns.p90,
    columns.p99,
    columns.spread,
    columns.rate,
    columns.gflops,
    columns.share,
    {
      title: 'time / kernelet',
      right: true,
      cell: (one: Benchmark) => {
        const times = ratio(benchmarks, one)
        return one.labels.contender === 'kernelet' ? '' : Number.isNaN(times) ? '–' : `${times.toFixed(2)}×`
      },
    },
  ]
}

/** Over all problems, a line a peer. */
function summaries(benchmarks: readonly Benchmark[]): string[] {
  const names = [...new Set(benchmarks.map(({ labels }) => labels.contender!))].filter(
    (name) => name !== 'kernelet',
  )
  return names.map((name) => {
    const ratios = benchmarks
      .filter(({ labels }) => labels.contender === name)
      .map((one) => ratio(benchmarks, one))
      .filter((value) => !Number.isNaN(value))
    const worst = Math.min(...ratios)
    return `${name}: time / kernelet ${geometricMean(ratios).toFixed(2)}× (geometric mean), ${worst.toFixed(2)}× at worst.`
  })
}

function bars(benchmarks: readonly Benchmark[], cpu: string): string {
  const measured = benchmarks.filter(({ flops }) => flops > 0)
  const single = measured.every(({ labels }) => labels.problem?.startsWith('batch'))
  return drawBars({
    title: single ? 'LeNet-5, images a second' : 'Convolutions, GFLOP/s',
    subtitle: cpu,
    unit: single ? 'images/s' : 'GFLOP/s',
    bars: measured.map(({ labels, threads, imagesPerSecond, gflops }) => ({
      group: `${labels.problem}, ${threads} thread${threads === 1 ? '' : 's'}`,
      name: labels.runtime!,
      value: single ? imagesPerSecond : gflops,
      other: labels.contender !== 'kernelet',
    })),
  })
}
