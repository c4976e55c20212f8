/** `kernelet train` as users run it; dist/ must be built. Images are made up. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { Generator, readSafetensors } from '../lib/index.ts'
import { gray, grayPng, png } from './digits-pictures.ts'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-train-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const program = join(root, 'bin/kernelet.js')

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    cwd: folder,
  })
  return { status, stdout, stderr }
}

/** A part of a set in MNIST's form: a bright bar whose place is the class. */
function writePart(name: string, count: number, seed: number): void {
  const generator = new Generator(seed)
  const labels = Uint8Array.from({ length: count }, () => generator.random() % 10)
  const images = new Uint8Array(count * 784)
  for (const [i, label] of labels.entries()) {
    for (let k = 0; k < 784; k++) {
      const bar = Math.abs((k % 28) - 2.5 * label - 2) < 2
      images[i * 784 + k] = (bar ? 120 : 0) + (generator.random() % 130)
    }
  }
  const header = (...sizes: number[]) => {
    const bytes = Buffer.alloc(4 + 4 * sizes.length)
    bytes.writeUInt32BE(0x800 + sizes.length)
    for (const [i, size] of sizes.entries()) bytes.writeUInt32BE(size, 4 + 4 * i)
    return bytes
  }
  writeFileSync(
    join(folder, 'set', `${name}-images-idx3-ubyte`),
    Buffer.concat([header(count, 28, 28), images]),
  )
  writeFileSync(join(folder, 'set', `${name}-labels-idx1-ubyte`), Buffer.concat([header(count), labels]))
}
mkdirSync(join(folder, 'set'))
writePart('train', 1500, 1)
writePart('t10k', 200, 2)

const usual = ['train', '--data', 'set', '--seed', '3', '--batch', '50']
const bytesOf = (name: string) => readFileSync(join(folder, name))

