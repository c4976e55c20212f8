/** The `kernelet` program, run as users run it; dist/ must be built (npm run build:ts). */
import { type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { didYouMean } from '../lib/cli/suggest.ts'
import { loadSafetensors, loadTorch, saveSafetensors, Tensor, version } from '../lib/index.ts'
import { grayPng, two } from './digits-pictures.ts'
import { fixtures, root } from './helpers.ts'
import { onnxModel } from './onnx-models.ts'

const program = join(root, 'bin/kernelet.js')
const examples = join(root, 'examples/digits')
const folder = mkdtempSync(join(tmpdir(), 'kernelet-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function run(args: string[], options: SpawnSyncOptions = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    cwd: folder,
    ...options,
  })
  return { status, stdout: String(stdout), stderr: String(stderr) }
}

/** A wrong command line: exit code 2 and one line on stderr. */
function misused(...args: string[]): string {
  const { status, stdout, stderr } = run(args)
  expect({ status, stdout, lines: stderr.trimEnd().split('\n').length }).toEqual({
    status: 2,
    stdout: '',
    lines: 1,
  })
  return stderr.trimEnd()
}

describe('the program', () => {
  test('is executable and begins with the interpreter', () => {
    expect(readFileSync(program, 'utf8').startsWith('#!/usr/bin/env node\n')).toBe(true)
    if (process.platform !== 'win32') expect(spawnSync(program, ['--version']).status).toBe(0)
  })

  test('--version, --help', () => {
    expect(run(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
    const help = run(['--help'])
    expect(help).toMatchObject({ status: 0, stderr: '' })
    for (const command of commands) expect(help.stdout).toContain(`  ${command} `)
    expect(run(['-h'])).toEqual(help)
    expect(run([])).toEqual({ status: 2, stdout: '', stderr: help.stdout })
  })

  const commands = readdirSync(join(root, 'lib/cli/commands')).map((file) => file.replace('.ts', ''))

  test.each(commands)('%s --help: usage, every option, an example that begins with it', (command) => {
    const { status, stdout, stderr } = run([command, '--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^Usage: kernelet ${command} `))
    expect(stdout).toMatch(/Options:\n[\s\S]* {2}-h, --help[\s\S]*Examples:\n {2}/)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(110)
  })

  test('unknown commands and options: one line, with what may have been meant', () => {
    expect(misused('clasify')).toBe(
      'kernelet: unknown command clasify; did you mean classify? (see kernelet --help)',
    )
    expect(misused('frobnicate')).toBe('kernelet: unknown command frobnicate (see kernelet --help)')
    expect(misused('--jsn')).toMatch(/unknown option --jsn; a command comes first/)
    expect(misused('classify', '--jsn', 'x')).toMatch(
      /unknown option --jsn; did you mean --json\? \(see kernelet classify --help\)/,
    )
    expect(misused('info', 'extra')).toMatch(/info: unexpected extra/)
    expect(misused('classify')).toMatch(/expected one or more picture files/)
    expect(misused('classify', 'x.png', '--isa')).toMatch(/--isa/)
    expect(misused('info', '--json=yes')).toMatch(/--json/)
    expect(misused('constructor')).toMatch(/unknown command constructor/)
    expect(misused('../main')).toMatch(/unknown command/)
  })

  test('suggestions', () => {
    const names = ['classify', 'info', 'summary']
    expect(didYouMean('ifno', names)).toBe('; did you mean info?')
    expect(didYouMean('SUMMARY', names)).toBe('; did you mean summary?')
    expect(didYouMean('class', names)).toBe('; did you mean classify?')
    expect(didYouMean('bench', names)).toBe('')
  })
})

describe('classify', () => {
  test('one aligned line a picture: file, digit, confidence', () => {
    copyFileSync(join(examples, '3-blue-pen-on-yellow-paper.png'), join(folder, '3-blue-pen.png'))
    copyFileSync(join(examples, '4-off-centre.png'), join(folder, '4.png'))
    writeFileSync(
      join(folder, 'blank.png'),
      grayPng({ data: new Uint8Array(900).fill(255), width: 30, height: 30 }),
    )
    const { status, stdout, stderr } = run(['classify', '3-blue-pen.png', '4.png', 'blank.png'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(
      /^3-blue-pen\.png {2}3 {2}[ \d]\d\d\.\d %\n4\.png {11}4 {2}[ \d]\d\d\.\d %\nblank\.png {7}– {2}no digit\n$/,
    )
  })

  test('--json: everything, for programs', () => {
    const { status, stdout } = run(['classify', '--json', '3-blue-pen.png', 'missing.png', 'blank.png'])
    expect(status).toBe(1)
    const [three, missing, blank] = JSON.parse(stdout)
    expect(three).toMatchObject({ file: '3-blue-pen.png', status: 'digit', digit: 3 })
    expect(three.probabilities).toHaveLength(10)
    expect(three.confidence).toBe(three.probabilities[3])
    expect(three.boxes).toHaveLength(1)
    expect(missing).toEqual({
      file: 'missing.png',
      error: { code: 'ERR_IO', message: 'missing.png cannot be read: there is no such file' },
    })
    expect(blank).toEqual({
      file: 'blank.png',
      status: 'no digit',
      digit: null,
      confidence: 0,
      probabilities: null,
      boxes: [],
    })
  })

  test('bad files: a clear line each on stderr, exit code 1, and the others are still read', () => {
    const whole = grayPng(two)
    mkdirSync(join(folder, 'folder.png'))
    const files: Record<string, [content: Uint8Array | string | null, message: RegExp]> = {
      'missing.png': [null, /missing\.png cannot be read: there is no such file/],
      'folder.png': [null, /folder\.png has no pictures in it/],
      'text.png': ['Dear reader,\n', /text\.png is not a picture: it begins with "Dear reader/],
      'empty.png': ['', /empty\.png is empty/],
      'half.png': [whole.subarray(0, whole.length / 2), /half\.png is not a whole PNG: it ends too early/],
      'photo.jpg': [
        Buffer.from('\xff\xd8\xff\xe0 ', 'latin1'),
        /photo\.jpg( is a JPEG; .*npm install sharp|: sharp cannot read)/,
      ],
    }
    for (const [file, [content]] of Object.entries(files))
      if (content !== null) writeFileSync(join(folder, file), content)
    const { status, stdout, stderr } = run(['classify', ...Object.keys(files), '4.png'])
    expect(status).toBe(1)
    expect(stdout).toMatch(/^4\.png +4 .*\n$/)
    const lines = stderr.trimEnd().split('\n')
    expect(lines).toHaveLength(Object.keys(files).length)
    Object.values(files).forEach(([, message], i) => {
      expect(lines[i]).toMatch(/^kernelet: /)
      expect(lines[i]).toMatch(message)
    })
  })

  test('folders, lists and the standard input', () => {
    mkdirSync(join(folder, 'tree/b/c'), { recursive: true })
    const four = readFileSync(join(folder, '4.png'))
    for (const name of ['b/c/4.png', 'b/3,"x".png', 'a.txt', 'z.PNG'])
      writeFileSync(join(folder, 'tree', name), four)
    symlinkSync('..', join(folder, 'tree/b/up'))
    writeFileSync(join(folder, 'names.txt'), '4.png\r\n\nblank.png\n')
    const csv = (...args: string[]) => run(['classify', '--csv', ...args]).stdout.split('\n')
    const [head, ...rows] = csv('tree', '4.png')
    expect(head).toBe('file,status,label,confidence,error')
    expect(rows).toEqual([
      expect.stringMatching(/^"tree\/b\/3,""x""\.png",digit,4,[01]\.\d{4},$/),
      expect.stringMatching(/^tree\/b\/c\/4\.png,digit,4,/),
      expect.stringMatching(/^tree\/z\.PNG,digit,4,/),
      expect.stringMatching(/^4\.png,digit,4,/),
      '',
    ])
    expect(csv('--list', 'names.txt').slice(1, 3)).toEqual([
      expect.stringMatching(/^4\.png,digit,4/),
      'blank.png,no digit,,0.0000,',
    ])
    const piped = run(['classify', '-', 'missing.png', '--ndjson'], { input: four })
    const lines = piped.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(piped.status).toBe(1)
    expect(lines).toEqual([
      expect.objectContaining({ file: '-', status: 'digit', digit: 4 }),
      { file: 'missing.png', error: { code: 'ERR_IO', message: expect.stringMatching(/no such file/) } },
    ])
    expect(run(['classify', '--list', '-'], { input: '4.png\n' }).stdout).toMatch(/^4\.png {2}4 /)
    expect(JSON.parse(run(['classify', '--json', '--list', '-'], { input: '' }).stdout)).toEqual([])
    expect(run(['classify', '--list', 'none.txt']).stderr).toMatch(
      /none\.txt cannot be read: there is no such file/,
    )
    expect(misused('classify', '4.png', '--csv', '--json')).toMatch(/--json and --csv do not go together/)
    expect(misused('classify', '-', '--list', '-')).toMatch(/can be read once/)
    expect(misused('classify', '4.png', '--threshold', '2')).toMatch(/from 0 to 1/)
  })

  test('results come in order, however many there are', () => {
    const names = Array.from({ length: 700 }, (_, i) =>
      i % 7 === 0 ? 'blank.png' : i % 5 === 0 ? '3-blue-pen.png' : '4.png',
    )
    const { stdout } = run(['classify', '--ndjson', '--list', '-'], { input: names.join('\n') })
    const said = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(said.map(({ file }) => file)).toEqual(names)
    for (const { file, digit } of said) {
      expect(digit).toBe(file === '4.png' ? 4 : file === 'blank.png' ? null : 3)
    }
  })

  test.skipIf(process.getuid?.() === 0 || process.platform === 'win32')('no permission', () => {
    const locked = join(folder, 'locked')
    mkdirSync(locked)
    writeFileSync(join(locked, 'x.png'), grayPng(two))
    chmodSync(locked, 0)
    const { status, stderr } = run(['classify', 'locked/x.png'])
    chmodSync(locked, 0o700)
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'kernelet: locked/x.png cannot be read: permission denied\n',
    })
  })

  test('--isa and KERNELET_ISA; names that are not there are listed', () => {
    expect(run(['classify', '--isa', 'scalar', '4.png']).stdout).toMatch(/^4\.png {2}4 /)
    expect(misused('classify', '--isa', 'mmx', '4.png')).toMatch(/mmx.*scalar/)
    const { status, stderr } = run(['classify', '4.png'], { env: { ...process.env, KERNELET_ISA: 'mmx' } })
    expect(status).toBe(2)
    expect(stderr).toMatch(/mmx.*scalar/)
  })

  test('--weights', () => {
    const weights = join(root, 'models/lenet5-mnist.safetensors')
    expect(run(['classify', '--weights', weights, '4.png'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^4\.png {2}4 /),
    })
    expect(run(['classify', '--weights', '4.png', '4.png'])).toMatchObject({ status: 1, stdout: '' })
    expect(run(['classify', '--weights', 'none', '4.png']).stderr).toMatch(/^kernelet: .*none/)
  })

  test('no colour where no person looks', () => {
    const { stdout, stderr } = run(['classify', '4.png', 'missing.png'])
    expect(stdout + stderr).not.toContain('\x1b')
  })

  test('a reader that goes away is no error', async () => {
    const files = Array.from({ length: 400 }, () => '4.png')
    const child = spawn(process.execPath, [program, 'classify', ...files], { cwd: folder })
    let stderr = ''
    child.stderr.on('data', (data) => {
      stderr += data
    })
    child.stdout.once('data', () => child.stdout.destroy())
    const status = await new Promise((resolve) => child.on('close', resolve))
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})

describe('info', () => {
  test('for people', () => {
    const { status, stdout, stderr } = run(['info'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const wanted = [
      'kernelet',
      'Node',
      'platform',
      'CPU',
      'compiler',
      'ISA',
      '  compiled',
      '  supported',
      'threads',
      '  CPUs',
    ]
    const lines = stdout.trimEnd().split('\n')
    expect(lines.map((line) => /^( *\S+)/.exec(line)![1])).toEqual(wanted)
    expect(stdout).toContain(version)
    expect(stdout).toContain(process.versions.node)
  })

  test('--json, and why an instruction set was chosen', () => {
    const info = JSON.parse(
      run(['info', '--json'], { env: { ...process.env, KERNELET_ISA: 'scalar' } }).stdout,
    )
    expect(info).toMatchObject({
      kernelet: version,
      node: process.versions.node,
      platform: process.platform,
      arch: process.arch,
      cpu: expect.any(String),
      compiler: expect.any(String),
      isa: { chosen: 'scalar', reason: 'KERNELET_ISA' },
      threads: { affinity: expect.any(Number) },
    })
    expect(info.isa.compiled).toEqual(expect.arrayContaining(info.isa.supported))
  })

  test('still says what it can where the instruction set is wrong', () => {
    const { status, stdout, stderr } = run(['info'], { env: { ...process.env, KERNELET_ISA: 'mmx' } })
    expect(status).toBe(2)
    expect(stdout).toContain(version)
    expect(stderr).toMatch(/^kernelet: .*mmx/)
  })
})

describe('summary', () => {
  test('LeNet-5 as shipped', () => {
    const { status, stdout } = run(['summary'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/conv1 .*\[6, 24, 24\]/)
    expect(stdout).toMatch(/total .*44,426 +281,640/)
    expect(stdout).not.toContain('Note')
  })

  test('the worked example: 3×128×128, the first linear layer sized to fit, and said so', () => {
    const { status, stdout } = run(['summary', '--input', '3x128x128'])
    expect(status).toBe(0)
    for (const shape of ['6, 124, 124', '6, 62, 62', '16, 58, 58', '16, 29, 29', '13456'])
      expect(stdout).toContain(`[${shape}]`)
    expect(stdout).toMatch(/Note: fc1 is sized to fit, Linear\(13456, 120\).*256/)
    const json = JSON.parse(run(['summary', '--input', '3x128x128', '--json']).stdout)
    expect(json).toMatchObject({
      model: 'lenet5',
      inputShape: [3, 128, 128],
      note: expect.stringMatching(/^Note/),
    })
    expect(json.layers.map(({ name }: { name: string }) => name)).toContain('fc1')
    expect(json.parameters).toBe(456 + 2416 + 13456 * 120 + 120 + 10164 + 850)
  })

  test('the network of the paper, and the smallest', () => {
    expect(run(['summary', '--model', 'lenet5-1998']).stdout).toMatch(/total +60,000 +[\d,]+ +340,908\n/)
    expect(run(['summary', '--model', 'logistic-regression', '--input', '1x2x2']).stdout).toMatch(
      /total +5 +4 +5\n/,
    )
    expect(misused('train', '--model', 'lenet5-1998')).toContain('examples/lenet5-1998.js trains it')
  })

  test('inputs that do not fit, or are none', () => {
    expect(run(['summary', '--input', '1x8x8'])).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(/^kernelet: conv2: /),
    })
    expect(run(['summary', '--input', '1x8000x8000'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/too many/),
    })
    expect(run(['summary', '--input', '1x20000x20000'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^kernelet: relu_1: input: expected .* at most 2147483647 elements/),
    })
    expect(misused('summary', '--input', '128')).toMatch(
      /channels x height x width, such as 3x128x128, but received 128/,
    )
    expect(misused('summary', '--input', '0x28x28')).toMatch(/0x28x28/)
    expect(misused('summary', '--model', 'lenet')).toMatch(/unknown model lenet; did you mean lenet5\?/)
    expect(misused('summary', '--model', 'toString')).toMatch(/unknown model toString/)
  })
})

describe('inspect', () => {
  const weights = join(root, 'models/lenet5-mnist.safetensors')
  const torch = (name: string) => join(fixtures, 'torch', name)

  test('safetensors', () => {
    const { status, stdout } = run(['inspect', weights])
    expect(status).toBe(0)
    expect(stdout).toContain('safetensors, 10 tensors\n')
    expect(stdout).toMatch(/^conv2\.weight +F32 +\[16, 6, 5, 5\] +2,400$/m)
    expect(stdout).toMatch(/^total +44,426$/m)
    expect(stdout).toMatch(/^ {2}temperature +0\.\d+$/m)
  })

  test('.pt, as JSON', () => {
    const { status, stdout } = run(['inspect', torch('checkpoint.pt'), '--key', 'model', '--json'])
    expect(status).toBe(0)
    const { tensors, ...rest } = JSON.parse(stdout)
    expect(rest).toMatchObject({
      format: 'torch',
      bytes: readFileSync(torch('checkpoint.pt')).length,
      numbers: 29,
      metadata: { epoch: '3', done: 'true' },
    })
    expect(tensors[0]).toEqual({ name: '0.weight', dtype: 'F32', shape: [2, 1, 3, 3], bytes: 72 })
    expect(tensors.at(-1)).toMatchObject({ name: '1.num_batches_tracked', dtype: 'I64', shape: [] })
  })

  test('an ONNX model, its operators too', () => {
    const { status, stdout } = run(['inspect', join(fixtures, 'residual.torchscript.onnx')])
    expect(status).toBe(0)
    expect(stdout).toContain('residual.torchscript.onnx: onnx, 8 tensors\n')
    expect(stdout).toMatch(/^c\.weight +F32 +\[6, 4, 3, 3\] +216$/m)
    expect(stdout).toMatch(/^ {2}opset +20$/m)
    expect(stdout).toMatch(/^In {3}input: float\[N,1,14,14\]$/m)
    expect(stdout).toMatch(/^ {2}Concat +\/Relu_1_output_0, \/Tanh_output_0 +→ +\/Concat_output_0$/m)
    const json = JSON.parse(run(['inspect', join(fixtures, 'bn_depthwise.dynamo.onnx'), '--json']).stdout)
    expect(json).toMatchObject({ format: 'onnx', outputs: [{ name: 'output', shape: ['N', 7] }] })
    expect(json.nodes[1]).toMatchObject({ op: 'Clip', outputs: ['hardtanh'] })
  })

  test('what of an ONNX model loads, compiles and trains', () => {
    const path = join(fixtures, 'residual.torchscript.onnx')
    const { stdout } = run(['inspect', path])
    expect(stdout).toMatch(/^Operator +Nodes +run +compile +train$/m)
    expect(stdout).toMatch(/^Size [\d,]+ bytes$/m)
    expect(stdout).toMatch(/^Conv +3 +yes +yes +yes$/m)
    expect(stdout).toMatch(/^Shape +1 +yes +yes +yes$/m)
    expect(stdout).toMatch(/^Loads +yes\nCompiles +yes\nTrains +yes$/m)
    const json = JSON.parse(run(['inspect', path, '--json']).stdout)
    expect(json.operators.find(({ op }: { op: string }) => op === 'Relu')).toEqual({
      op: 'Relu',
      count: 2,
      nodes: ['/Relu', '/Relu_1'],
      run: true,
      compile: true,
      train: true,
    })
    expect(json).toMatchObject({ loads: { ok: true }, compiles: { ok: true }, trains: { ok: true } })
  })

  test('all that an ONNX model lacks, at once, and what only run() does', () => {
    const lacking = join(folder, 'lacking.onnx')
    const nodes = [
      { op: 'Nope', domain: 'ai.example', name: 'first', inputs: ['x'], outputs: ['a'] },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'Never', name: 'second', inputs: ['b'], outputs: ['c'] },
      { op: 'Never', name: 'third', inputs: ['c'], outputs: ['y'] },
    ]
    writeFileSync(
      lacking,
      onnxModel({ opset: 17, nodes, inputs: { x: { shape: ['N', 3] } }, outputs: ['y'] }),
    )
    const { status, stdout } = run(['inspect', lacking])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^Never +2 +no +no +no$/m)
    expect(stdout).toMatch(/^ai\.example\.Nope +1 +no +no +no$/m)
    expect(stdout).toMatch(/^Loads +no: .*not supported:$/m)
    expect(stdout).toMatch(/the operator Never: nodes "second", "third"/)
    expect(stdout).toMatch(/the operator Nope of "ai\.example": node "first"/)
    const json = JSON.parse(run(['inspect', lacking, '--json']).stdout)
    expect(json.operators).toContainEqual(
      expect.objectContaining({ op: 'Never', count: 2, nodes: ['second', 'third'], run: false }),
    )
    const running = join(folder, 'running.onnx')
    const free = { x: { shape: ['N', 3, 'H', 'W'] } }
    writeFileSync(
      running,
      onnxModel({
        opset: 17,
        nodes: [
          { op: 'Relu', inputs: ['x'], outputs: ['a'] },
          { op: 'NonZero', name: 'places', inputs: ['a'], outputs: ['y'] },
        ],
        inputs: free,
        outputs: ['y'],
      }),
    )
    const other = JSON.parse(run(['inspect', running, '--json']).stdout)
    expect(other).toMatchObject({
      loads: { ok: true },
      compiles: { ok: false, reason: expect.stringContaining('places') },
      trains: { ok: false, reason: expect.stringContaining('no weights') },
    })
  })

  test('names that would steer the terminal', () => {
    const path = join(folder, 'steer.safetensors')
    saveSafetensors(path, { 'a\u001b[2J\nb': new Tensor(new Float32Array(1), [1]) }, { note: '\u0007' })
    const { stdout } = run(['inspect', path])
    expect(stdout).toContain('a\\u{1b}[2J\\u{a}b')
    expect(stdout).toContain('\\u{7}')
  })

  test('what cannot be shown', () => {
    expect(run(['inspect', torch('module.pt')])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^kernelet: .*module\.pt holds a torch\.nn/),
    })
    expect(run(['inspect', torch('legacy.pt')]).stderr).toContain('before PyTorch 1.6')
    expect(run(['inspect', 'none.pt']).stderr).toMatch(/none\.pt cannot be read/)
    expect(misused('inspect')).toMatch(/expected one file/)
    expect(misused('inspect', weights, '--key', 'model')).toMatch(/has no part "model"/)
    expect(misused('inspect', torch('checkpoint.pt'))).toMatch(/such as "model"/)
  })
})

describe('convert', () => {
  const source = join(fixtures, 'torch/bn_depthwise.state_dict.pt')

  test('.pt to safetensors: the bytes that Python writes', () => {
    expect(run(['convert', source, 'w.safetensors'])).toMatchObject({
      status: 0,
      stdout: 'w.safetensors: 17 tensors\n',
    })
    expect(readFileSync(join(folder, 'w.safetensors'))).toEqual(
      readFileSync(join(fixtures, 'torch/bn_depthwise.safetensors')),
    )
  })

  test('the weights of an ONNX model, which PyTorch names as in its state_dict', () => {
    const model = join(fixtures, 'residual.dynamo.onnx')
    expect(run(['convert', model, 'onnx.safetensors']).stdout).toBe('onnx.safetensors: 8 tensors\n')
    expect([...loadSafetensors(join(folder, 'onnx.safetensors')).keys()]).toContain('b.weight')
  })

  test('shards to one file', () => {
    writeFileSync(
      join(folder, 'w.index.json'),
      JSON.stringify({
        weight_map: Object.fromEntries([...loadTorch(source).keys()].map((name) => [name, 'w.safetensors'])),
      }),
    )
    expect(run(['convert', 'w.index.json', 'one.safetensors']).status).toBe(0)
    expect(readFileSync(join(folder, 'one.safetensors'))).toEqual(readFileSync(join(folder, 'w.safetensors')))
  })

  test('a failure leaves the old file', () => {
    writeFileSync(join(folder, 'old.safetensors'), 'old')
    expect(run(['convert', join(fixtures, 'torch/module.pt'), 'old.safetensors']).status).toBe(1)
    expect(readFileSync(join(folder, 'old.safetensors'), 'utf8')).toBe('old')
    expect(misused('convert', source)).toMatch(/expected two files/)
    expect(misused('convert', source, 'w.bin')).toMatch(/ends in \.safetensors.*w\.bin/)
  })
})

describe('explain', () => {
  const digit = join(examples, '0-light-on-dark.png')

  test('draws a file, or to standard output', () => {
    const { status, stdout } = run(['explain', digit, '--out', 'e.svg'])
    expect({ status, stdout }).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/ {2}0 {2}[\d.]+ % {2}drawn in e\.svg/),
    })
    const svg = readFileSync(join(folder, 'e.svg'), 'utf8')
    expect(svg).toMatch(/^<svg [\s\S]*0-light-on-dark\.png: 0, [\s\S]*<\/svg>\n$/)
    expect(run(['explain', digit, '--out', '-']).stdout).toBe(svg)
  })

  test('what cannot be drawn', () => {
    expect(run(['explain', 'none.png', '--out', 'n.svg'])).toMatchObject({ status: 1, stdout: '' })
    expect(misused('explain', digit)).toMatch(/expected --out FILE\.svg/)
    expect(misused('explain', '--out', 'e.svg')).toMatch(/expected one picture/)
  })
})
