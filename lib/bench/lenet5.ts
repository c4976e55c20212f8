/** `kernelet bench`: LeNet-5 as users call it, from JavaScript. */
import { type Command, EXIT } from '../cli/command.ts'
import { type CompiledModel, compile } from '../compile.ts'
import { KerneletError } from '../errors.ts'
import { LeNet5 } from '../models/lenet5.ts'
import type { Facts } from './benchmark.ts'
import { images } from './inputs.ts'
import { type Column, columns, formatTime, label } from './markdown.ts'
import { choices, counts, isas, measuring, output, plot, usualThreads } from './options.ts'
import { drawBars } from './plot-bars.ts'
import { type Opened, Session, type Source } from './session.ts'
import { measureStarts, startColumns } from './start.ts'
import { type Sampler, timeCalls, timePromises } from './stopwatch.ts'

const BATCHES = [1, 8, 64, 512, 1024, 8192]

export const command: Command = {
  summary: 'measure LeNet-5, its layers, kernels and peers',
  usage: '[options]',
  description: `Measures LeNet-5 with the shipped weights through the JavaScript API: run() of single images and of
batches, runAsync(), a cold start in a process of its own, and the memory that it takes. Every time includes
the way from JavaScript. Results are checked against the same model layer by layer before anything is timed.`,
  options: {
    batch: { ...choices.batch, help: `images a call; default ${BATCHES.join(',')}` },
    threads: { ...choices.threads, help: 'threads of a call; default 1,2' },
    isa: choices.isa,
    ...measuring,
    ...output,
    plot,
  },
  examples: [
    ['kernelet bench', 'everything, in about half a minute'],
    ['kernelet bench --batch 1 --threads 1 --isa all', 'one image, on every instruction set of this machine'],
    ['kernelet bench --filter run/batch:1/ -o json > new.json', 'for kernelet bench compare'],
    ['kernelet bench kernels --help', 'the options of another kind of benchmark'],
  ],
  positionals: false,
  async run(values) {
    const tiers = isas(values)
    const batches = counts(values, 'batch', BATCHES)
    const threads = counts(values, 'threads', usualThreads())
    const session = new Session(values)
    const model = LeNet5.pretrained()
    const { macs } = compile(model, { inputShape: IMAGE }).describe()
    const source = (kind: Kind, isa: string, batch: number, count: number): Source => {
      const facts: Facts = {
        name: `lenet5/${kind}/batch:${batch}/threads:${count}/isa:${isa}`,
        labels: { call: kind, isa },
        batch,
        threads: count,
        flops: 2 * macs * batch,
        peak: session.roof.peak(isa, count),
      }
      return { facts: [facts], open: () => open(model, kind, isa, batch, count) }
    }
    const sync = await session.measure(
      tiers.flatMap((isa) =>
        threads.flatMap((count) => batches.map((batch) => source('run', isa, batch, count))),
      ),
    )
    const asynchronous = await session.measure([source('runAsync', tiers[0]!, 1, 1)])
    const starts = await session.measure(measureStarts())
    const table: Column[] = [
      label('call'),
      label('isa', 'ISA'),
      columns.threads,
      columns.batch,
      { title: 'a call, p50', right: true, cell: ({ p50 }) => formatTime(p50) },
      columns.p90,
      columns.p99,
      columns.min,
      columns.spread,
      columns.rate,
      columns.gflops,
      columns.share,
    ]
    session.report(
      [
        { title: 'LeNet-5', columns: table, benchmarks: [...sync, ...asynchronous] },
        { title: 'Start', columns: startColumns, benchmarks: starts },
      ],
      ({ benchmarks }) =>
        drawBars({
          title: 'LeNet-5, images a second',
          bars: benchmarks
            .filter(({ labels }) => labels.call === 'run')
            .map(({ labels, batch, threads: count, imagesPerSecond }) => ({
              group: `batch ${batch}`,
              name: `${labels.isa}, ${count} thread${count === 1 ? '' : 's'}`,
              value: imagesPerSecond,
            })),
          unit: 'images/s',
        }),
    )
    return EXIT.ok
  },
}

type Kind = 'run' | 'runAsync'

const IMAGE = [1, 28, 28]
const PIXELS = 784
const CLASSES = 10

function open(model: LeNet5, kind: Kind, isa: string, batch: number, threads: number): Opened {
  const net = compile(model, { inputShape: IMAGE, isa, threads })
  check(model, net, isa, Math.min(batch, 33))
  const input = images(batch, PIXELS)
  const result = new Float32Array(batch * CLASSES)
  const sample: Sampler =
    kind === 'run'
      ? timeCalls(() => void net.run(input, result))
      : timePromises(() => net.runAsync(input, result))
  return { sample: async (ms) => [await sample(ms)], close: () => net.dispose() }
}

/** Against single operations by im2col; 33 images are full blocks of lanes and a rest. */
function check(model: LeNet5, net: CompiledModel, isa: string, batch: number): void {
  const input = images(batch, PIXELS)
  using reference = compile(model, { inputShape: IMAGE, isa, algorithm: 'im2col', fuse: false, threads: 1 })
  const expected = reference.run(input)
  const actual = net.run(input)
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(actual[i]! - expected[i]!) <= 1e-4)) {
      throw new KerneletError(
        'ERR_INTERNAL',
        `LeNet-5 on ${isa}: score ${i} is ${actual[i]} where ${expected[i]} was expected; nothing was timed`,
      )
    }
  }
}