describe('kernelet train', () => {
  test('a table, a curve, a file; the same file at any number of threads', () => {
    const one = run(...usual, '--epochs', '3', '--threads', '1', '-o', 'one', '--plot', 'curve.svg')
    expect(one).toMatchObject({ status: 0, stderr: '' })
    expect(one.stdout).toMatch(
      /^1,500 images of 1×28×28, 10 classes, from set; 44,426 parameters\nepoch +loss/,
    )
    expect(one.stdout.match(/^ +[123] {2}.* % .* s /gm)).toHaveLength(3)
    expect(one.stdout).toMatch(/logarithmic\n +[\d.]+ ┤[\u2800-\u28ff]+\n/)
    expect(one.stdout).toMatch(
      /one written after .* s of training; \d+\.\d\d % of 200 test images are read rightly/,
    )
    const two = run(...usual, '--epochs', '3', '--threads', '2', '--out', 'two', '--json')
    expect(two.status).toBe(0)
    expect(bytesOf('two').equals(bytesOf('one'))).toBe(true)
    const json = JSON.parse(two.stdout)
    expect(json).toMatchObject({
      model: 'lenet5',
      options: { epochs: 3, seed: 3 },
      test: { count: 200 },
      weights: 'two',
    })
    expect(json.epochs).toHaveLength(3)
    expect(json.epochs[2].health.layers[0]).toMatchObject({ layer: 'conv1', relu: { name: 'relu_1' } })
    expect(json.test.accuracy).toBeGreaterThan(0.9)
    expect(two.stderr).toContain('images/s')
    const other = run(...usual, '--epochs', '3', '--seed', '4', '-o', 'other')
    expect(other.status).toBe(0)
    expect(bytesOf('other').equals(bytesOf('one'))).toBe(false)
    expect(readSafetensors(join(folder, 'one')).metadata.get('model')).toBe('lenet5')
    const svg = readFileSync(join(folder, 'curve.svg'), 'utf8')
    expect(svg).toMatch(
      /^<svg [\s\S]*prefers-color-scheme: dark[\s\S]*lenet5: learning curve[\s\S]*<polyline/,
    )
    expect(svg).not.toContain('NaN')
    const evaluated = run('eval', '--data', 'set', '--weights', 'one', '--json')
    expect(JSON.parse(evaluated.stdout).correct).toBe(json.test.correct)
    expect(readdirSync(folder).filter((name) => name.endsWith('.checkpoint'))).toEqual([])
  })

  test('options have a say', () => {
    const same = run(...usual, '--epochs', '1', '-o', 'plain')
    expect(same.status).toBe(0)
    for (const extra of [
      ['--optimizer', 'sgd', '--clip-norm', '1'],
      ['--schedule', 'onecycle', '--label-smoothing', '0.1'],
      ['--optimizer', 'adamw', '--schedule', 'step'],
      ['--ema', '0.9', '--validation', '0.2'],
      ['--augment', '--lr', '0.001'],
    ]) {
      const { status, stderr } = run(...usual, '--epochs', '1', '-o', 'varied', ...extra)
      expect({ extra, status, stderr }).toEqual({ extra, status: 0, stderr: '' })
      expect(bytesOf('varied').equals(bytesOf('plain'))).toBe(false)
    }
  })

  test('begins with other weights; leaves frozen layers as they are', () => {
    const { status } = run(
      ...usual,
      '--epochs',
      '1',
      '--init',
      'one',
      '--freeze',
      'conv1,conv2',
      '-o',
      'tuned',
    )
    expect(status).toBe(0)
    const weights = (file: string, name: string) =>
      Buffer.from(readSafetensors(join(folder, file)).tensors.get(name)!.bytes)
    expect(weights('tuned', 'conv2.weight').equals(weights('one', 'conv2.weight'))).toBe(true)
    expect(weights('tuned', 'fc1.weight').equals(weights('one', 'fc1.weight'))).toBe(false)
    expect(run(...usual, '--freeze', 'conv3')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--freeze: the model has no layer conv3; it has conv1, conv2, fc1/),
    })
  })

  test('wrong options: one line, before any work', () => {
    for (const [extra, message] of [
      [['--epochs', '0'], /--epochs: expected an integer from 1 up but received '0'/],
      [['--lr', 'fast'], /--lr: expected a number above 0 but received 'fast'/],
      [['--validation', '1'], /--validation: expected a number of at least 0 and below 1/],
      [['--optimizer', 'lion'], /--optimizer: expected adam, adamw, sgd but received 'lion'/],
      [['--model', 'lenet'], /unknown model lenet; did you mean lenet5\?/],
      [['--isa', 'mmx'], /mmx/],
      [['--resum'], /unknown option --resum; did you mean --resume\?/],
    ] as const) {
      const { status, stdout, stderr } = run(...usual, ...extra)
      expect(stderr).toMatch(message)
      expect({ status, stdout, lines: stderr.trimEnd().split('\n').length }).toEqual({
        status: 2,
        stdout: '',
        lines: 1,
      })
    }
    expect(run(...usual, '-o', 'no/where')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/no\/where could not/),
    })
    expect(run(...usual, '--resume', '-o', 'new')).toMatchObject({
      status: 1,
      stderr: 'kernelet: there is nothing to resume: new.checkpoint is not there\n',
    })
  })

  test('a run that diverges: the step, the layer, the cure', () => {
    const { status, stderr } = run(
      ...usual,
      '--optimizer',
      'sgd',
      '--lr',
      '1e20',
      '--schedule',
      'none',
      '-o',
      'wild',
    )
    expect(status).toBe(1)
    expect(stderr).toMatch(/diverged at step \d+ of epoch 1: .*(conv|fc|relu|loss).*lower the learning rate/)
    expect(existsSync(join(folder, 'wild'))).toBe(false)
  })
})

