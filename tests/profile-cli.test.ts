/** `kernelet profile` and KERNELET_VERBOSE as users have them; dist/ must be built. No test looks at a time. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-profile-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const SHORT = ['--repetitions', '2', '--min-time', '0.0001']

function node(args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    cwd: folder,
    env: { ...process.env, ...env },
  })
  return { status, stdout, stderr }
}
const profile = (...args: string[]) => node([join(root, 'bin/kernelet.js'), 'profile', ...args])

writeFileSync(
  join(folder, 'tiny.txt'),
  `input 3x24x24
  conv 16 k3 bn relu
  keep a
  conv 24 k3 relu x2
  depthwise k3 relu
  conv 16
  add a
  max k2
  flatten
  linear 2000 relu
  linear 3`,
)

describe('kernelet profile', () => {
  test('steps by cost, what bounds each, a sentence for those that count, the picture', () => {
    const { status, stdout } = profile('tiny.txt', '--top', '5', ...SHORT, '--plot', 'tiny.svg')
    expect(status).toBe(0)
    const rows = stdout
      .split('\n')
      .filter((line) => /^\| (conv2d|linear|maxPool2d|output|reorder|flatten)/.test(line))
    expect(rows).toHaveLength(5)
    for (const row of rows)
      expect(row).toMatch(/ (compute|(weights|values) \((L\d|memory)\)) +\| +[\d.]+ % \|$/)
    const times = [...stdout.matchAll(/ (\d+\.\d) % \| +[\d.–]+ \| (?:compute|weights|values)/g)].map(
      ([, share]) => Number(share),
    )
    expect(times).toHaveLength(5)
    expect(times).toEqual([...times].sort((a, b) => b - a))
    expect(stdout).toMatch(/… and \d+ steps more: /)
    expect(stdout).toMatch(
      /One image takes .* on one thread; its steps, each on its own, .*, half of it in \d+ of /,
    )
    expect(stdout).toMatch(/\n- linear_1 \+ 1 \([\d.]+ %\): its weights, 18\.4 MB, come from /)
    const svg = readFileSync(join(folder, 'tiny.svg'), 'utf8')
    expect(svg).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
    expect(svg).toContain('tiny: where the time goes')
    expect(svg).toContain('arithmetic intensity')
    expect(svg.match(/<rect class="(accent|other|warm)"/g)!.length).toBeGreaterThan(6)
  })

  test('JSON has all steps with their bounds and advice, and the batch', () => {
    const { status, stdout } = profile('tiny.txt', '--batch', '2', '--top', '1', ...SHORT, '-o', 'json')
    expect(status).toBe(0)
    const { benchmarks } = JSON.parse(stdout) as { benchmarks: Record<string, unknown>[] }
    const medians = benchmarks.filter(({ aggregate_name }) => aggregate_name === 'median')
    expect(medians.length).toBeGreaterThan(6)
    for (const one of medians) {
      expect(one).toMatchObject({ batch: 2, advice: expect.stringMatching(/\.$/), bound: expect.any(String) })
      expect(one.bound_ns).toBeGreaterThan(0)
    }
    // 24 channels of 3×3 over 16, without taps in the padding: (3 · 24 − 2)²
    const second = medians.find(({ step }) => String(step).startsWith('conv2d_2'))!
    expect(second.gflops).toBeCloseTo((2 * 2 * 24 * 16 * 70 * 70) / Number(second.real_time), 6)
  })

  test.each([
    [[], /profile: expected one file/],
    [['a.onnx', 'b.onnx'], /profile: expected one file/],
    [['tiny.txt', '--isa', 'mmx'], /--isa: mmx is unknown/],
    [['tiny.txt', '--numerics', 'exact,fastest'], /expected one instruction set and one kind of numerics/],
    [['tiny.txt', '--batch', '0'], /--batch: expected a number from 1 up/],
    [['tiny.txt', '--input', '3,4'], /--input: expected a shape/],
  ])('%j: exit code 2', (args, message) => {
    const { status, stderr } = profile(...args)
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(message) })
  })

  test('beside the plan, in turns: numerics fastest, and several threads where there are', () => {
    writeFileSync(join(folder, 'wide.txt'), 'input 32x24x24\nconv 64 k3 relu\nconv 64 k3 relu')
    const { status, stdout } = profile('wide.txt', ...SHORT, '-o', 'md')
    expect(status).toBe(0)
    expect(stdout).toMatch(/\nWith numerics 'fastest' a call takes [\d.]+ .s\.\n/)
    // (their steps are measured, and are not in the table)
    expect(stdout).not.toMatch(/\| winograd +\|/)
    if (availableParallelism() > 1) expect(stdout).toMatch(/\nOn \d+ threads it takes [\d.]+ .s\.\n/)
  })

  test('a word that is no file: the networks that kernelet makes, and the nearest of them', () => {
    expect(profile('resnet-18')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/resnet-18 is neither a file nor one of .*; did you mean resnet18\?/),
    })
  })

  test.each(['--plot', '--out'])(
    '%s where there is no folder is said before anything is measured',
    (option) => {
      const name = join(folder, 'none', 'a.svg')
      const { status, stdout, stderr } = profile('tiny.txt', option, name)
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
      expect(stderr).toMatch(/a\.svg cannot be written: there is no folder /)
      expect(profile('tiny.txt', '--out', folder).stderr).toMatch(/cannot be written: it is a folder/)
    },
  )

  // root may write anywhere
  test.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
    'nor is anything measured for a folder that may not be written',
    () => {
      const locked = join(folder, 'locked')
      mkdirSync(locked, { mode: 0o500 })
      const { status, stdout, stderr } = profile('tiny.txt', '--out', join(locked, 'a.json'))
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
      expect(stderr).toMatch(/a\.json cannot be written: permission denied/)
    },
  )

  test('a file that cannot be read: exit code 1', () => {
    expect(profile('none.onnx')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^kernelet: .*none\.onnx/),
    })
  })
})

describe('kernelet tune', () => {
  const tune = (...args: string[]) => node([join(root, 'bin/kernelet.js'), 'tune', 'tiny.txt', ...args])

  test('writes a tuning that compile takes, and says what it found', () => {
    const { status, stdout } = tune('--out', 'tiny.json', '--threads', '1')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^tiny\.txt: .* a call(; nothing was faster|, tuned .* less)/)
    const text = readFileSync(join(folder, 'tiny.json'), 'utf8')
    expect(JSON.parse(text)).toMatchObject({ format: 1, threads: 1, batch: 1, numerics: 'exact' })
    const printed = tune('--out', '-', '--batch', '2')
    expect(printed).toMatchObject({ status: 0, stderr: '' })
    expect(JSON.parse(printed.stdout)).toMatchObject({ batch: 2, graph: JSON.parse(text).graph })
  })

  test.each([
    [[], /tune: expected --out FILE\.json/],
    [['b.onnx', '--out', 'x'], /tune: expected one file/],
    [['--out', 'x', '--numerics', 'exact,fastest'], /expected one instruction set and one kind of numerics/],
    [['--out', 'x', '--batch', 'no'], /--batch: expected a number from 1 up/],
    [['--out', 'none/x.json'], /none\/x\.json cannot be written: there is no folder none/],
  ])('%j: refused before anything is timed', (args, message) => {
    expect(tune(...args)).toMatchObject({
      status: expect.toBeOneOf([1, 2]),
      stderr: expect.stringMatching(message),
    })
  })
})

describe('KERNELET_VERBOSE', () => {
  const script = join(folder, 'run.mjs')
  writeFileSync(
    script,
    `import { Conv2d, Linear, Sequential, relu, flatten, Module } from ${JSON.stringify(pathToFileURL(join(root, 'dist/index.js')).href)}
    class Net extends Module {
      constructor() { super(); this['a,b'] = new Conv2d(1, 2, { kernelSize: 3 }); this.fc = new Linear(8, 2) }
      forward(x) { return this.fc.forward(flatten(relu(this['a,b'].forward(x)), 1)) }
    }
    const model = new Net().compile({ inputShape: [1, 4, 4] })
    const x = Float32Array.from({ length: 48 }, (_, i) => Math.sin(i))
    const image = x.subarray(0, 16)
    const one = [model.run(image).slice(), model.run(image).slice()]
    const all = await model.runAsync(x)
    console.log(JSON.stringify([...one.map((y) => [...y]), [...all]]))`,
  )

  test('a line a step of every run on stderr; the results are the same', () => {
    const quiet = node([script])
    const loud = node([script], { KERNELET_VERBOSE: '1' })
    expect(quiet).toMatchObject({ status: 0, stderr: '' })
    expect(loud).toMatchObject({ status: 0 })
    const [first, again, all] = JSON.parse(loud.stdout)
    expect(again).toEqual(first)
    expect(all.slice(0, 2)).toEqual(first)
    const lines = loud.stderr.trimEnd().split('\n')
    expect(lines).toHaveLength(1 + 3 * 2)
    expect(lines[0]).toMatch(/^kernelet_verbose,compile,\w+,1×4×4 → 2,\d+,\d+,[\d.]+$/)
    expect(lines[1]).toMatch(
      /^kernelet_verbose,run,\w+,conv2d\+relu,[\w-]+,planes,bias\+relu,ic1ih4iw4oc2oh2ow2kh3kw3,mb1,a_b\+relu_1,[\d.]+$/,
    )
    expect(lines[6]).toMatch(/^kernelet_verbose,run,\w+,linear,gemm,planes,bias,ic8oc2,mb3,fc,[\d.]+$/)
  })

  test('another value than 0 and 1 is an error', () => {
    expect(node([script], { KERNELET_VERBOSE: '0' })).toMatchObject({ status: 0, stderr: '' })
    expect(node([script], { KERNELET_VERBOSE: 'yes' })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/KERNELET_VERBOSE: expected 0 or 1 but received "yes"/),
    })
  })
})
