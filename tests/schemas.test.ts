/** What --json prints is what docs/schemas says; dist/ must be built. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { allCommands } from '../lib/cli/registry.ts'
import { fixtures, root } from './helpers.ts'
import { onnxModel } from './onnx-models.ts'

const program = join(root, 'bin/kernelet.js')
const digits = join(root, 'examples/digits')
const residual = join(fixtures, 'residual.dynamo.onnx')
const folder = mkdtempSync(join(tmpdir(), 'kernelet-schemas-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const quick = ['--repetitions', '2', '--min-time', '0.001', '--json']

/** By schema: command lines, run in this order, and the schema's part where it is not the whole. */
const lines: Record<string, readonly (readonly string[])[]> = {
  data: [['data', '--data', 'hand', '--json']],
  train: [
    ['train', '--data', 'hand', '--epochs', '2', '--validation', '0.2', '--json', '-o', 'own.safetensors'],
    ['train', '--data', 'signs', '--epochs', '1', '--json', '-o', 'signs.safetensors'],
  ],
  eval: [['eval', '--data', 'hand', '--weights', 'own.safetensors', '--most', '3', '--json']],
  classify: [
    ['classify', digits, 'none.png', 'blank.bmp', '--json'],
    ['classify', digits, '--threshold', '0.9999', '--json'],
    ['classify', '--weights', 'signs.safetensors', digits, 'blank.bmp', '--json'],
  ],
  info: [['info', '--json']],
  inspect: [
    ['inspect', residual, '--json'],
    ['inspect', 'lacking.onnx', '--json'],
    ['inspect', 'own.safetensors', '--json'],
    ['inspect', join(fixtures, 'torch/checkpoint.pt'), '--key', 'model', '--json'],
  ],
  summary: [
    ['summary', '--json'],
    ['summary', '--input', '3x128x128', '--json'],
  ],
  tune: [['tune', residual, '--json']],
  bench: [
    ['profile', residual, ...quick, '--out', 'a.json'],
    ['bench', 'layers', ...quick, '--out', 'b.json'],
    ['bench', '--filter', 'run/batch:1/', ...quick],
    ['bench', 'kernels', '--problem', 'ic1ih8oc2kh3', ...quick],
    ['bench', 'train', '--images', '64', '--threads', '1', '--repetitions', '2', '--json'],
  ],
  'bench-compare': [
    ['bench', 'compare', 'b.json', 'b.json', '--json'],
    ['bench', 'compare', 'reports', '--json'],
  ],
}

beforeAll(() => {
  spawnSync(process.execPath, [join(root, 'scripts/write-hand.mjs'), join(folder, 'hand'), '3'])
  spawnSync('cp', ['-r', 'hand', 'signs'], { cwd: folder })
  for (const [i, name] of ['zero', 'one'].entries())
    spawnSync('mv', [String(i), name], { cwd: join(folder, 'signs') })
  for (let i = 2; i < 10; i++) rmSync(join(folder, 'signs', String(i)), { recursive: true })
  // 8×8, white
  const bmp = Buffer.alloc(54 + 192, 255)
  bmp.fill(0, 0, 54)
  bmp.write('BM')
  for (const [at, value] of [
    [2, 246],
    [10, 54],
    [14, 40],
    [18, 8],
    [22, 8],
  ] as const)
    bmp.writeUInt32LE(value, at)
  for (const [at, value] of [
    [26, 1],
    [28, 24],
  ] as const)
    bmp.writeUInt16LE(value, at)
  writeFileSync(join(folder, 'blank.bmp'), bmp)
  const nodes = [{ op: 'Never', inputs: ['x'], outputs: ['y'] }]
  const inputs = { x: { shape: ['N', 3] } }
  writeFileSync(join(folder, 'lacking.onnx'), onnxModel({ opset: 17, nodes, inputs, outputs: ['y'] }))
})

function validator(name: string, part = ''): ValidateFunction {
  const ajv = new Ajv2020({
    strict: true,
    allErrors: true,
    allowUnionTypes: true,
    formats: { 'date-time': /^\d{4}-/ },
  })
  ajv.addSchema(JSON.parse(readFileSync(join(root, 'docs/schemas', `${name}.schema.json`), 'utf8')), name)
  return ajv.getSchema(`${name}${part}`) as ValidateFunction
}

function output(args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect(stdout, `${args.join(' ')}: ${stderr}`).not.toBe('')
  return stdout
}

test.each(Object.entries(lines))('%s', (name, commands) => {
  const validate = validator(name)
  if (name === 'bench-compare') {
    spawnSync('sh', ['-c', 'mkdir reports; cp a.json b.json reports; cp b.json reports/c.json'], {
      cwd: folder,
    })
  }
  for (const args of commands) {
    expect(
      validate(JSON.parse(output(args))),
      `${args.join(' ')}: ${JSON.stringify(validate.errors, null, 1)}`,
    ).toBe(true)
  }
})

test('a line of --ndjson', () => {
  const validate = validator('classify', '#/$defs/picture')
  for (const line of output(['classify', digits, 'none.png', '--ndjson']).trimEnd().split('\n')) {
    expect(validate(JSON.parse(line)), JSON.stringify(validate.errors)).toBe(true)
  }
})

test('a schema refuses what it does not say', () => {
  for (const name of Object.keys(lines)) {
    const validate = validator(name)
    expect([{}, [{}], { kernelet: 1 }].map((value) => validate(value))).toEqual([false, false, false])
  }
  const info = JSON.parse(output(['info', '--json']))
  expect(validator('info')({ ...info, more: 1 })).toBe(false)
})

test('every command that has --json has a schema, and every schema a command', async () => {
  const having = (await allCommands()).filter(([, { options }]) => 'json' in options).map(([name]) => name)
  const schemas = readdirSync(join(root, 'docs/schemas')).filter((file) => file.endsWith('.json'))
  const readme = readFileSync(join(root, 'docs/schemas/README.md'), 'utf8')
  expect(schemas.sort()).toEqual(
    Object.keys(lines)
      .map((name) => `${name}.schema.json`)
      .sort(),
  )
  for (const file of schemas) expect(readme).toContain(`(${file})`)
  const named = having.filter((name) => !/^bench($| (?!compare))|^profile$/.test(name))
  expect(named.map((name) => name.replace(' ', '-')).sort()).toEqual(
    Object.keys(lines)
      .filter((name) => name !== 'bench')
      .sort(),
  )
})