describe('interrupted', () => {
  const long = ['--epochs', '6', '--validation', '0.1']

  /** Starts a run and calls `when` with every row of its table. */
  async function begin(args: string[], when: (child: ChildProcess, row: string) => void) {
    const child = spawn(process.execPath, [program, ...usual, ...long, ...args], { cwd: folder })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (text) => {
      stdout += text
      when(child, stdout)
    })
    child.stderr.on('data', (text) => {
      stderr += text
    })
    const status = await new Promise((resolve) =>
      child.on('close', (code, signal) => resolve(code ?? signal)),
    )
    return { status, stdout, stderr }
  }

  const rows = (text: string) => text.match(/^ +\d {2}/gm)?.length ?? 0

  test('Ctrl-C saves and says how to go on, killing loses the epoch in flight; both end in the same file', async () => {
    expect(run(...usual, ...long, '-o', 'whole').status).toBe(0)

    const stopped = await begin(['-o', 'parts'], (child, text) => rows(text) === 2 && child.kill('SIGINT'))
    expect(stopped.status).toBe(130)
    expect(stopped.stderr).toMatch(
      /aborted after step \d+ of 27 in epoch [34]\. Saved in parts\.checkpoint; to go on:\n {2}kernelet train --data set .* --resume\n/,
    )
    const refused = run(...usual, ...long, '-o', 'parts')
    expect(refused).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/go on with --resume, or delete it/),
    })
    const other = run(...usual, ...long, '--lr', '0.1', '-o', 'parts', '--resume')
    expect(other).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/begun with other options \(lr 0.002\)/),
    })

    const killed = await begin(['-o', 'parts', '--resume', '--threads', '1'], (child, text) => {
      if (rows(text) === 4) child.kill('SIGKILL')
    })
    expect(killed.status).toBe('SIGKILL')
    expect(existsSync(join(folder, 'parts'))).toBe(false)

    const resumed = run(...usual, ...long, '-o', 'parts', '--resume', '--plot', 'resumed.svg')
    expect(resumed).toMatchObject({ status: 0, stderr: '' })
    // The rows before come from the checkpoint.
    expect(rows(resumed.stdout)).toBe(6)
    expect(bytesOf('parts').equals(bytesOf('whole'))).toBe(true)
    expect(existsSync(join(folder, 'parts.checkpoint'))).toBe(false)
  })
})

