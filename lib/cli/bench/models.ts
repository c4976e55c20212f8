/** `kernelet bench models`: whole networks beside other runtimes. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Benchmark } from '../../bench/benchmark.ts'
import type { Task } from '../../bench/contender.ts'
import { uniform } from '../../bench/inputs.ts'
import { compiled, imageShapeOf } from '../../bench/networks/compiled.ts'
import { networkNames, readNetwork } from '../../bench/networks/network.ts'
import { drawBars } from '../../bench/report/bars.ts'
import { boundOf, costsOf, type StepCosts } from '../../bench/step-costs.ts'
import { loadOnnx } from '../../formats/onnx/load.ts'
import { saveOnnx } from '../../formats/onnx/save.ts'
import { elements } from '../../tensor/shape.ts'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { type Command, EXIT, UsageError, type Values } from '../command.ts'
import { didYouMean } from '../suggest.ts'
import { isOwn, section, summary } from './models-tables.ts'
import {
  choices,
  count,
  counts,
  isas,
  measuring,
  oneOf,
  output,
  plot,
  shapeOption,
  words,
} from './options.ts'
import { type Contender, INSTALL, idleBytes, installed, KERNELET, race, type Trial } from './race.ts'
import { Session, skipped } from './session.ts'

export const command: Command = {
  summary: 'measure whole networks beside other runtimes',
  usage: '[FILE.onnx …] [options]',
  description: `Measures whole networks in kernelet and in the runtimes installed under bench/peers (or beside kernelet), each in
a process of its own, in turns (A B C A B C …). Every output is compared with kernelet's exact one before
anything is timed: a difference beyond a thousandth of the largest output ends the run. Networks are made from
lists of layers with weights from a seed, and handed to all as the same ONNX file; --models takes their names,
such lists and ONNX files. To install all peers: ${INSTALL}

The bound of a network: of each step its multiply-adds at the measured peak, or its weights at the measured
bandwidth of the memory that holds all of them, whichever takes longer. start: from the import to the first
result, in this process (of several, --starts, the median); MB: resident memory then, over a bare Node.

--summary prints instead tables of a row a network: the ratios at every batch, number of threads and kind of
numerics, each of these by itself (ratio at the bound: what the ratio would be if kernelet reached it), and
start and peak memory; each ends with the geometric mean, the lowest and the highest of its ratios.`,
  options: {
    models: {
      type: 'string',
      value: 'LIST',
      help: 'names, lists of layers, ONNX files; default: all there are',
    },
    input: { type: 'string', value: 'SHAPE', help: 'of one image, 3x224x224, where a file leaves it open' },
    batch: { ...choices.batch, help: 'images a call; default 1' },
    threads: { ...choices.threads, help: 'threads of a call; default 1' },
    isa: choices.isa,
    numerics: { type: 'string', value: 'LIST', help: 'exact (the default), fastest' },
    tune: { type: 'boolean', help: 'a tuned model too, for the first of the batches' },
    peer: { type: 'string', value: 'LIST', help: 'only these, by the name of their adapter; none for none' },
    command: { type: 'string', value: 'LINE', help: 'one more peer: a command that speaks JSON lines' },
    starts: { type: 'string', value: 'N', help: 'processes that start and MB are the medians of; default 1' },
    summary: { type: 'boolean', help: 'tables of a row a network, with geometric means' },
    ...measuring,
    ...output,
    plot,
  },
  examples: [
    ['kernelet bench models', 'all networks, one image, one thread'],
    ['kernelet bench models --models resnet18,mobilenet-v2 --batch 1,8 --threads 1,2', 'two of them'],
    [
      'kernelet bench models --batch 1,8 --threads 1,2 --numerics exact,fastest --starts 5 --summary',
      'all of it, in a table each',
    ],
    ['kernelet bench models net.onnx --numerics exact,fastest --plot net.svg', 'your own, with Winograd too'],
    ['kernelet bench models net.onnx --command "python3 adapter.py"', 'beside a runtime outside npm'],
  ],
  positionals: true,
  async run(values, files) {
    const numerics = oneOf(['exact', 'fastest'] as const, values, 'numerics')
    const tiers = isas(values)
    const batches = counts(values, 'batch', [1])
    const threads = counts(values, 'threads', [1])
    const starts = count(String(values.starts ?? 1), 'starts')
    const inputShape = shapeOption(values)
    const names = modelsOf(values, files)
    const peers = values.peer === 'none' ? [] : await installed(values, true)
    if (values.command !== undefined) {
      peers.push({ name: 'command', adapter: undefined, command: String(values.command) })
    }
    const tunes = values.tune ? [false, true] : [false]
    const own = tiers.flatMap((isa) =>
      numerics.flatMap((kind) =>
        tunes.map((tuned): Contender => {
          const words = [tiers.length > 1 && isa, kind !== 'exact' && kind, tuned && 'tuned']
          return {
            ...KERNELET,
            name: ['kernelet', ...words.filter((word) => word !== false)].join(' '),
            network: {
              ...{ isa, numerics: kind },
              ...(inputShape && { inputShape }),
              ...(tuned && { tune: { batch: batches[0] } }),
            },
          }
        }),
      ),
    )
    const session = new Session(values)
    const scratch = mkdtempSync(join(tmpdir(), 'kernelet-bench-'))
    try {
      const benchmarks: Benchmark[] = []
      for (const name of names) {
        try {
          const network = prepared(name, scratch, inputShape, Math.max(...batches))
          benchmarks.push(
            ...(await measure(session, [...own, ...peers], network, { batches, threads, starts }, scratch)),
          )
        } catch (error) {
          // the others still count
          if (!(error instanceof KerneletError) || error.code === 'ERR_INTERNAL' || names.length === 1)
            throw error
          skipped(name, messageOf(error))
        }
      }
      const sections = values.summary ? summary(benchmarks) : [section(benchmarks)]
      session.report(sections, ({ benchmarks: all, host }) =>
        drawBars({
          title: 'Networks, images a second',
          subtitle: host.cpu,
          unit: 'images/s',
          bars: all.map(({ labels, batch, threads: workers, imagesPerSecond }) => ({
            group: `${labels.problem}, batch ${batch}, ${workers} thread${workers === 1 ? '' : 's'}`,
            name: labels.runtime!,
            value: imagesPerSecond,
            other: !isOwn(labels.contender!),
          })),
        }),
      )
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
    return EXIT.ok
  },
}

/** Of --models and of the words behind the command; all lists where there is neither. */
function modelsOf(values: Values, files: readonly string[]): string[] {
  const known = networkNames()
  const named = values.models === undefined ? [] : words(String(values.models), 'models')
  const all = [...named, ...files]
  for (const name of all) {
    if (known.includes(name) || /\.(onnx|txt)$/.test(name)) continue
    throw new UsageError(
      `--models: ${name} is unknown; there are ${known.join(', ') || 'none'}, lists of layers (.txt) and ` +
        `ONNX files (.onnx)${didYouMean(name, known)}`,
    )
  }
  return all.length > 0 ? all : known
}

