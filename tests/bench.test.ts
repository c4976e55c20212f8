/** The parts of `kernelet bench`: problem strings, statistics, reports, pictures. No test looks at a time. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Benchmark, evaluate, type Facts } from '../lib/bench/benchmark.ts'
import { Operands, planOf } from '../lib/bench/convolution.ts'
import type { Host } from '../lib/bench/host.ts'
import { naiveConv } from '../lib/bench/naive.ts'
import { complaints, type Snapshot } from '../lib/bench/noise.ts'
import { countFloats, countMacs, formatProblem, parseProblem, parseShapes } from '../lib/bench/problem.ts'
import { drawBars } from '../lib/bench/report/bars.ts'
import { toCsv } from '../lib/bench/report/csv.ts'
import { type Findings, readTimes, toGoogleBenchmark } from '../lib/bench/report/json.ts'
import { columns, formatRate, formatTime, label, markdownTable } from '../lib/bench/report/markdown.ts'
import { drawRoofline } from '../lib/bench/report/roofline.ts'
import {
  geometricMean,
  mannWhitney,
  median,
  quantile,
  sorted,
  spread,
  standardDeviation,
} from '../lib/bench/statistics.ts'
import { timeCalls, timeNatively, timePromises } from '../lib/bench/stopwatch.ts'
import { compare } from '../lib/cli/bench/compare.ts'
import { summary } from '../lib/cli/bench/models-tables.ts'
import { Conv2d, compile } from '../lib/index.ts'
import { linearTicks, logTicks } from '../lib/util/svg.ts'
import { root } from './helpers.ts'

describe('problem strings', () => {
  test('the example of the manual: what is left out follows', () => {
    expect(parseProblem('mb1ic6ih12oc16oh8kh5')).toEqual({
      name: '',
      ...{ mb: 1, g: 1, ic: 6, ih: 12, iw: 12, oc: 16, oh: 8, ow: 8, kh: 5, kw: 5 },
      ...{ sh: 1, sw: 1, dh: 1, dw: 1, ph: 0, pw: 0, pb: 0, pr: 0 },
    })
  })

  const spelled = (text: string): string => formatProblem(parseProblem(text))
  test.each([
    ['output from the input', 'ic3ih224oc64kh7sh2ph3', 'mb1ic3ih224iw224oc64oh112ow112kh7kw7sh2sw2ph3pw3'],
    ['padding from both', 'ic64ih56oc64oh56kh3', 'mb1ic64ih56iw56oc64oh56ow56kh3kw3ph1pw1'],
    ['input from the output', 'ic64oc64oh56kh3ph1', 'mb1ic64ih56iw56oc64oh56ow56kh3kw3ph1pw1'],
    ['no padding where none is asked for', 'ic1ih28oc6kh5', 'mb1ic1ih28iw28oc6oh24ow24kh5kw5'],
    ['other widths', 'ic1ih8iw9oc1kh3kw2sh2sw1', 'mb1ic1ih8iw9oc1oh3ow8kh3kw2sh2sw1'],
    ['groups', 'g8ic8ih6oc16kh3ph1', 'mb1g8ic8ih6iw6oc16oh6ow6kh3kw3ph1pw1'],
    ['dilation counted from 1', 'ic1ih9oc1kh3dh2', 'mb1ic1ih9iw9oc1oh5ow5kh3kw3dh2dw2'],
    ['underscores and any order', 'kh3_ih6_ic2_oc4_mb3', 'mb3ic2ih6iw6oc4oh4ow4kh3kw3'],
    ['a window of one without kh', 'ic4ih7oc4', 'mb1ic4ih7iw7oc4oh7ow7kh1kw1'],
  ])('%s: %s', (_, short, long) => {
    expect(spelled(short)).toBe(long)
    expect(spelled(long)).toBe(long)
    expect(parseProblem(long)).toEqual(parseProblem(short))
  })

  test('padding that is not the same on both sides', () => {
    // 112 = 2 · 55 + 3 - 1: one row at the top, none at the bottom
    expect(parseProblem('ic1ih112oc1oh56kh3sh2ph1')).toMatchObject({ ph: 1, pb: 0 })
    expect(parseProblem('ic1ih112oc1oh56kh3sh2ph0')).toMatchObject({ ph: 0, pb: 1 })
    const below = parseProblem('ic1ih8oc1oh8kh3ph0')
    expect(below).toMatchObject({ ph: 0, pb: 2 })
    expect(parseProblem(formatProblem(below))).toEqual(below)
  })

  test('names', () => {
    expect(parseProblem('ic1ih8oc1kh3n"a net: conv_1"').name).toBe('a net: conv_1')
    expect(parseProblem('n"x"ic1ih8oc1kh3')).toMatchObject({ name: 'x', ic: 1 })
  })

  test.each([
    ['', /ic is missing/],
    ['ic1ih8', /oc is missing/],
    ['ic1oc1kh3', /ih or oh is missing/],
    ['ic1ih8oc1kh9', /a window of 9 does not fit an input of 8/],
    ['ic1ih8oc1xx3', /unknown letters 'xx'/],
    ['ic1ih8oc1kh', /expected letters and a number at 'kh'/],
    ['ic1ih8oc1kh3kh3', /kh is given twice/],
    ['ic1ih8oc1kh0', /kh must not be 0/],
    ['ic1ih8oc1kh3dh0', /dilation 1 is dense/],
    ['ic3ih8oc4g2kh3', /multiples of g/],
    ['ic1ih8oc1oh20kh3', /padding/],
    ['ic1ih8oc1oh4kh3', /gives more than/],
    ['ic1ih99999999oc1', /larger than/],
    ['ic1ih8oc1kh3;', /at ';'/],
  ])('a wrong one says what is wrong: %s', (text, message) => {
    expect(() => parseProblem(text)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    expect(() => parseProblem(text)).toThrow(message)
  })

  test('is what describe() writes', () => {
    const layer = new Conv2d(6, 16, {
      kernelSize: [5, 3],
      stride: 2,
      padding: 1,
      dilation: [1, 2],
      groups: 2,
    })
    const { problem, macs, outputShape } = compile(layer, { inputShape: [6, 14, 15] }).describe().steps[0]!
    const parsed = parseProblem(problem)
    expect(formatProblem(parsed)).toBe(`mb1${problem}`)
    expect([parsed.oc, parsed.oh, parsed.ow]).toEqual(outputShape)
    expect(countMacs(parsed)).toBeLessThan(macs)
  })

  test('multiply-adds without those that meet the padding, as benchdnn counts', () => {
    expect(countMacs(parseProblem('mb2ic6ih12oc16oh8kh5'))).toBe(2 * 16 * 8 * 8 * 6 * 25)
    // 3×3 over 7×7 with a border of one: 19 of 21 rows of taps are inside, as many columns
    expect(countMacs(parseProblem('ic512ih7oc512kh3ph1'))).toBe(512 * 512 * 19 * 19)
    expect(countMacs(parseProblem('g32ic32ih8oc32kh3'))).toBe(32 * 36 * 9)
    expect(countFloats(parseProblem('mb2g2ic4ih8oc6kh3'))).toEqual({
      ...{ input: 2 * 4 * 64, output: 2 * 6 * 36, weight: 6 * 2 * 9, bias: 6 },
    })
  })

  test('files of shapes: comments, blank lines, and the line of a mistake', () => {
    const text = '# a net\n\nic1ih8oc1kh3 # conv\n  ic2ih8oc2kh3n"b"\n'
    expect(parseShapes(text, 'x').map(formatProblem)).toEqual([
      'mb1ic1ih8iw8oc1oh6ow6kh3kw3',
      'mb1ic2ih8iw8oc2oh6ow6kh3kw3',
    ])
    expect(() => parseShapes(`${text}ic2ih8\n`, 'net.txt')).toThrow(/^net\.txt:5: .*oc is missing/)
  })

  const shapes = join(root, 'bench/shapes')
  test.each(readdirSync(shapes))('%s: every shape has a name of its own', (file) => {
    const problems = parseShapes(readFileSync(join(shapes, file), 'utf8'), file)
    expect(problems.length).toBeGreaterThan(1)
    const names = problems.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names).not.toContain('')
  })

  test('the shapes of known networks add up to their known multiply-adds', () => {
    const macs = (file: string, times: readonly number[]): number =>
      parseShapes(readFileSync(join(shapes, file), 'utf8'), file).reduce(
        (sum, p, i) => sum + times[i]! * p.oc * p.oh * p.ow * (p.ic / p.g) * p.kh * p.kw,
        0,
      )
    // torchvision: 1.814 G and 4.089 G with 0.5 M and 2 M of the linear layer; 15.346 G of the convolutions
    expect(macs('resnet18.txt', [1, 4, 1, 1, 3, 1, 1, 3, 1, 1, 3]) / 1e9).toBeCloseTo(1.8136, 3)
    const times = [1, 1, 3, 4, 2, 1, 1, 1, 4, 3, 3, 1, 1, 1, 6, 5, 5, 1, 1, 1, 3, 2, 2]
    expect(macs('resnet50.txt', times) / 1e9).toBeCloseTo(4.0872, 3)
    expect(macs('vgg16.txt', [1, 1, 1, 1, 1, 2, 1, 2, 3]) / 1e9).toBeCloseTo(15.3466, 3)
  })
})

describe('the convolution by its definition', () => {
  test.each([
    'mb2ic3ih7iw9oc4kh3ph1',
    'g2ic4ih8oc6kh3sh2ph1',
    'ic2ih11oc3kh3dh2ph2',
    'g4ic4ih6oc4kh3ph1',
    'ic1ih8oc1oh8kh3ph0',
  ])('%s agrees with the kernels, and a spoilt weight is noticed', (text) => {
    const operands = new Operands(parseProblem(text))
    const { input, weight } = operands.values
    const run = (): Float32Array => {
      const plan = planOf(operands, undefined, 'im2col', 1)
      const output = new Float32Array(countFloats(operands.problem).output)
      plan.bind(input, output, operands.problem.mb)
      plan.execute()
      plan.dispose()
      return output
    }
    operands.check(run(), 'im2col')
    weight[weight.length >> 1]! += 0.01
    expect(() => operands.check(run(), 'im2col')).toThrow(/im2col on mb.*nothing was timed/)
  })

  test('by hand', () => {
    const p = parseProblem('ic1ih2oc1oh2kh3ph1')
    const weight = Float32Array.from({ length: 9 }, (_, i) => i)
    // the first window sees the input in its lower right corner: 1·4 + 2·5 + 3·7 + 4·8
    expect(naiveConv(p, Float32Array.of(1, 2, 3, 4), weight, Float32Array.of(0.5), 0)).toBe(67.5)
  })
})

describe('statistics', () => {
  test('quantiles as NumPy and R have them', () => {
    const values = sorted([4, 1, 3, 2])
    expect([0, 0.25, 0.5, 0.9, 1].map((q) => quantile(values, q))).toEqual([1, 1.75, 2.5, 3.7, 4])
    expect(quantile(sorted([7]), 0.99)).toBe(7)
    expect(quantile(sorted([]), 0.5)).toBeNaN()
    expect(median([3, 1, 2])).toBe(2)
    expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(2.13809, 5)
    expect(standardDeviation([2])).toBe(0)
    expect(spread([10, 11, 12])).toBeCloseTo(2 / 11, 12)
    expect(geometricMean([1, 4])).toBeCloseTo(2, 12)
  })

  test('Mann-Whitney, exact: the example in SciPy, ages at diagnosis', () => {
    const [males, females] = [
      [19, 22, 16, 29, 24],
      [20, 11, 17, 12],
    ]
    const { u, p, method } = mannWhitney(males!, females!)
    expect({ u, method }).toEqual({ u: 17, method: 'exact' })
    expect(p).toBeCloseTo(0.1111111111111111, 12)
    expect(mannWhitney(females!, males!)).toEqual({ u: 3, p, method })
  })

  test('Mann-Whitney, exact: permeability constants in Hollander & Wolfe (1973), W = 35, one-sided 0.1272', () => {
    const x = [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    const y = [1.15, 0.88, 0.9, 0.74, 1.21]
    const { u, p } = mannWhitney(x, y)
    expect(u).toBe(35)
    expect(p).toBeCloseTo(2 * 0.1272, 4)
  })

  test('Mann-Whitney with ties: ozone in May and August in R, W = 127.5, p = 0.0001208', () => {
    const may = [
      ...[41, 36, 12, 18, 28, 23, 19, 8, 7, 16, 11, 14, 18],
      ...[14, 34, 6, 30, 11, 1, 11, 4, 32, 23, 45, 115, 37],
    ]
    const august = [
      ...[39, 9, 16, 78, 35, 66, 122, 89, 110, 44, 28, 65, 22],
      ...[59, 23, 31, 44, 21, 9, 45, 168, 73, 76, 118, 84, 85],
    ]
    const { u, p, method } = mannWhitney(may, august)
    expect({ u, method }).toEqual({ u: 127.5, method: 'normal' })
    expect(p).toBeCloseTo(0.0001208, 6)
  })

  test('Mann-Whitney at its ends', () => {
    // nothing in common: 2 of the 70 arrangements
    expect(mannWhitney([1, 2, 3, 4], [5, 6, 7, 8]).p).toBeCloseTo(2 / 70, 12)
    expect(mannWhitney([1, 2, 3], [1, 2, 3]).p).toBe(1)
    expect(mannWhitney([5, 5, 5], [5, 5, 5])).toMatchObject({ u: 4.5, p: 1 })
    expect(mannWhitney([], [1]).p).toBeNaN()
    const many = Array.from({ length: 60 }, (_, i) => i)
    expect(
      mannWhitney(
        many,
        many.map((x) => x + 0.5),
      ).p,
    ).toBeGreaterThan(0.5)
    expect(
      mannWhitney(
        many,
        many.map((x) => x + 100.5),
      ).p,
    ).toBeLessThan(1e-15)
  })
})

describe('stopwatches', () => {
  test('make as many calls as they say', async () => {
    let calls = 0
    const call = () => {
      calls++
    }
    const sample = timeCalls(call)
    await sample(1)
    const before = calls
    const { iterations, samples, cpu } = await sample(1)
    expect(calls - before).toBe(iterations)
    expect(samples).toHaveLength(iterations)
    expect(samples.every((ns) => ns >= 0)).toBe(true)
    expect(cpu).toBeGreaterThanOrEqual(0)
  })

  test('of promises and of native loops', async () => {
    let settled = 0
    const asynchronous = await timePromises(async () => {
      await null
      settled++
    })(1)
    expect(settled).toBeGreaterThanOrEqual(asynchronous.iterations)
    const native = await timeNatively((n) => new Float64Array(n).fill(1000))(1)
    expect(native.samples).toHaveLength(native.iterations)
  })

  test('of a plan, in C++', () => {
    const plan = planOf(new Operands(parseProblem('ic1ih8oc2kh3')), undefined, 'auto', 1)
    const ns = plan.time(new Float32Array(64), new Float32Array(72), 1, 5)
    expect(ns).toHaveLength(5)
    expect(ns.every((value) => value > 0)).toBe(true)
    expect(() => plan.time(new Float32Array(64), new Float32Array(71), 1, 5)).toThrow(/output/)
    plan.dispose()
    expect(() => plan.time(new Float32Array(64), new Float32Array(72), 1, 5)).toThrow(/disposed/)
  })
})

const host: Host = {
  date: '2026-01-31T12:00:00+00:00',
  hostName: 'host',
  command: 'kernelet bench',
  kernelet: '0.0.0',
  commit: null,
  node: 'v20',
  cpu: 'A <CPU> & more',
  cpus: 2,
  mhz: 3000,
  caches: [{ type: 'Data', level: 1, size: 32768, num_sharing: 1 }],
  governor: null,
  affinity: 2,
  quota: null,
  load: [0, 0, 0],
  isa: {
    compiled: ['scalar', 'avx2'],
    supported: ['scalar', 'avx2'],
    chosen: 'avx2',
    reason: 'best supported',
  },
  compiler: 'GCC 12',
  flags: {},
}

function benchmarkOf(name: string, times: readonly number[], facts: Partial<Facts> = {}): Benchmark {
  return evaluate(
    { name, labels: { isa: 'avx2' }, batch: 4, threads: 1, flops: 8000, peak: 100, ...facts },
    times.map((ns) => ({ iterations: 3, samples: Float64Array.of(ns - 1, ns, ns + 1), cpu: ns })),
    { flops_per_byte: 2 },
  )
}

function findingsOf(benchmarks: readonly Benchmark[]): Findings {
  return {
    host,
    peaks: { scalar: 12, avx2: 100 },
    levels: [
      { name: 'L1', size: 32768, bandwidth: 190 },
      { name: 'memory', size: Number.POSITIVE_INFINITY, bandwidth: 12 },
    ],
    warnings: [],
    benchmarks,
  }
}

describe('figures', () => {
  test('follow from the calls of all repetitions', () => {
    const b = benchmarkOf('x', [100, 110, 120])
    expect(b).toMatchObject({ p50: 110, min: 99, imagesPerSecond: 4e9 / 110 })
    expect(b.gflops).toBeCloseTo(8000 / 110, 12)
    expect(b.share).toBeCloseTo(8000 / 110 / 100, 12)
    expect(b.spread).toBeCloseTo(20 / 110, 12)
    expect(b.repetitions.map(({ ns }) => ns)).toEqual([100, 110, 120])
  })

  test('nine calls have no p90, and ninety-nine no p99', () => {
    expect(benchmarkOf('x', [100, 110, 120]).p90).toBeNaN()
    expect(benchmarkOf('x', new Array(4).fill(100)).p90).toBeGreaterThan(99)
    expect(benchmarkOf('x', new Array(33).fill(100)).p99).toBeNaN()
    expect(benchmarkOf('x', new Array(34).fill(100)).p99).toBeGreaterThan(100)
  })
})

describe('reports', () => {
  const benchmarks = [
    benchmarkOf('a/batch:4', [100, 110, 120]),
    benchmarkOf('b', [5, 6], { flops: 0, peak: 0 }),
  ]

  test('JSON in the form of Google Benchmark', () => {
    const { context, benchmarks: entries } = JSON.parse(
      JSON.stringify(toGoogleBenchmark(findingsOf(benchmarks))),
    )
    expect(context).toMatchObject({
      date: host.date,
      host_name: 'host',
      executable: 'kernelet bench',
      num_cpus: 2,
      mhz_per_cpu: 3000,
      cpu_scaling_enabled: false,
      caches: [{ type: 'Data', level: 1, size: 32768, num_sharing: 1 }],
      load_avg: [0, 0, 0],
      library_build_type: 'release',
    })
    expect(context.kernelet).toMatchObject({ peak_gflops: { avx2: 100 }, read_gbs: { L1: 190 } })
    expect(entries).toHaveLength(3 + 3 + 2 + 3)
    expect(entries[1]).toEqual({
      name: 'a/batch:4',
      family_index: 0,
      per_family_instance_index: 0,
      run_name: 'a/batch:4',
      run_type: 'iteration',
      repetitions: 3,
      repetition_index: 1,
      threads: 1,
      iterations: 3,
      real_time: 110,
      cpu_time: 110,
      time_unit: 'ns',
      items_per_second: 4e9 / 110,
      gflops: 8000 / 110,
      isa: 'avx2',
      batch: 4,
      flops_per_byte: 2,
    })
    expect(entries[4]).toMatchObject({
      name: 'a/batch:4_median',
      run_type: 'aggregate',
      aggregate_name: 'median',
      aggregate_unit: 'time',
      real_time: 110,
      p50: 110,
      min: 99,
    })
    for (const entry of entries) {
      expect(Object.values(entry)).not.toContain(null)
      expect(entry).toMatchObject({
        name: expect.any(String),
        run_type: expect.stringMatching(/^(iteration|aggregate)$/),
        iterations: expect.any(Number),
        real_time: expect.any(Number),
        cpu_time: expect.any(Number),
        time_unit: 'ns',
      })
    }
  })

  test('are read back: the repetitions, in nanoseconds', () => {
    const { machine, times } = readTimes(JSON.stringify(toGoogleBenchmark(findingsOf(benchmarks))), 'x.json')
    expect(machine).toBe(host.cpu)
    expect([...times]).toEqual([
      ['a/batch:4', [100, 110, 120]],
      ['b', [5, 6]],
    ])
  })

  test('of Google Benchmark itself are read too', () => {
    const text = JSON.stringify({
      context: { host_name: 'h' },
      benchmarks: [
        { name: 'BM_x', run_name: 'BM_x', run_type: 'iteration', real_time: 2, time_unit: 'us' },
        { name: 'BM_x_mean', run_name: 'BM_x', run_type: 'aggregate', real_time: 2, time_unit: 'us' },
        { name: 'BM_old', real_time: 3, time_unit: 'ms' },
        { name: 'BM_bad', error_occurred: true, error_message: 'no' },
      ],
    })
    expect([...readTimes(text, 'x').times]).toEqual([
      ['BM_x', [2000]],
      ['BM_old', [3e6]],
    ])
  })

  test.each([
    ['{', /x\.json is not a report/],
    ['[]', /no list of benchmarks/],
    ['null', /no list of benchmarks/],
    ['{"benchmarks": [{"name": "a"}]}', /no name, real_time or time_unit/],
    ['{"benchmarks": [null]}', /no name/],
  ])('that are none: %s', (text, message) => {
    expect(() => readTimes(text, 'x.json')).toThrow(expect.objectContaining({ code: 'ERR_FORMAT' }))
    expect(() => readTimes(text, 'x.json')).toThrow(message)
  })

  test('CSV: a row a benchmark, quoted where it must be', () => {
    const rows = toCsv([benchmarkOf('a', [100], { labels: { isa: 'x,"y"' } }), ...benchmarks]).split('\n')
    expect(rows).toHaveLength(4)
    expect(rows[0]).toMatch(/^name,isa,batch,threads,repetitions,iterations,p50,p90,p99,min,spread,/)
    expect(rows[1]).toMatch(/^a,"x,""y""",4,1,1,3,100,,,99,0,/)
  })

  test('Markdown tables', () => {
    const lines = markdownTable([label('isa', 'ISA'), columns.p50, columns.share], benchmarks).split('\n')
    expect(lines).toEqual([
      '| ISA  |     p50 | % of peak |',
      '| ---- | ------: | --------: |',
      '| avx2 |  110 ns |    72.7 % |',
      '| avx2 | 5.50 ns |         – |',
    ])
  })

  test('units', () => {
    expect([0.5, 5.312, 99.96, 5312, 53_120, 5.312e6, 2.5e9].map(formatTime)).toEqual([
      ...['0.50 ns', '5.31 ns', '100 ns', '5.31 µs', '53.1 µs', '5.31 ms', '2.50 s'],
    ])
    expect([0, 950, 187_654, 2.5e6, Number.NaN].map(formatRate)).toEqual([
      '0.00',
      '950',
      '188k',
      '2.50M',
      '–',
    ])
  })
})

describe('compare', () => {
  const times = (values: Record<string, number[]>) => ({
    machine: 'm',
    date: '',
    times: new Map(Object.entries(values)),
  })

  test('tells a change from noise', () => {
    const changes = compare(
      times({ slower: [10, 11, 12, 13], same: [10, 12, 14, 16], few: [10, 11], gone: [1] }),
      times({ slower: [20, 21, 22, 23], same: [11, 13, 15, 15.5], few: [20, 21], fresh: [1] }),
    )
    expect(changes.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['slower', 'slower'],
      ['same', 'same'],
      ['few', 'unknown'],
    ])
    expect(changes[0]).toMatchObject({ old: 11.5, new: 21.5, p: expect.closeTo(2 / 70, 12) })
    expect(changes[0]!.change).toBeCloseTo(21.5 / 11.5 - 1, 12)
  })
})

describe('the quiet-machine check', () => {
  const quiet: Snapshot = {
    ...{ at: 0, load: [0.1, 0, 0], jitter: 0.01, spinNs: 1e5, preempted: 0, steal: 0, ticks: 0 },
  }
  const later: Snapshot = { ...quiet, at: 10_000, preempted: 20, ticks: 2000 }

  test('has nothing to say of a quiet one, and a sentence for each kind of noise', () => {
    expect(complaints(quiet, later, 2)).toEqual([])
    expect(complaints({ ...quiet, load: [1.5, 0, 0] }, later, 2)).toEqual([
      expect.stringMatching(/^load average 1\.50/),
    ])
    expect(complaints(quiet, { ...later, jitter: 0.5 }, 2)).toEqual([expect.stringMatching(/50 % longer/)])
    expect(complaints(quiet, { ...later, spinNs: 1.2e5 }, 2)).toEqual([
      expect.stringMatching(/20 % different/),
    ])
    expect(complaints(quiet, { ...later, preempted: 5000 }, 2)).toEqual([expect.stringMatching(/500 times/)])
    expect(complaints(quiet, { ...later, steal: 100 }, 2)).toEqual([
      expect.stringMatching(/5\.0 % of the time/),
    ])
  })
})

describe('pictures', () => {
  /** Every element closed, every attribute quoted: enough to catch what a viewer would refuse. */
  function checkXml(svg: string): void {
    const open: string[] = []
    for (const [tag, slash, name, rest] of svg.matchAll(
      /<(\/?)([a-z]+)((?:\s+[\w:-]+="[^"<]*")*)\s*\/?>/gi,
    )) {
      if (slash) expect(open.pop()).toBe(name)
      else if (!tag.endsWith('/>')) open.push(name!)
      expect(rest).not.toMatch(/NaN|Infinity|undefined/)
    }
    expect(open).toEqual([])
    expect(svg.replace(/<[^>]*>/g, '')).not.toMatch(/[<]|&(?!amp;|lt;|gt;|quot;)/)
  }

  test('a roofline has its axes, roofs and a numbered point for each measurement', () => {
    const points = Array.from({ length: 12 }, (_, i) => ({
      name: `step <${i}>`,
      intensity: 2,
      gflops: 40 + i,
    }))
    const svg = drawRoofline(findingsOf([benchmarkOf('a', [100])]), 'Roofs & points', points)
    checkXml(svg)
    expect(svg.match(/<circle/g)).toHaveLength(12)
    for (const wanted of [
      'arithmetic intensity, flop/byte',
      'GFLOP/s',
      'avx2 peak 100',
      'L1 190 GB/s',
      'step &lt;11&gt;',
    ])
      expect(svg).toContain(wanted)
    expect(svg).toContain('prefers-color-scheme: dark')
    // numbers of points that lie together must not
    const numbers = [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle" class="number"/g)]
    expect(new Set(numbers.map(([, x, y]) => `${x} ${y}`)).size).toBe(12)
  })

  test('bars are as long as their values', () => {
    const svg = drawBars({
      title: 'T',
      unit: 'images/s',
      bars: [
        { group: 'g', name: 'ours', value: 200_000 },
        { group: 'g', name: 'theirs', value: 50_000, other: true },
      ],
    })
    checkXml(svg)
    const [ours, theirs] = [...svg.matchAll(/<rect class="(?:accent|other)".*? width="([\d.]+)"/g)].map(
      ([, w]) => Number(w),
    )
    expect(ours! / theirs!).toBeCloseTo(4, 1)
  })

  test('ticks are round numbers', () => {
    expect(logTicks(0.3, 12)).toEqual([0.5, 1, 2, 5, 10])
    expect(linearTicks(112, 6)).toEqual([0, 20, 40, 60, 80, 100, 120])
    expect(linearTicks(1, 5)).toHaveLength(6)
  })
})

