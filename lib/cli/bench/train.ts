/** `kernelet bench train`: epochs of LeNet-5, as `Trainer.fit` does them. */

import type { Facts, Opened, Source } from '../../bench/benchmark.ts'
import { drawBars } from '../../bench/report/bars.ts'
import { type Column, columns, formatTime, label } from '../../bench/report/markdown.ts'
import { compile } from '../../compile/compiled-model.ts'
import { handwriting } from '../../data/augment.ts'
import { Dataset } from '../../data/dataset.ts'
import { LeNet5 } from '../../models/lenet5.ts'
import { Generator, manualSeed } from '../../tensor/random.ts'
import { Adam, AdamW, type Optimizer, SGD } from '../../train/optimizers.ts'
import { Trainer } from '../../train/trainer.ts'
import { KerneletError } from '../../util/errors.ts'
import { type Command, UsageError } from '../command.ts'
import { dataOption, readData } from '../data.ts'
import { choices, count, counts, isas, measuring, oneOf, output, plot, usualThreads } from './options.ts'
import { Session } from './session.ts'

const { 'min-time': _, ...repeating } = measuring

export const command: Command = {
  summary: 'epochs of training LeNet-5',
  usage: '[options]',
  description: `Measures whole epochs of Trainer.fit: order drawn, images gathered, forward, loss, backward, optimizer. A
multiply-add of the forward pass counts three times, for the gradients at the weights and at the input too (the
first layer's input needs none: it counts all the same). Images are made up unless --data names some. Before
anything is timed, every number of threads must come to the same weights, to the bit.`,
  options: {
    data: dataOption,
    images: { type: 'string', value: 'N', help: 'images an epoch, made up; default 60000, as MNIST has' },
    batch: { ...choices.batch, help: 'images a step; default 64' },
    threads: { ...choices.threads, help: 'default 1,2' },
    isa: choices.isa,
    optimizer: { type: 'string', value: 'LIST', help: 'adam (the default), adamw, sgd' },
    augment: { type: 'string', value: 'LIST', help: 'none (the default), handwriting' },
    ...repeating,
    ...output,
    plot,
  },
  examples: [
    ['kernelet bench train', 'one epoch of 60,000 images on 1 and 2 threads, ten times'],
    ['kernelet bench train --data mnist --repetitions 5', "MNIST's own images"],
    ['kernelet bench train --augment none,handwriting --threads 2', 'what augmentation costs'],
  ],
  positionals: false,
  async run(values) {
    const tiers = isas(values)
    const batches = counts(values, 'batch', [64])
    const threads = counts(values, 'threads', usualThreads())
    const optimizers = oneOf(OPTIMIZERS, values, 'optimizer')
    const augments = oneOf(AUGMENTS, values, 'augment')
    if (values.data !== undefined && values.images !== undefined) {
      throw new UsageError('--images makes images up; it contradicts --data')
    }
    const data =
      values.data === undefined
        ? madeUp(count(String(values.images ?? 60_000), 'images'))
        : (await readData(values, 'train'))?.data
    if (!data) throw new KerneletError('ERR_IO', `${values.data} has a test part only`)
    const session = new Session(values)
    const { macs } = compile(new LeNet5(data.shape[0], data.classes.length), {
      inputShape: data.shape,
    }).describe()
    const variants = tiers.flatMap((isa) =>
      optimizers.flatMap((optimizer) =>
        augments.flatMap((augment) =>
          batches.flatMap((batch) =>
            threads.map((workers): Variant => ({ isa, optimizer, augment, batch, threads: workers })),
          ),
        ),
      ),
    )
    const source = (variant: Variant): Source => {
      const { isa, optimizer, augment, batch, threads: workers } = variant
      const facts: Facts = {
        name:
          `lenet5/train/optimizer:${optimizer}/batch:${batch}/threads:${workers}/isa:${isa}` +
          `${augment === 'none' ? '' : `/augment:${augment}`}`,
        labels: { isa, optimizer, augment, step: String(batch) },
        batch: data.length,
        threads: workers,
        flops: 3 * 2 * macs * data.length,
        peak: session.roof.peak(isa, workers),
      }
      return { facts: [facts], open: () => open(data, variant) }
    }
    const benchmarks = await session.measure(variants.map(source))
    const table: Column[] = [
      label('isa', 'ISA'),
      label('optimizer'),
      ...(augments.length > 1 || augments[0] !== 'none' ? [label('augment')] : []),
      { ...label('step', 'batch'), right: true },
      columns.threads,
      { title: 'an epoch, p50', right: true, cell: ({ p50 }) => formatTime(p50) },
      columns.min,
      columns.spread,
      columns.rate,
      columns.gflops,
      columns.share,
    ]
    return session.report(
      [{ title: `Training LeNet-5 on ${data.length} images`, columns: table, benchmarks }],
      (findings) =>
        drawBars({
          title: 'Training LeNet-5, images a second',
          bars: findings.benchmarks.map(({ labels, threads: workers, imagesPerSecond }) => ({
            group: `batch ${labels.step}, ${labels.optimizer}`,
            name: [
              labels.isa,
              ...(labels.augment === 'none' ? [] : [labels.augment]),
              `${workers} thread${workers === 1 ? '' : 's'}`,
            ].join(', '),
            value: imagesPerSecond,
          })),
          unit: 'images/s',
        }),
    )
  },
}

