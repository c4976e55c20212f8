/** `kernelet profile`: where the time of a network goes, and what would help. */
import { basename } from 'node:path'
import type { StepDescription } from '../../backend/backend.ts'
import { native } from '../../backend/node-addon.ts'
import {
  adviceOf,
  adviceOnFine,
  isFasterByWinograd,
  isNearItsBound,
  isShapeFine,
  type Judged,
  type Limit,
  limitsOf,
} from '../../bench/analysis.ts'
import type { Benchmark, Facts, Source } from '../../bench/benchmark.ts'
import { uniform } from '../../bench/inputs.ts'
import { type Compiled, compiled, imageShapeOf } from '../../bench/networks/compiled.ts'
import { flameBody, pathOf } from '../../bench/report/flame.ts'
import type { Findings } from '../../bench/report/json.ts'
import { columns, formatPercent, formatTime, label } from '../../bench/report/markdown.ts'
import { ROOFLINE_WIDTH, rooflineBody } from '../../bench/report/roofline.ts'
import { lanesOf } from '../../bench/shape-bound.ts'
import { boundOf } from '../../bench/step-costs.ts'
import { timeCalls, timeSteps } from '../../bench/stopwatch.ts'
import type { CompileOptions } from '../../compile/options.ts'
import type { OnnxModel } from '../../formats/onnx/load.ts'
import { elements } from '../../tensor/shape.ts'
import { svgDocument, text } from '../../util/svg.ts'
import { choices, count, isas, measuring, oneOf, output, plot, shapeOption } from '../bench/options.ts'
import { type Section, Session } from '../bench/session.ts'
import { type Command, UsageError } from '../command.ts'
import { openNetwork } from '../networks.ts'

const { filter: _, ...repeating } = measuring

export const command: Command = {
  summary: 'where the time of a network goes, step by step, and what would help',
  usage: 'FILE.onnx [options]',
  description: `Measures every step of a network's plan in C++, on one thread, and lists them by cost: problem (in
oneDNN's letters), algorithm, layout, what is fused into it, time, share, and what bounds it: multiply-adds at
the peak, weights at the bandwidth of the memory that holds all of them, or input and output at that of the
level that holds these; all three measured at the beginning. For the steps that cost most, a sentence on what
would help. FILE may also be a list of layers (.txt) or a name of kernelet bench models.`,
  options: {
    input: { type: 'string', value: 'SHAPE', help: 'of one image, 3x224x224, where the file leaves it open' },
    batch: { ...choices.batch, value: 'N', help: 'images a call; default 1' },
    isa: { ...choices.isa, value: 'NAME', help: 'instruction set; default: the best here' },
    numerics: { type: 'string', value: 'NAME', help: 'exact (the default) or fastest' },
    top: { type: 'string', value: 'N', help: 'steps to list; default 20' },
    ...repeating,
    ...output,
    plot: { ...plot, help: 'draw a flame graph of the network and its roofline as SVG' },
  },
  examples: [
    ['kernelet profile net.onnx', 'why is it slow here?'],
    ['kernelet profile net.onnx --batch 8 --plot net.svg', 'eight images, with a picture'],
    ['kernelet profile mobilenet-v2 --isa avx2', 'a network that kernelet makes itself'],
  ],
  positionals: true,
  async run(values, files) {
    const [file] = files
    if (file === undefined || files.length > 1) throw new UsageError('profile: expected one file')
    const [isa, ...tiers] = isas(values)
    const [numerics, ...kinds] = oneOf(['exact', 'fastest'] as const, values, 'numerics')
    if (tiers.length > 0 || kinds.length > 0) {
      throw new UsageError('profile: expected one instruction set and one kind of numerics')
    }
    const batch = count(String(values.batch ?? 1), 'batch')
    const top = count(String(values.top ?? 20), 'top')
    const inputShape = shapeOption(values)
    const model = openNetwork(file)
    const shape = imageShapeOf(model, inputShape)
    const input = uniform(batch * elements(shape), -1, 1, 7)
    const options: CompileOptions = { isa: isa!, threads: 1, inputShape: shape }
    const net = compiled(model, { ...options, numerics: numerics! })
    const session = new Session(values)
    const name = basename(file).replace(/\.(onnx|txt)$/, '')
    const subject = subjectOf(session, { name, net, input, batch, isa: isa! })
    const others = otherwise(model, { ...options, numerics: numerics! })
    const measured = await session.measure([
      stepsOf(subject),
      callOf(subject, net, 'call'),
      // in the same turns, so that what disturbs one disturbs all
      ...others.flatMap(({ name: how, net: other, steps }) => [
        callOf(subject, other, how),
        ...(steps ? [stepsOf(subjectOf(session, { ...subject, name: `${name}/${how}`, net: other }))] : []),
      ]),
    ])
    const winograd = byWinograd(measured)
    const calls = new Map(measured.filter(({ labels }) => labels.call).map((one) => [one.labels.call!, one]))
    for (const { net: each } of [{ net }, ...others]) each.dispose()
    const steps = measured.slice(0, subject.steps.length).map((one, i): Step => {
      const step = subject.steps[i]!
      const limit = subject.limits[i]!
      const judged = { step, limit, ns: one.p50, fastest: winograd.get(step.names[0]!) }
      const advice = adviceOf(judged, lanesOf(isa!), batch)
      const isFine = isShapeFine(judged, lanesOf(isa!))
      return { ...one, labels: { ...one.labels, advice }, judged, advice, isFine }
    })
    const notes = others.map(({ name: how, sentence }) => `${sentence} ${formatTime(calls.get(how)!.p50)}.`)
    const call = calls.get('call')!
    return session.report([report(session, subject, steps, call, notes, top)], (findings) =>
      draw(subject.name, findings, steps),
    )
  },
}