describe('classes of your own', () => {
  /** A sign of some size and place, drawn on a page. */
  const sign = (kind: string, seed: number) => {
    const random = new Generator(seed)
    const from = (low: number, high: number) => low + (random.random() % (high - low))
    const [side, pen, left, top] = [from(24, 40), from(4, 7), from(4, 16), from(4, 16)]
    return gray(60, 60, (x, y) => {
      const [u, v] = [x - left, y - top]
      if (u < 0 || v < 0 || u >= side || v >= side) return 250
      const radius = Math.hypot(u - side / 2, v - side / 2)
      const ink = {
        circle: Math.abs(radius - side / 2 + pen / 2) < pen / 2,
        cross: Math.abs(u - v) < pen * 0.7 || Math.abs(side - u - v) < pen * 0.7,
        corner: u < pen || v > side - pen,
      }[kind]
      return ink ? 30 : 250
    })
  }
  const place = join(folder, 'own')
  for (const [k, kind] of ['circle', 'cross', 'corner'].entries()) {
    mkdirSync(join(place, 'shapes', kind), { recursive: true })
    for (let i = 0; i < 12; i++) {
      writeFileSync(join(place, 'shapes', kind, `${i}.png`), grayPng(sign(kind, 100 * k + i + 1)))
    }
  }
  writeFileSync(join(place, 'new.png'), grayPng(sign('cross', 4711)))
  const here = (...args: string[]) =>
    spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', cwd: place })

  test('the README’s paragraph: train, eval, classify, load, serve', async () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8')
    const [, paragraph] = readme.split('### Classes of your own')
    const [, shell, js, service] = paragraph!.match(
      /```sh\n([^`]*)```\n```js\n([^`]*)```\n```sh\n([^`]*)```/,
    )!
    const said = shell!
      .trim()
      .split('\n')
      .map((line) => here(...line.split(' ').slice(2)))
    for (const { status, stderr } of said) expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(said[1]!.stdout).toMatch(/^0\.00 % error: 0 of 36 labelled images are misread/)
    expect(said[1]!.stdout).toMatch(/circle +corner +cross/)
    expect(said[2]!.stdout).toMatch(/^new\.png {2}cross {2}[ \d]+\.\d %\n$/)
    const { metadata } = readSafetensors(join(place, 'shapes.safetensors'))
    expect(Object.fromEntries(metadata)).toMatchObject({
      ...{ fit: 'digit', colour: 'grey', input: '1x28x28', classes: 'circle,corner,cross' },
    })
    const program = `${js!.replace("'kernelet'", JSON.stringify(join(root, 'dist/index.js')))}
      console.log(status, label, confidence > 0.5)`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      cwd: place,
    })
    expect(stdout).toBe('class cross true\n')
    const [json] = JSON.parse(here('classify', '--json', '--weights', 'shapes.safetensors', 'new.png').stdout)
    expect(json).toMatchObject({ file: 'new.png', status: 'class', label: 'cross', index: 2 })

    const [serve, curl] = service!.trim().split('\n') as [string, string]
    const [, type, path] = curl.match(/-H 'Content-Type: (.*)' http:\/\/127\.0\.0\.1:8080(.*)$/) as string[]
    const cli = join(root, 'bin/kernelet.js')
    const server = spawn(process.execPath, [cli, ...serve.split(' ').slice(2), '--port', '0'], {
      cwd: place,
    })
    try {
      const address = await new Promise<string>((resolve, reject) => {
        let said = ''
        server.stdout.on('data', (text) => {
          said += text
          const [, at] = /"address":"([^"]+)"/.exec(said) ?? []
          if (at) resolve(at)
        })
        server.stderr.on('data', (text) => {
          said += text
        })
        server.once('exit', () => reject(new Error(said)))
      })
      const body = readFileSync(join(place, 'new.png'))
      const answer = await fetch(address + path, { method: 'POST', headers: { 'Content-Type': type! }, body })
      expect(await answer.json()).toMatchObject({ status: 'class', label: 'cross', index: 2 })
    } finally {
      server.kill()
    }
  })

  test('photographs in colour', () => {
    const tint = { dusk: [200, 90, 60], noon: [120, 180, 230] }
    for (const [name, colour] of Object.entries(tint)) {
      mkdirSync(join(place, 'sky', name), { recursive: true })
      for (let i = 0; i < 6; i++) {
        const random = new Generator(i + 1)
        const [width, height] = [40 + 3 * i, 36]
        const raw = Array.from({ length: height }, () => [
          0,
          ...Array.from({ length: width }, () => colour.map((c) => c - 20 + (random.random() % 40))).flat(),
        ]).flat()
        const file = png({ width, height, depth: 8, colour: 2, raw: Uint8Array.from(raw) })
        writeFileSync(join(place, 'sky', name, `${i}.png`), file)
      }
    }
    const form = ['--fit', 'crop', '--colour', 'rgb']
    const trained = here('train', '--data', 'sky', ...form, '--epochs', '40', '-o', 'sky.safetensors')
    expect(trained).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/12 images of 3×28×28, 2 classes/),
    })
    // eval and classify know from the file how pictures are prepared
    expect(here('eval', '--data', 'sky', '--weights', 'sky.safetensors').stdout).toMatch(/^0\.00 % error/)
    const { stdout } = here('classify', '--weights', 'sky.safetensors', '--csv', 'sky')
    const rows = stdout
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.split(','))
    for (const [file, status, label] of rows) expect([status, label]).toEqual(['class', file!.split('/')[1]])
    expect(rows).toHaveLength(12)
  })

  test('tables', () => {
    const names = readdirSync(join(place, 'shapes')).flatMap((kind) =>
      readdirSync(join(place, 'shapes', kind)).map((file) => `shapes/${kind}/${file},${kind}`),
    )
    writeFileSync(join(place, 'files.csv'), `file,label\n${names.join('\n')}\n`)
    const options = ['--epochs', '30', '-o']
    expect(here('train', '--data', 'files.csv', ...options, 'table.safetensors').stderr).toBe('')
    here('train', '--data', 'shapes', ...options, 'folder.safetensors')
    const weights = (file: string) => readSafetensors(join(place, file)).tensors
    expect(weights('table.safetensors')).toEqual(weights('folder.safetensors'))
    expect(here('eval', '--data', 'files.csv', '--weights', 'table.safetensors').stdout).toMatch(/0 of 36/)
    expect(JSON.parse(here('data', '--data', 'files.csv', '--json').stdout)).toBeTruthy()
  })

  test('what does not go together is said', () => {
    const wrong = (...args: string[]) => here('train', '--data', 'shapes', ...args).stderr
    expect(wrong('--fit', 'cover')).toMatch(/--fit: expected digit, crop, pad, stretch but received 'cover'/)
    expect(wrong('--colour', 'rgb')).toMatch(/--colour rgb goes with --fit crop, pad, stretch/)
    expect(wrong('--raw', '--fit', 'pad')).toMatch(/--raw takes pictures as they are/)
    // ten outputs are ten digits
    const shipped = join(root, 'models/lenet5-mnist.safetensors')
    expect(wrong('--init', shipped)).toMatch(/must be named after the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9/)
  })
})