interface Network {
  name: string
  onnx: string
  shape: readonly number[]
  costs: readonly StepCosts[]
  input: Float32Array
  expected: Float32Array
}

/** The file, and what kernelet makes of it on one thread: exact, the same bits as in any batch. */
function prepared(
  path: string,
  scratch: string,
  inputShape: readonly number[] | undefined,
  largest: number,
): Network {
  let onnx = path
  if (!path.endsWith('.onnx')) {
    const listed = readNetwork(path)
    onnx = join(scratch, `${basename(path, '.txt')}.onnx`)
    saveOnnx(listed, onnx)
  }
  const model = loadOnnx(onnx)
  const shape = imageShapeOf(model, inputShape)
  const net = compiled(model, { threads: 1, inputShape: shape })
  const input = uniform(largest * elements(shape), -1, 1, 7)
  const expected = net.run(input).slice()
  const costs = net.describe().steps.map(costsOf)
  net.dispose()
  return { name: basename(path).replace(/\.(onnx|txt)$/, ''), onnx, shape, costs, input, expected }
}

interface Settings {
  batches: readonly number[]
  threads: readonly number[]
  /** Processes that are started of each contender. */
  starts: number
}

async function measure(
  session: Session,
  contenders: readonly Contender[],
  { name, onnx, shape, costs, input, expected }: Network,
  { batches, threads, starts }: Settings,
  scratch: string,
): Promise<Benchmark[]> {
  const image = elements(shape)
  const outputs = (expected.length * image) / input.length
  const task: Omit<Task, 'threads'> = { onnx, weights: '', problem: null, network: {} }
  const idle = await idleBytes({ ...task, threads: 1 })
  const flops = costs.reduce((sum, step) => sum + step.flops, 0)
  const best = session.host.isa.chosen
  const benchmarks: Benchmark[] = []
  for (const count of threads) {
    const peakOf = (isa: string | undefined): number => session.roof.peak(isa ?? best, count)
    const trials = batches.map((batch): Trial => {
      const wanted = expected.subarray(0, batch * outputs)
      const off = new Map<string, number>()
      return {
        key: `models/${name}/batch:${batch}`,
        label: name,
        batch,
        flops: flops * batch,
        shape: [batch, ...shape],
        input: () => input.slice(0, batch * image),
        check: (actual, who) => void off.set(who, difference(actual, wanted, `${name}: ${who}`)),
        counters: (one) => ({
          bound_ns: boundOf(costs, batch, peakOf(one.network?.isa), session.roof),
          start_ms: one.start.ms,
          rss_over_node_bytes: one.start.rss > 0 ? one.start.rss - idle : Number.NaN,
          peak_rss_bytes: one.start.peak > 0 ? one.start.peak : Number.NaN,
          difference: off.get(`${one.name} ${one.version}`) ?? Number.NaN,
        }),
      }
    })
    const peak = (one: Contender): number => peakOf(one.network?.isa)
    const options = { peak, scratch, starts }
    benchmarks.push(...(await race(session, contenders, { ...task, threads: count }, trials, options)))
  }
  return benchmarks
}

/** Of the largest output. */
const TOLERANCE = 1e-3

/**
 * The largest difference over the largest output.
 *
 * @throws KerneletError `ERR_INTERNAL` beyond the tolerance, or where there are fewer or more values
 */
function difference(actual: Float32Array, wanted: Float32Array, who: string): number {
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  let worst = 0
  let at = 0
  for (let i = 0; i < wanted.length; i++) {
    const off = Math.abs((actual[i] ?? Number.NaN) - wanted[i]!)
    if (off <= worst) continue
    worst = off
    at = i
    if (Number.isNaN(off)) break
  }
  const relative = worst === 0 ? 0 : worst / largest
  if (relative <= TOLERANCE && actual.length === wanted.length) return relative
  throw new KerneletError(
    'ERR_INTERNAL',
    actual.length === wanted.length
      ? `${who}: value ${at} is ${actual[at]} where kernelet has ${wanted[at]}; nothing was timed`
      : `${who}: ${actual.length} values where kernelet has ${wanted.length}; nothing was timed`,
  )
}
