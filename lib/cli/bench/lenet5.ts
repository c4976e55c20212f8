/** `kernelet bench`: LeNet-5 as users call it, from JavaScript. */

import type { Facts, Opened, Source } from '../../bench/benchmark.ts'
import { images } from '../../bench/inputs.ts'
import { drawBars } from '../../bench/report/bars.ts'
import { type Column, columns, formatTime, label } from '../../bench/report/markdown.ts'
import { measureStarts, startColumns } from '../../bench/start.ts'
import { type Sampler, timeCalls, timePromises } from '../../bench/stopwatch.ts'
import { type CompiledModel, compile } from '../../compile/compiled-model.ts'
import { LeNet5 } from '../../models/lenet5.ts'
import { KerneletError } from '../../util/errors.ts'
import { type Command, EXIT } from '../command.ts'
import { choices, counts, isas, measuring, oneOf, output, plot, usualThreads } from './options.ts'
import { Session } from './session.ts'

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
    input: { type: 'string', value: 'LIST', help: 'float32 (the default), uint8' },
    numerics: { type: 'string', value: 'LIST', help: 'exact (the default), fastest' },
    precision: { type: 'string', value: 'LIST', help: 'float32 (the default), int8' },
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
    const inputs = oneOf(INPUTS, values, 'input')
    const numbers = oneOf(NUMERICS, values, 'numerics')
    const precisions = oneOf(PRECISIONS, values, 'precision')
    const session = new Session(values)
    const model = LeNet5.pretrained()
    const { macs } = compile(model, { inputShape: IMAGE }).describe()
    const source = (variant: Variant): Source => {
      const { call, isa, batch, threads: count, input, numerics, precision } = variant
      const facts: Facts = {
        name:
          `lenet5/${call}/batch:${batch}/threads:${count}/isa:${isa}` +
          `${input === 'float32' ? '' : `/input:${input}`}${numerics === 'exact' ? '' : `/numerics:${numerics}`}` +
          (precision === 'float32' ? '' : `/precision:${precision}`),
        labels: { call, isa, input, numerics, precision },
        batch,
        threads: count,
        flops: 2 * macs * batch,
        peak: session.roof.peak(isa, count),
      }
      return { facts: [facts], open: () => open(model, variant) }
    }
    const variants = tiers.flatMap((isa) =>
      numbers.flatMap((numerics) =>
        precisions.flatMap((precision) =>
          inputs.flatMap((input) =>
            threads.flatMap((count) =>
              batches.map(
                (batch): Variant => ({ call: 'run', isa, batch, threads: count, input, numerics, precision }),
              ),
            ),
          ),
        ),
      ),
    )
    const sync = await session.measure(variants.map(source))
    const asynchronous = await session.measure([
      source({ ...variants[0]!, call: 'runAsync', batch: 1, threads: 1 }),
    ])
    const starts = await session.measure(measureStarts())
    const table: Column[] = [
      label('call'),
      label('isa', 'ISA'),
      ...(inputs.length > 1 || inputs[0] !== 'float32' ? [label('input')] : []),
      ...(numbers.length > 1 || numbers[0] !== 'exact' ? [label('numerics')] : []),
      ...(precisions.length > 1 || precisions[0] !== 'float32' ? [label('precision')] : []),
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
              name: [
                labels.isa,
                ...(labels.input === 'float32' ? [] : [labels.input]),
                ...(labels.numerics === 'exact' ? [] : [labels.numerics]),
                ...(labels.precision === 'float32' ? [] : [labels.precision]),
                `${count} thread${count === 1 ? '' : 's'}`,
              ].join(', '),
              value: imagesPerSecond,
            })),
          unit: 'images/s',
        }),
    )
    return EXIT.ok
  },
}

const INPUTS = ['float32', 'uint8'] as const
const NUMERICS = ['exact', 'fastest'] as const
const PRECISIONS = ['float32', 'int8'] as const

/** One way of calling the model. */
interface Variant {
  call: 'run' | 'runAsync'
  isa: string
  batch: number
  threads: number
  input: (typeof INPUTS)[number]
  numerics: (typeof NUMERICS)[number]
  precision: (typeof PRECISIONS)[number]
}

const IMAGE = [1, 28, 28]
const PIXELS = 784
const CLASSES = 10

/** Grey levels of an input type: the same pictures. */
function pictures(type: Variant['input'], batch: number): Float32Array | Uint8Array {
  const bytes = Uint8Array.from(images(batch, PIXELS), (value) => 255 * value)
  return type === 'uint8' ? bytes : Float32Array.from(bytes, (byte) => byte / 255)
}

function open(
  model: LeNet5,
  { call, isa, batch, threads, input: inputType, numerics, precision }: Variant,
): Opened {
  const calibration = precision === 'int8' ? pictures(inputType, 64) : undefined
  const net = compile(model, { inputShape: IMAGE, isa, threads, inputType, numerics, precision, calibration })
  check(model, net, isa, inputType, Math.min(batch, 33), precision === 'int8' ? 0.5 : 1e-4)
  const input = pictures(inputType, batch)
  const result = new Float32Array(batch * CLASSES)
  const sample: Sampler =
    call === 'run'
      ? timeCalls(() => void net.run(input, result))
      : timePromises(() => net.runAsync(input, result))
  return { sample: async (ms) => [await sample(ms)], close: () => net.dispose() }
}

/** Against single operations by im2col; 33 images are full blocks of lanes and a rest. */
function check(
  model: LeNet5,
  net: CompiledModel,
  isa: string,
  type: Variant['input'],
  batch: number,
  tolerance: number,
): void {
  using reference = compile(model, { inputShape: IMAGE, isa, algorithm: 'im2col', fuse: false, threads: 1 })
  const expected = reference.run(pictures('float32', batch))
  const actual = net.run(pictures(type, batch))
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN)) <= tolerance)) {
      throw new KerneletError(
        'ERR_INTERNAL',
        `LeNet-5 on ${isa}: score ${i} is ${actual[i]} where ${expected[i]} was expected; nothing was timed`,
      )
    }
  }
}