interface Subject {
  name: string
  net: Compiled
  input: Float32Array
  batch: number
  isa: string
  /** GFLOP/s of one thread. */
  peak: number
  steps: readonly StepDescription[]
  limits: readonly Limit[]
}

function subjectOf(session: Session, given: Omit<Subject, 'peak' | 'steps' | 'limits'>): Subject {
  const { net, batch, isa } = given
  const { steps, batchLanes } = net.describe()
  const together = batchLanes > 0 && batch >= batchLanes ? batchLanes : 1
  const peak = session.roof.peak(isa, 1)
  return { ...given, peak, steps, limits: limitsOf(steps, batch, together, peak, session.roof) }
}

/** A step that was measured. */
interface Step extends Benchmark {
  judged: Judged
  advice: string
  /** Whether nothing in its shape holds it up. */
  isFine: boolean
}

function stepsOf({ name, net, input, batch, isa, peak, steps, limits }: Subject): Source {
  const facts = steps.map(
    (step, i): Facts => ({
      name: `profile/${name}/${String(i).padStart(3, '0')}/${step.names.join('+')}/batch:${batch}/isa:${isa}`,
      labels: {
        step: step.names.join(' + '),
        problem: step.problem,
        algorithm: step.algorithm + (step.strip ? `, ${step.strip} rows` : ''),
        layout: step.layout,
        tile: step.tile,
        fused: step.epilogue,
        bound: limits[i]!.name,
        isa,
      },
      batch,
      threads: 1,
      flops: limits[i]!.costs.flops * batch,
      peak,
    }),
  )
  return {
    facts,
    open: () => ({
      sample: timeSteps((iterations) => net.profile(input, iterations)),
      close: () => {},
      counters: limits.map(({ ns, costs: { flops, weights, values } }) => ({
        bound_ns: ns,
        flops_per_byte: (flops * batch) / (weights + values * batch),
        weight_bytes: weights,
        value_bytes: values * batch,
      })),
    }),
  }
}

/** A whole call, by this plan or another. */
function callOf({ name, input, batch, isa, peak, limits }: Subject, net: Compiled, how: string): Source {
  const flops = limits.reduce((sum, { costs }) => sum + costs.flops, 0) * batch
  const labels = { call: how, isa }
  return {
    facts: [
      { name: `profile/${name}/${how}/batch:${batch}/isa:${isa}`, labels, batch, threads: 1, flops, peak },
    ],
    open: () => {
      const sample = timeCalls(() => void net.run(input))
      return { sample: async (ms) => [await sample(ms)], close: () => {} }
    },
  }
}

/** Nanoseconds by the name of a step's first operation, of those that run by Winograd. */
function byWinograd(measured: readonly Benchmark[]): ReadonlyMap<string, number> {
  return new Map(
    measured
      .filter(({ labels }) => labels.algorithm === 'winograd')
      .map(({ labels, p50 }) => [labels.step!.split(' + ')[0]!, p50]),
  )
}

interface Otherwise {
  name: string
  sentence: string
  net: Compiled
  /** Whether its steps are measured too. */
  steps: boolean
}

const isByWinograd = (net: Compiled): boolean =>
  net.describe().steps.some(({ algorithm }) => algorithm === 'winograd')

/** What else a call could be. */
function otherwise(model: OnnxModel, options: CompileOptions): Otherwise[] {
  const all: Otherwise[] = []
  const fastest = options.numerics === 'exact' && compiled(model, { ...options, numerics: 'fastest' })
  if (fastest && isByWinograd(fastest)) {
    const sentence = "With numerics 'fastest' a call takes"
    all.push({ name: 'fastest', sentence, net: fastest, steps: true })
  } else if (fastest) fastest.dispose()
  const { usable } = native().threads()
  if (usable > 1) {
    const net = compiled(model, { ...options, threads: usable })
    all.push({ name: 'threads', sentence: `On ${usable} threads it takes`, net, steps: false })
  }
  return all
}

/** A step is worth a sentence from this share of the time on. */
const WORTH = 0.02