describe('bench models --summary', () => {
  const one = (problem: string, contender: string, batch: number, us: number, counters = {}): Benchmark =>
    evaluate(
      {
        name: `models/${problem}/batch:${batch}/threads:1/${contender}`,
        labels: { problem, contender, runtime: `${contender} 1.0` },
        ...{ batch, threads: 1, flops: 0, peak: 0 },
      },
      [{ iterations: 1, samples: Float64Array.of(1000 * us), cpu: 0 }],
      counters,
    )
  const rows = (body: string | undefined): string[][] =>
    body!.split('\n').map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )

  test('a row a network, then the geometric mean, the lowest and the highest of the ratios', () => {
    const counters = { bound_ns: 8000, start_ms: 20, peak_rss_bytes: 40e6, difference: 0 }
    const theirs = { bound_ns: 8000, start_ms: 40, peak_rss_bytes: 80e6, difference: 2e-7 }
    const all = [
      one('small', 'kernelet', 1, 10, counters),
      one('small', 'peer', 1, 20, theirs),
      one('small', 'kernelet', 8, 100),
      one('small', 'peer', 8, 50),
      one('large', 'kernelet', 1, 10, counters),
      one('large', 'peer', 1, 80, theirs),
    ]
    const [measured, ratios, single, eight, start, ...none] = summary(all)
    expect(none).toEqual([])
    expect(measured).toMatchObject({ rows: 0, benchmarks: { length: all.length } })
    expect(ratios!.title).toBe('Ratios to peer 1.0')
    expect(rows(ratios!.body)).toEqual([
      ['network', 'batch 1', 'batch 8'],
      ['--------------', '------:', '------:'],
      ['small', '2.00', '0.50'],
      ['large', '8.00', ''],
      ['geometric mean', '4.00', ''],
      ['lowest', '2.00', ''],
      ['highest', '8.00', ''],
    ])
    expect(rows(single!.body).map((row) => row.join(' '))).toEqual([
      'network kernelet 1.0 peer 1.0 ratio of bound ratio at the bound difference',
      expect.any(String),
      'small 10.0 µs 20.0 µs 2.00 80 % 2.50 2.0e-7',
      'large 10.0 µs 80.0 µs 8.00 80 % 10.00 2.0e-7',
      'geometric mean   4.00 80 % 5.00 ',
      'lowest   2.00 80 % 2.50 ',
      'highest   8.00 80 % 10.00 ',
    ])
    expect(rows(eight!.body)[2]).toEqual(['small', '100 µs', '50.0 µs', '0.50', '', '', ''])
    expect(rows(start!.body)[2]).toEqual(['small', '20.0 ms', '40.0 ms', '2.00', '40', '80', '2.00'])
  })

  test('of several peers a table of ratios each; without one there is none', () => {
    const all = [
      one('net', 'kernelet', 1, 10),
      one('net', 'kernelet fastest', 1, 5),
      one('net', 'peer', 1, 20),
    ]
    const titles = (measured: readonly Benchmark[]) => summary(measured).map(({ title }) => title)
    const rest = ['Batch 1', 'Fastest, batch 1', 'Start and memory, batch 1']
    expect(titles(all)).toEqual(['', 'Ratios to peer 1.0', ...rest])
    expect(titles([...all, one('net', 'other', 1, 5)]).slice(1, 3)).toEqual([
      'Ratios to peer 1.0',
      'Ratios to other 1.0',
    ])
    expect(titles(all.slice(0, 2))).toEqual(['', ...rest])
    // one network has no mean
    expect(rows(summary(all)[1]!.body)).toHaveLength(3)
  })
})
