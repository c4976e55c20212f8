/** `kernelet bench …` as users run it, with the fewest iterations; dist/ must be built. No test looks at a time. */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { Conv2d, saveOnnx } from '../lib/index.ts'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-bench-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function run(args: readonly string[], options: SpawnSyncOptions = {}) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'bin/kernelet.js'), 'bench', ...args],
    { encoding: 'utf8', cwd: folder, ...options },
  )
  return { status, stdout: String(stdout), stderr: String(stderr) }
}

/** The shortest a measurement can be. */
const SHORT = ['--repetitions', '2', '--min-time', '0.0001']

interface Entry {
  name: string
  run_name: string
  run_type: string
  real_time: number
  [key: string]: unknown
}

function measured(args: readonly string[]): { context: Record<string, unknown>; benchmarks: Entry[] } {
  const { status, stdout, stderr } = run([...args, ...SHORT, '-o', 'json'])
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: expect.not.stringMatching(/kernelet: (?!.*left out)/),
  })
  const report = JSON.parse(stdout) as { context: Record<string, unknown>; benchmarks: Entry[] }
  for (const { real_time } of report.benchmarks) expect(real_time).toBeGreaterThanOrEqual(0)
  return report
}

const namesOf = ({ benchmarks }: { benchmarks: Entry[] }): string[] => [
  ...new Set(benchmarks.map(({ run_name }) => run_name)),
]

describe('--help', () => {
  test('lists the commands below', () => {
    const { status, stdout } = run(['--help'])
    expect(status).toBe(0)
    for (const command of ['kernels', 'layers', 'train', 'models', 'peers', 'compare'])
      expect(stdout).toContain(`  bench ${command} `)
    expect(stdout).toMatch(/^Usage: kernelet bench \[COMMAND\] \[options\]/)
    expect(stdout).toContain('-o, --output FORMAT')
  })

  test.each(['kernels', 'layers', 'train', 'models', 'peers', 'compare'])(
    '%s: usage, options, examples',
    (command) => {
      const { status, stdout, stderr } = run([command, '--help'])
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(stdout).toMatch(new RegExp(`^Usage: kernelet bench ${command} `))
      expect(stdout).toMatch(/Options:\n {2}--[\s\S]*-h, --help[\s\S]*Examples:\n {2}kernelet bench /)
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(115)
    },
  )
})

describe('a wrong command line: exit code 2, one line, nothing measured', () => {
  test.each([
    [['kernel'], /unknown command kernel; did you mean kernels\? \(see kernelet bench --help\)/],
    [['constructor'], /unknown command constructor/],
    [['--batch', '0'], /--batch: expected a number from 1 up but received '0'/],
    [['--batch', '1,,2'], /--batch: expected A,B,C/],
    [['--isa', 'mmx'], /--isa: mmx is unknown; this machine has scalar/],
    [['--repetitions', 'x'], /--repetitions: expected a number/],
    [['--min-time', '0'], /--min-time: expected seconds/],
    [['--filter', '('], /--filter: Invalid regular expression/],
    [['-o', 'xml'], /-o: expected md, json, csv but received 'xml'/],
    [['--input', 'uint'], /--input: expected float32 or uint8 but received 'uint'; did you mean uint8\?/],
    [['--json', '-o', 'csv'], /--json contradicts -o csv/],
    [['--optput', 'md'], /unknown option --optput; did you mean --output\?/],
    [['kernels'], /expected --problem or --shapes \(see kernelet bench kernels --help\)/],
    [['kernels', '--problem', 'ic1ih8'], /problem 'ic1ih8': oc is missing/],
    [['kernels', '--problem', 'ic1ih8oc1', '--algorithm', 'fft'], /algorithm: expected one of .* 'fft'/],
    [['peers', '--peer', 'tensorfow'], /--peer: tensorfow is unknown; there are onnxruntime-node/],
    [['models', '--starts', '0'], /--starts: expected a number from 1 up but received '0'/],
    [['models', 'resnet19'], /--models: resnet19 is unknown; there are .*; did you mean resnet18\?/],
    [
      ['models', '--input', '3xx3', 'a.onnx'],
      /--input: expected a shape such as 3x224x224 but received '3xx3'/,
    ],
    [['compare', 'one.json'], /expected two files/],
    [['compare', 'a', 'b', '--fail-above', 'much'], /--fail-above: expected a percentage such as 5%/],
  ])('bench %j', (args, message) => {
    const { status, stdout, stderr } = run(args)
    expect(status).toBe(2)
    const lines = stderr.split('\n').filter((line) => line.startsWith('kernelet: '))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(message)
    expect(stdout).not.toContain('|')
  })

  test('and a file that cannot be read: exit code 1', () => {
    expect(run(['kernels', '--shapes', 'none.txt'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^kernelet: none\.txt cannot be read: /),
    })
    // nor is LeNet-5 measured instead
    writeFileSync(join(folder, 'comments.txt'), '# none\n')
    for (const command of ['kernels', 'peers'])
      expect(run([command, '--shapes', 'comments.txt'])).toMatchObject({
        status: 1,
        stderr: 'kernelet: comments.txt has no shapes\n',
      })
  })
})