function report(
  session: Session,
  { name, batch, peak, limits }: Subject,
  steps: readonly Step[],
  call: Benchmark,
  others: readonly string[],
  top: number,
): Section {
  const total = steps.reduce((sum, { p50 }) => sum + p50, 0)
  const sorted = [...steps].sort((a, b) => b.p50 - a.p50)
  const rest = sorted.slice(top).reduce((sum, { p50 }) => sum + p50, 0)
  const costs = limits.map((limit) => limit.costs)
  const bound = boundOf(costs, batch, peak, session.roof)
  let sum = 0
  const half = sorted.findIndex(({ p50 }) => {
    sum += p50
    return sum >= total / 2
  })
  const notes = [
    ...(rest > 0
      ? [`… and ${sorted.length - top} steps more: ${formatTime(rest)}, ${formatPercent(rest / total)}.\n`]
      : []),
    `${batch === 1 ? 'One image takes' : `${batch} images take`} ${formatTime(call.p50)} on one thread; its steps, each ` +
      `on its own, ${formatTime(total)}, half of it in ${half + 1} of ${steps.length}. What multiplies takes ` +
      `${formatTime(bound)} at the least, ${formatPercent(bound / call.p50)} of the time.\n`,
    ...sentences(
      sorted.slice(0, top).filter(({ p50 }) => p50 >= WORTH * total),
      total,
    ),
    ...others,
  ]
  return {
    title: `${name}, batch ${batch}: steps by cost`,
    columns: [
      { title: 'step', cell: ({ labels }) => shortened(labels.step!) },
      label('problem'),
      label('algorithm'),
      label('layout'),
      label('fused'),
      { ...columns.p50, title: 'time' },
      { title: 'share', right: true, cell: ({ p50 }) => formatPercent(p50 / total) },
      columns.gflops,
      label('bound', 'bound by'),
      { title: 'of it', right: true, cell: ({ counters, p50 }) => formatPercent(counters.bound_ns! / p50) },
    ],
    benchmarks: sorted,
    rows: top,
    notes,
  }
}

/** Names of steps that one sentence is about, at most. */
const NAMED = 4

/** What would help, once for all steps of which it is true: those that their shape holds up in no way are of two kinds. */
function sentences(steps: readonly Step[], total: number): string[] {
  const groups = new Map<string, Step[]>()
  for (const step of steps) {
    const { judged, advice, isFine } = step
    const kind = isFine ? `fine, ${isNearItsBound(judged)}, ${isFasterByWinograd(judged)}` : advice
    groups.set(kind, [...(groups.get(kind) ?? []), step])
  }
  return [...groups.values()].map((all) => {
    const share = all.reduce((sum, { p50 }) => sum + p50, 0) / total
    const names = all.slice(0, NAMED).map(({ labels }) => shortened(labels.step!))
    const more = all.length > NAMED ? ` and ${all.length - NAMED} more` : ''
    const [{ advice, isFine }] = all as [Step]
    const sentence = isFine ? adviceOnFine(all.map((one) => one.judged)) : advice
    return `- ${names.join(', ')}${more} (${formatPercent(share)}): ${sentence}`
  })
}

/** The first name, from its end; how many more there are. */
function shortened(names: string): string {
  const [first = '', ...others] = names.split(' + ')
  const end = first.length > 40 ? `…${first.slice(-39)}` : first
  return others.length > 0 ? `${end} + ${others.length}` : end
}

const LEFT = 16
const HEAD = 56

function draw(name: string, findings: Findings, steps: readonly Step[]): string {
  const title = `${name}: where the time goes`
  const total = steps.reduce((sum, { p50 }) => sum + p50, 0)
  const flame = flameBody(
    name,
    steps.map(({ labels, p50, judged: { step, limit } }) => ({
      path: pathOf(labels.step!.split(' + ')[0]!),
      ns: p50,
      kind: step.macs === 0 ? 'other' : limit.kind === 'compute' ? 'accent' : 'warm',
      hint: `${labels.step}, ${labels.problem}, ${labels.algorithm}`,
    })),
    LEFT,
    ROOFLINE_WIDTH - LEFT,
  )
  const shown = steps
    .filter(({ flops, p50 }) => flops > 0 && p50 > 0.01 * total)
    .sort((a, b) => b.p50 - a.p50)
    .slice(0, 40)
  const roofline = rooflineBody(
    findings,
    'Steps of 1 % of the time and more on the roofline',
    shown.map((one) => ({
      name: `${shortened(one.labels.step!)}, ${formatPercent(one.p50 / total)}`,
      intensity: one.counters.flops_per_byte!,
      gflops: one.gflops,
    })),
  )
  return svgDocument(ROOFLINE_WIDTH, HEAD + flame.height + 20 + roofline.height, title, [
    text(LEFT, 26, title, { kind: 'title' }),
    text(
      LEFT,
      44,
      'innermost row: blue multiplies, orange waits for weights or values, grey multiplies nothing',
      {
        kind: 'soft',
      },
    ),
    `<g transform="translate(0 ${HEAD})">`,
    ...flame.body,
    '</g>',
    `<g transform="translate(0 ${HEAD + flame.height + 20})">`,
    ...roofline.body,
    '</g>',
  ])
}