const OPTIMIZERS = ['adam', 'adamw', 'sgd'] as const
const AUGMENTS = ['none', 'handwriting'] as const

interface Variant {
  isa: string
  optimizer: (typeof OPTIMIZERS)[number]
  augment: (typeof AUGMENTS)[number]
  batch: number
  threads: number
}

const makers: Readonly<Record<Variant['optimizer'], () => Optimizer>> = {
  adam: () => new Adam(),
  adamw: () => new AdamW(),
  sgd: () => new SGD({ lr: 0.01, momentum: 0.9 }),
}

/** As many pixels are empty as in MNIST (four of five), in the shape and classes of MNIST. */
function madeUp(length: number): Dataset {
  const generator = new Generator(7)
  const images = Uint8Array.from({ length: length * 784 }, () => {
    const bits = generator.random()
    return bits % 5 === 0 ? bits >>> 24 : 0
  })
  const labels = Uint8Array.from({ length }, () => generator.random() % 10)
  const classes = Array.from({ length: 10 }, (_, i) => String(i))
  return new Dataset({ images, labels, shape: [1, 28, 28], classes })
}

async function open(data: Dataset, variant: Variant): Promise<Opened> {
  await check(data, variant)
  const { trainer } = make(data, variant, variant.threads)
  const epoch = async (): Promise<number> => {
    let seconds = 0
    for await (const report of trainer.fit(data, { batchSize: variant.batch, health: false })) {
      seconds = report.seconds
    }
    return 1e9 * seconds
  }
  await epoch()
  return {
    sample: async () => {
      const since = process.cpuUsage()
      const samples = Float64Array.of(await epoch())
      const { user, system } = process.cpuUsage(since)
      return [{ iterations: 1, samples, cpu: (user + system) * 1000 }]
    },
    close: () => trainer.dispose(),
  }
}

function make(data: Dataset, { isa, optimizer, augment }: Variant, threads: number) {
  manualSeed(1)
  const model = new LeNet5(data.shape[0], data.classes.length)
  const options = { optimizer: makers[optimizer](), seed: 1, isa, threads }
  return {
    model,
    trainer: new Trainer(model, { ...options, ...(augment !== 'none' && { augment: handwriting }) }),
  }
}

/** An epoch of a few images: the same weights on one thread and on as many as will be timed. */
async function check(data: Dataset, variant: Variant): Promise<void> {
  if (variant.threads === 1) return
  const few = data.subset(Array.from({ length: Math.min(data.length, 1000) }, (_, i) => i))
  const [one, several] = await Promise.all(
    [1, variant.threads].map(async (threads) => {
      const { model, trainer } = make(data, variant, threads)
      for await (const _ of trainer.fit(few, { batchSize: variant.batch, health: false }));
      trainer.dispose()
      return model.stateDict()
    }),
  )
  for (const [name, { data: expected }] of one!) {
    const actual = several!.get(name)!.data
    if (Buffer.compare(bytesOf(expected), bytesOf(actual)) !== 0) {
      throw new KerneletError(
        'ERR_INTERNAL',
        `training on ${variant.threads} threads gave another ${name} than on one; nothing was timed`,
      )
    }
  }
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