describe('bench', () => {
  test('LeNet-5 through run and runAsync, start and memory', () => {
    const report = measured(['--batch', '1,9', '--threads', '1,2'])
    const { chosen } = (report.context.kernelet as { isa: { chosen: string } }).isa
    expect(namesOf(report)).toEqual([
      ...[1, 2].flatMap((threads) =>
        [1, 9].map((batch) => `lenet5/run/batch:${batch}/threads:${threads}/isa:${chosen}`),
      ),
      `lenet5/runAsync/batch:1/threads:1/isa:${chosen}`,
      ...['bare-node', 'process', 'first-result'].map((name) => `start/${name}`),
    ])
    const memory = report.benchmarks.find(({ name }) => name === 'start/first-result')
    expect(memory!.rss_over_node_bytes).toEqual(expect.any(Number))
    expect(report.context.kernelet).toMatchObject({
      compiler: expect.any(String),
      affinity: expect.any(Number),
      peak_gflops: { [chosen]: expect.any(Number) },
      read_gbs: { L1: expect.any(Number), memory: expect.any(Number) },
    })
  })

  test('for people: header, table, picture, and a report beside it', () => {
    const args = ['--filter', 'lenet5/run/batch:1/', '--batch', '1', '--threads', '1', '--isa', 'all']
    const { status, stdout } = run([...args, ...SHORT, '--plot', 'bars.svg', '--out', 'report.json'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^- kernelet .*: `kernelet bench --filter/)
    for (const word of [
      'CPU: ',
      'ISA: ',
      'compiler: ',
      'peak of one thread',
      'reads of one thread',
      'load average',
    ])
      expect(stdout).toContain(`\n- ${word}`)
    expect(stdout).toMatch(/\| call +\| ISA .*\n\| -+ \|/)
    expect(stdout).toContain('| scalar ')
    expect(stdout).not.toContain('## Start')
    expect(stdout).not.toContain('\x1b')
    expect(readFileSync(join(folder, 'bars.svg'), 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
    expect(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')).benchmarks.length).toBeGreaterThan(4)
  })

  test('bytes as input, fastest numerics: columns of their own', () => {
    const which = ['--batch', '2', '--threads', '1', '--filter', 'lenet5/run/']
    const { status, stdout } = run([...which, '--input', 'float32,uint8', '--numerics', 'fastest', ...SHORT])
    expect(status).toBe(0)
    expect(stdout).toMatch(/\| ISA +\| input +\| numerics \|/)
    expect(stdout).toMatch(/\| uint8 +\| fastest +\|/)
  })

  test('CSV', () => {
    const { stdout } = run(['--filter', 'run/batch:3/threads:1/', '--batch', '3', ...SHORT, '-o', 'csv'])
    const rows = stdout.trimEnd().split('\n')
    expect(rows).toHaveLength(2)
    expect(rows[0]).toMatch(/^name,call,isa,input,numerics,precision,batch,threads,/)
  })

  test('a filter that matches nothing says so', () => {
    expect(run(['--filter', 'nothing', ...SHORT])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/no benchmark matches --filter/),
    })
  })
})

describe('bench kernels', () => {
  test('the cross product, without what does not fit', () => {
    const options = [
      '--isa',
      'all',
      '--algorithm',
      'auto,im2col,direct-pixels',
      '--batch',
      '1,2',
      '--threads',
      '1,2',
    ]
    const report = measured(['kernels', '--problem', 'ic2ih10oc3kh3,g2ic2ih6oc2kh3sh2ph1', ...options])
    const names = namesOf(report)
    const { supported } = (report.context.kernelet as { isa: { supported: string[] } }).isa
    for (const isa of supported) {
      for (const mb of [1, 2]) {
        for (const algorithm of ['auto', 'im2col'])
          expect(names).toContain(
            `conv/mb${mb}ic2ih10iw10oc3oh8ow8kh3kw3/isa:${isa}/algorithm:${algorithm}/threads:2`,
          )
      }
    }
    const samples = report.benchmarks.filter(({ run_type: type }) => type === 'iteration')
    expect(samples.length).toBeGreaterThan(0)
    for (const { algorithm, ran, predicted, shape_bound: bound } of samples) {
      expect(bound).toBeGreaterThan(0)
      expect(bound).toBeLessThanOrEqual(1)
      if (algorithm !== 'im2col') continue
      expect(ran).toBe('im2col')
      expect(predicted ?? 0.5).toBeGreaterThan(0)
      expect(predicted ?? 0.5).toBeLessThan(1)
    }
  })

  test('what the choice loses against the best; stored for the fit, which reads it', () => {
    const algorithms = ['--algorithm', 'auto,im2col,direct-pixels,blocked', '--out', 'kernels.json']
    const { stdout } = run(['kernels', '--problem', 'ic3ih20oc8kh3,ic16ih9oc40kh3', ...algorithms, ...SHORT])
    expect(stdout).toMatch(/\| step alone \| +bound \| predicted \|/)
    expect(stdout).toMatch(/: the steps of the 2 shapes that are not depthwise reach [\d.]+ % of the peak/)
    expect(stdout).toMatch(
      /auto loses [\d.]+ % in the mean of 2 against the best .*; at worst [\d.]+ %: mb1ic/,
    )
    const fitted = (...args: string[]) =>
      spawnSync(process.execPath, [join(root, 'bench/fit.mjs'), ...args], { encoding: 'utf8', cwd: folder })
    expect(fitted('store', 'machine.json', 'kernels.json')).toMatchObject({ status: 0, stderr: '' })
    expect(fitted('machine.json')).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(
        /^machine: 2 problems\n[\s\S]*auto loses [\s\S]*% lost in the mean of \d/,
      ),
    })
    expect(fitted()).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^zen4: \d+ problems[\s\S]*\nzen5: \d+ problems/),
    })
    expect(fitted('store')).toMatchObject({ status: 2 })
  })

  test.each([
    [
      'history.mjs',
      ['all.json', 'none.json'],
      1,
      'history.mjs: none.json cannot be read: there is no such file',
    ],
    ['history.mjs', ['all.json', 'words.txt'], 1, /^history\.mjs: words\.txt is no JSON: (?!.*\n +at )/],
    [
      'history.mjs',
      ['all.json', 'other.json'],
      1,
      'history.mjs: other.json is not a report of kernelet bench --out',
    ],
    ['history.mjs', [], 2, 'node bench/history.mjs bench/history/VERSION-MACHINE.json REPORT.json …'],
    ['fit.mjs', ['none.json'], 1, 'fit.mjs: none.json cannot be read: there is no such file'],
    ['fit.mjs', ['--all'], 2, 'node bench/fit.mjs [bench/machines/NAME.json …]'],
    ['ways.mjs', ['none.onnx'], 1, 'ways.mjs: none.onnx cannot be read: there is no such file'],
    ['ways.mjs', ['--all'], 2, /^ways\.mjs: Unknown option '--all'[^\n]*\n$/],
    ['pictures.mjs', ['--all'], 2, /^pictures\.mjs: Unknown option '--all'[^\n]*\n$/],
    ['parts.mjs', ['--all'], 2, /^parts\.mjs: .*: bench models: unknown option --all [^\n]*\n$/],
  ])('%s %j: a sentence, no stack', (script, args, status, stderr) => {
    writeFileSync(join(folder, 'words.txt'), 'words\n')
    writeFileSync(join(folder, 'other.json'), '{}')
    const options = { encoding: 'utf8', cwd: folder } as const
    const ended = spawnSync(process.execPath, [join(root, 'bench', script), ...args], options)
    expect(ended).toMatchObject({
      status,
      stderr: typeof stderr === 'string' ? `${stderr}\n` : expect.stringMatching(stderr),
    })
  })

  test('ways.mjs: whole plans beside each other', () => {
    saveOnnx(new Conv2d(3, 16, { kernelSize: 3 }), join(folder, 'one.onnx'), { inputShape: [3, 8, 8] })
    const ways = (...args: string[]) =>
      spawnSync(process.execPath, [join(root, 'bench/ways.mjs'), ...args], { encoding: 'utf8', cwd: folder })
    const { status, stdout, stderr } = ways('one.onnx', '--seconds', '0.01')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^one, \w+, steps of one image: auto [\d.]+ µs, blocks .*, winograd [\d.]+ µs\n/)
    expect(stdout).toMatch(/\none, .* all side by side: 4 images .*, 32 images /)
    expect(ways()).toMatchObject({ status: 2 })
  })

  test('a file of shapes, and the roofline', () => {
    writeFileSync(join(folder, 'shapes.txt'), '# two\nic1ih9oc2kh3n"first"\nic2ih5oc4kh1n"second"\n')
    const { status, stdout } = run(['kernels', '--shapes', 'shapes.txt', ...SHORT, '--plot', 'roof.svg'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/\| first +\| mb1ic1ih9iw9oc2oh7ow7kh3kw3 +\|/)
    const svg = readFileSync(join(folder, 'roof.svg'), 'utf8')
    expect(svg.match(/<circle/g)).toHaveLength(2)
    expect(svg).toContain('second, ')
  })
})

describe('bench layers', () => {
  test('a row a step, with what bounds it', () => {
    const report = measured(['layers', '--batch', '1,16'])
    const names = namesOf(report)
    expect(names).toHaveLength(10)
    expect(names[0]).toMatch(/^lenet5\/conv1\+relu_1\+maxPool2d_1\/batch:1\/isa:/)
    for (const { bound, flops_per_byte, run_type } of report.benchmarks) {
      if (run_type !== 'iteration') continue
      expect(bound).toMatch(/^(compute|memory \((L\d|memory)\))$/)
      expect(flops_per_byte).toBeGreaterThan(0.1)
    }
    // fc1 of one image: 256·120 weights of 4 bytes, each used for one multiply-add
    expect(report.benchmarks.find(({ name }) => name.startsWith('lenet5/fc1'))!.flops_per_byte).toBeCloseTo(
      (2 * 256 * 120) / (4 * (256 + 120 + 257 * 120)),
      6,
    )
  })

  test('for people: the shares add up', () => {
    const { stdout } = run(['layers', ...SHORT])
    const shares = [...stdout.matchAll(/^\| (?:conv|fc)\d.*? (\d+\.\d) % +\| +[\d.]+ \|/gm)].map(
      ([, share]) => Number(share),
    )
    expect(shares).toHaveLength(5)
    expect(Math.abs(shares.reduce((a, b) => a + b) - 100)).toBeLessThan(0.5)
    expect(stdout).toMatch(/\nAll steps: .* GFLOP\/s, .* of peak\./)
  })
})

describe('bench peers', () => {
  const there = existsSync(join(root, 'bench/peers/node_modules/onnxruntime-node'))

  test('kernelet beside what is installed; the rest with the way to install it', () => {
    const args = ['peers', '--peer', 'onnxruntime-node', '--batch', '1,3', '--threads', '1']
    const { status, stdout, stderr } = run([...args, ...SHORT, '--plot', 'peers.svg'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/\| +3 \| +1 \| kernelet \d/)
    if (there) expect(stdout).toMatch(/\| onnxruntime-node 1\.\d+\.\d+ .*×/)
    else
      expect(stderr).toMatch(/onnxruntime-node is left out: .* npm --prefix bench\/peers ci --ignore-scripts/)
    expect(readFileSync(join(folder, 'peers.svg'), 'utf8')).toContain('batch 3, 1 thread')
  })

  test('single convolutions', () => {
    const problem = 'mb2g2ic4ih8oc6kh3sh2ph1'
    const report = measured(['peers', '--peer', 'onnxruntime-node', '--problem', problem])
    expect(namesOf(report)).toEqual([
      'peers/conv/mb2g2ic4ih8iw8oc6oh4ow4kh3kw3sh2sw2ph1pw1/threads:1/kernelet',
      ...(there ? ['peers/conv/mb2g2ic4ih8iw8oc6oh4ow4kh3kw3sh2sw2ph1pw1/threads:1/onnxruntime-node'] : []),
    ])
  })
})

describe('bench models', () => {
  writeFileSync(join(folder, 'tiny.txt'), 'input 2x6x6\nconv 4 k3 relu\nmean\nlinear 3\n')
  /** A peer that is kernelet itself, over JSON lines; `spoil` changes its answers. */
  const peer = (name: string, spoil: string) => {
    writeFileSync(
      join(folder, name),
      `import { readFileSync } from 'node:fs'
      import { createInterface } from 'node:readline'
      import { loadOnnx } from ${JSON.stringify(pathToFileURL(join(root, 'dist/index.js')).href)}
      let model
      const inputs = {}
      for await (const line of createInterface({ input: process.stdin })) {
        const { do: what, key, onnx, input } = JSON.parse(line)
        const answer = {}
        if (what === 'open') {
          model = loadOnnx(onnx).compile()
          answer.version = 'twin 1.2'
        } else if (what === 'prepare') {
          const bytes = readFileSync(input)
          inputs[key] = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
          answer.output = [...model.run(inputs[key])]
        } else {
          const begin = process.hrtime.bigint()
          model.run(inputs[key])
          answer.ns = [Number(process.hrtime.bigint() - begin)]
        }
        ${spoil}
        console.log(JSON.stringify(answer))
      }`,
    )
    return `"${process.execPath}" ${name}`
  }

  test('a list of layers beside a peer that speaks JSON lines', () => {
    const args = ['models', 'tiny.txt', '--peer', 'none', '--command', peer('twin.mjs', ''), '--batch', '1,3']
    const report = measured([...args, '--numerics', 'exact,fastest', '--tune'])
    expect(namesOf(report)).toEqual(
      [1, 3].flatMap((batch) =>
        ['kernelet', 'kernelet/tuned', 'kernelet/fastest', 'kernelet/fastest/tuned', 'command'].map(
          (name) => `models/tiny/batch:${batch}/threads:1/${name}`,
        ),
      ),
    )
    const medians = report.benchmarks.filter(({ name }) => name.endsWith('_median'))
    for (const one of medians) {
      expect(one).toMatchObject({ difference: 0, start_ms: expect.any(Number), bound_ns: expect.any(Number) })
      if (one.contender !== 'command') expect(one.ratio_command).toBeGreaterThan(0)
    }
    expect(medians[4]).toMatchObject({ runtime: 'command twin 1.2' })
  })

  test('for people: columns, and the picture', () => {
    const args = ['models', '--models', 'tiny.txt', '--peer', 'none', '--plot', 'models.svg']
    const { status, stdout } = run([...args, ...SHORT])
    expect(status).toBe(0)
    for (const title of ['network', 'p50', 'p90', 'img/s', 'GFLOP/s', '% of peak', 'bound', 'start', 'MB'])
      expect(stdout).toMatch(new RegExp(`\\| *${title} *\\|`))
    expect(readFileSync(join(folder, 'models.svg'), 'utf8')).toContain('tiny, batch 1, 1 thread')
  })

  test('--summary: tables of a row a network, over several starts', () => {
    writeFileSync(join(folder, 'other.txt'), 'input 2x6x6\nconv 4 k3 relu\nmean\nlinear 3\n')
    const twin = peer('twin.mjs', '')
    const args = ['models', 'tiny.txt', 'other.txt', '--peer', 'none', '--command', twin, '--starts', '2']
    const { status, stdout } = run([...args, '--summary', '--out', 'summary.json', ...SHORT])
    expect(status).toBe(0)
    expect(stdout.match(/^## .*/gm)).toEqual([
      '## Ratios to twin 1.2',
      '## Batch 1',
      '## Start and memory, batch 1',
    ])
    for (const row of ['tiny', 'other', 'geometric mean', 'lowest', 'highest'])
      expect(stdout.match(new RegExp(`^\\| ${row} .*`, 'gm'))).toHaveLength(3)
    const { benchmarks } = JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8'))
    expect(namesOf({ benchmarks })).toHaveLength(4)
    const medians = (benchmarks as Entry[]).filter(({ name }) => name.endsWith('_median'))
    for (const { start_ms } of medians) expect(start_ms).toBeGreaterThan(0)
    // as Linux tells it
    if (process.platform === 'linux')
      for (const { peak_rss_bytes } of medians) expect(peak_rss_bytes).toBeGreaterThan(1e6)
  })

  test('a peer that computes something else ends the run', () => {
    const wrong = peer('wrong.mjs', 'if (answer.output) answer.output[1] += 1')
    expect(run(['models', 'tiny.txt', '--peer', 'none', '--command', wrong, ...SHORT])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /tiny: command twin 1\.2: value 1 is .* where kernelet has .*; nothing was timed/,
      ),
    })
  })

  test.each([
    [
      'ends',
      'console.error("no such model"); process.exit(3)',
      /command, 1 thread is left out: ended with exit code 3: no such model/,
    ],
    [
      'babbles',
      'console.log("hello")',
      /command, 1 thread is left out: expected a line of JSON but received hello/,
    ],
    ['cannot', 'answer.error = "no such operator"', /command, 1 thread is left out: no such operator/],
    [
      'forgets',
      'delete answer.output',
      /command, 1 thread is left out: expected output to be a list of numbers/,
    ],
  ])('a peer that %s is left out; the others count', (name, spoil, message) => {
    const args = ['models', 'tiny.txt', '--peer', 'none', '--command', peer(`${name}.mjs`, spoil)]
    const { status, stdout, stderr } = run([...args, ...SHORT])
    expect(status).toBe(0)
    expect(stderr).toMatch(message)
    expect(stdout).toMatch(/\| tiny .*\| kernelet \d/)
  })

  test('a file that is not there: exit code 1; among others it is left out', () => {
    expect(run(['models', 'none.onnx', ...SHORT])).toMatchObject({ status: 1 })
    const { status, stderr } = run(['models', 'none.onnx', 'tiny.txt', '--peer', 'none', ...SHORT])
    expect(status).toBe(0)
    expect(stderr).toMatch(/none\.onnx is left out: /)
  })
})

describe('bench compare', () => {
  const report = (file: string, times: Record<string, number[]>, cpu = 'one') => {
    const benchmarks = Object.entries(times).flatMap(([name, all]) =>
      all.map((real_time) => ({ name, run_type: 'iteration', real_time, time_unit: 'ns' })),
    )
    writeFileSync(join(folder, file), JSON.stringify({ context: { kernelet: { cpu } }, benchmarks }))
  }
  report('old.json', { a: [100, 101, 102, 103], b: [10, 11, 12, 13], gone: [1] })
  report('new.json', { a: [110, 111, 112, 113], b: [10.5, 11.5, 12.5, 12.6], fresh: [1] })

  test('medians, change, p and verdict', () => {
    const { status, stdout, stderr } = run(['compare', 'old.json', 'new.json'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/\| a +\| +102 ns \| +112 ns \| \+9\.9 % \| 0\.0286 \| slower +\|/)
    expect(stdout).toMatch(/\| b .*\| same +\|/)
    expect(stdout).toMatch(/Geometric mean of new \/ old: 1\.0/)
    expect(stderr).toMatch(/1 not in new\.json: gone\nkernelet: 1 not in old\.json: fresh/)
  })

  test('--fail-above: exit code 1 past the threshold, of real changes only', () => {
    expect(run(['compare', 'old.json', 'new.json', '--fail-above', '5%'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/1 of 2 slower by more than 5 %/),
    })
    expect(run(['compare', 'old.json', 'new.json', '--fail-above', '15']).status).toBe(0)
    expect(run(['compare', 'old.json', 'new.json', '--fail-above', '1', '--filter', '^b$']).status).toBe(0)
    expect(run(['compare', 'new.json', 'old.json', '--fail-above', '5%']).status).toBe(0)
  })

  test('a folder: medians by date, machine by machine, and a picture', () => {
    const history = join(folder, 'history')
    mkdirSync(history)
    const entry = (name: string, date: string, cpu: string, times: Record<string, number[]>) => {
      const benchmarks = Object.entries(times).flatMap(([key, all]) =>
        all.map((real_time) => ({ name: key, run_type: 'iteration', real_time, time_unit: 'us' })),
      )
      writeFileSync(join(history, name), JSON.stringify({ context: { date, kernelet: { cpu } }, benchmarks }))
    }
    entry('b.json', '2026-02-01', 'one', { run: [8, 9, 10], fresh: [3] })
    entry('a.json', '2026-03-01', 'one', { run: [4, 5, 6] })
    entry('c.json', '2026-01-01', 'two', { run: [7] })
    const { status, stdout } = run(['compare', 'history', '--plot', 'history.svg'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/## one\n\n\| benchmark \| +b \| +a \| last \/ first \|/)
    expect(stdout).toMatch(/\| run +\| 9\.00 µs \| 5\.00 µs \| +0\.556 \|/)
    expect(stdout).toMatch(/\| fresh +\| 3\.00 µs \| +– \| +\|/)
    expect(stdout).toContain('## two')
    const svg = readFileSync(join(folder, 'history.svg'), 'utf8')
    expect(svg.match(/<circle/g)).toHaveLength(4)
    const [one] = JSON.parse(run(['compare', 'history', '--json']).stdout)
    expect(one).toMatchObject({
      machine: 'one',
      benchmarks: [{ name: 'run', ns: [9000, 5000] }, { name: 'fresh' }],
    })
    expect(run(['compare', 'history', '-o', 'csv', '--filter', 'fresh']).stdout).toMatch(
      /"one","b","2026-02-01","fresh","3000"/,
    )
    expect(run(['compare', 'history', '--filter', 'none'])).toMatchObject({ status: 2 })
    expect(run(['compare', 'history', '--fail-above', '5'])).toMatchObject({ status: 2 })
    expect(run(['compare', 'old.json', 'new.json', '--plot', 'x.svg'])).toMatchObject({ status: 2 })
  })

  test('a CPU of one name on two machines is two tables', () => {
    const machines = mkdtempSync(join(tmpdir(), 'kernelet-machines-'))
    for (const machine of ['fast', 'slow']) {
      const benchmarks = [{ name: 'run', run_type: 'iteration', real_time: 5, time_unit: 'us' }]
      const context = { date: '2026-01-01', kernelet: { cpu: 'one' } }
      writeFileSync(join(machines, `0.1.0-${machine}.json`), JSON.stringify({ context, benchmarks }))
    }
    const { stdout } = run(['compare', machines])
    expect(stdout).toMatch(/## one, fast\n[\s\S]*## one, slow\n/)
    expect(stdout).not.toMatch(/\d\.\d{3} \|/)
    rmSync(machines, { recursive: true })
  })

  test('the reports of the repository can be read', () => {
    expect(run(['compare', join(root, 'bench/history')])).toMatchObject({ status: 0, stderr: '' })
  })

  test('JSON and CSV', () => {
    const [a] = JSON.parse(run(['compare', 'old.json', 'new.json', '--json']).stdout)
    expect(a).toMatchObject({ name: 'a', old: 101.5, new: 111.5, verdict: 'slower' })
    expect(run(['compare', 'old.json', 'new.json', '-o', 'csv']).stdout).toMatch(
      /^name,old_ns,.*\n"a",101\.5,111\.5,/,
    )
  })

  test('reports that cannot be compared', () => {
    report('other.json', { z: [1] }, 'two')
    writeFileSync(join(folder, 'text.json'), 'hello')
    expect(run(['compare', 'old.json', 'other.json']).stderr).toMatch(/no benchmark in common/)
    expect(run(['compare', 'old.json', 'text.json'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/text\.json is not a report of kernelet bench -o json/),
    })
    expect(run(['compare', 'old.json', 'none.json']).stderr).toMatch(/none\.json cannot be read/)
    report('other.json', { a: [1] }, 'two')
    expect(run(['compare', 'old.json', 'other.json']).stderr).toMatch(/different machines: one and two/)
  })
})

const native = join(root, 'build/kernelet_bench')
describe.skipIf(!existsSync(native))('kernelet_bench, without Node', () => {
  const bench = (...args: string[]) => spawnSync(native, args, { encoding: 'utf8', cwd: root })

  test('understands every file of shapes as this program does', () => {
    for (const file of ['lenet5', 'resnet18', 'resnet50', 'vgg16', 'mobilenetv2', 'gemm', 'general']) {
      // an algorithm that is not there: the shapes have been read by then
      const { status, stderr } = bench('--shapes', `bench/shapes/${file}.txt`, '--isa', 'none')
      expect({ status, stderr }).toEqual({
        status: 2,
        stderr: expect.stringMatching(/isa 'none' is not in this/),
      })
    }
  })

  test('checks, then measures', () => {
    const problem = 'mb2g2ic4ih8oc6kh3sh2ph1n"it"'
    const options = ['--isa', 'all', '--algorithm', 'auto,im2col', '--threads', '1,2', '--iterations', '2']
    const { status, stdout } = bench('--problem', problem, ...options)
    expect(status).toBe(0)
    expect(stdout).toMatch(/\nmb2g2ic4ih8iw8oc6oh4ow4kh3kw3sh2sw2ph1pw1 +scalar +im2col .* it\n/)
  })

  test('says what is wrong', () => {
    expect(bench('--problem', 'ic1ih8')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/oc is missing/),
    })
    expect(bench('--nonsense', '1')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/unknown option/),
    })
    expect(bench()).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/expected --problem or --shapes/),
    })
    expect(bench('--help')).toMatchObject({ status: 0, stdout: expect.stringMatching(/--shapes FILE/) })
  })
})
