/**
 * Every value that the library exports has an example in its comment, and so has every method of its classes; each
 * example is true: what stands before `// → ` gives what stands behind it. Every exported type has a comment.
 */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as kernelet from '../lib/index.ts'
import { fixtures, root } from './helpers.ts'

const { Tensor } = kernelet

/** Of each exported name the files it may come from, as index.ts and ops/index.ts say. */
function exportsOf(file: string): Map<string, string> {
  const found = new Map<string, string>()
  const text = readFileSync(join(root, 'lib', file), 'utf8')
  const folder = file.includes('/') ? file.slice(0, file.lastIndexOf('/') + 1) : ''
  for (const [, , list, from = ''] of text.matchAll(/^export (type )?(\*|\{[\s\S]*?\}) from '\.\/(.*)'$/gm)) {
    const source = `${folder}${from}`
    if (list === '*') {
      const inner = readFileSync(join(root, 'lib', source), 'utf8')
      for (const [, name = ''] of inner.matchAll(
        /^export (?:async |abstract )*(?:function|class|const|interface|type) (\w+)/gm,
      )) {
        found.set(name, source)
      }
      for (const [name, where] of exportsOf(source)) found.set(name, where)
    } else {
      const names = list!.replace(/[{}]/g, '').split(',')
      for (const name of names) {
        const word = name.replace(/^\s*type /, '').trim()
        if (word !== '') found.set(word, source)
      }
    }
  }
  return found
}

const exported = exportsOf('index.ts')

/** The comment before a declaration, without its stars; '' where there is none. */
function commentOf(name: string): string {
  const text = readFileSync(join(root, 'lib', exported.get(name)!), 'utf8')
  const at = text.search(
    new RegExp(
      `^export (?:async |abstract |declare )*(?:function|class|const|interface|type) ${name}\\b`,
      'm',
    ),
  )
  const before = text.slice(0, at).trimEnd()
  if (at < 0 || !before.endsWith('*/')) return ''
  return before
    .slice(before.lastIndexOf('/**') + 3, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .trim()
}

const exampleIn = (comment: string): string =>
  /@example\s([\s\S]*?)(?=\n@|$)/.exec(comment)?.[1]?.trim() ?? ''
const exampleOf = (name: string): string => exampleIn(commentOf(name))

/** What every class has alike, or overrides: said once, where it is declared first or in the comment of the class. */
const alike = ['constructor', 'forward', 'dispose', 'toJSON', 'toString', 'rate']

/** The methods that a class declares, with the example of each. */
function methodsOf(name: string): [method: string, example: string][] {
  const text = readFileSync(join(root, 'lib', exported.get(name)!), 'utf8')
  const [, body = ''] =
    new RegExp(`^export (?:abstract )?class ${name}\\b.*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(text) ?? []
  return [...body.matchAll(/^ {2}(?:static |async )*(\w+)(?:<.*>)?\(/gm)]
    .filter(([, method = '']) => !alike.includes(method))
    .map(({ 1: method = '', index }): [string, string] => {
      const before = body.slice(0, index).trimEnd()
      const comment = before.endsWith('*/') ? before.slice(before.lastIndexOf('/**') + 3, -2) : ''
      return [method, exampleIn(comment.replace(/^\s*\* ?/gm, '').trim())]
    })
}

const folder = mkdtempSync(join(tmpdir(), 'kernelet-examples-'))
const before = process.cwd()
beforeAll(() => {
  process.chdir(folder)
  const digits = join(root, 'examples/digits')
  for (const label of ['3', '7']) mkdirSync(join('pictures', label), { recursive: true })
  copyFileSync(join(digits, '3-blue-pen-on-yellow-paper.png'), 'three.png')
  copyFileSync('three.png', 'pictures/3/a.png')
  copyFileSync(join(digits, '7-red-pen-on-grey-paper.png'), 'pictures/7/b.png')
  copyFileSync(join(fixtures, 'torch/bn_depthwise.state_dict.pt'), 'weights.pt')
})
afterAll(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true, force: true })
})

/** A value as the examples write it: four digits, a tensor as rows. */
function show(value: unknown): string {
  if (Tensor.is(value)) {
    const { data, shape } = value
    let place = 0
    const nested = ([size, ...rest]: readonly number[]): string =>
      size === undefined
        ? show(data[place++])
        : `[${Array.from({ length: size }, () => nested(rest)).join(', ')}]`
    return nested(shape)
  }
  if (typeof value === 'number')
    return String(Number.isInteger(value) ? value + 0 : Number(value.toPrecision(4)))
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    return `[${Array.from(value as unknown as unknown[], show).join(', ')}]`
  }
  return typeof value === 'string' ? `'${value}'` : String(value)
}

const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as new (
  ...parts: string[]
) => (...values: unknown[]) => Promise<void>

const scope = { ...kernelet, readFileSync, readdirSync, writeFileSync }

/** Runs an example; gives what its lines are and are said to be. */
async function run(example: string): Promise<{ line: string; is: string; said: string }[]> {
  const found: { line: string; is: string; said: string }[] = []
  const code = example
    .split('\n')
    .map((line) => {
      const [, indent, expression, said] = /^(\s*)(.*) \/\/ → (.*)$/.exec(line) ?? []
      return said === undefined
        ? line
        : `${indent};note(${JSON.stringify(line)}, ${expression}, ${JSON.stringify(said)})`
    })
    .join('\n')
  const note = (line: string, value: unknown, said: string) => found.push({ line, is: show(value), said })
  await new AsyncFunction('note', ...Object.keys(scope), code)(note, ...Object.values(scope))
  return found
}

/** What others make is shown by what makes it. */
const makers: Readonly<Record<string, string>> = {
  CompiledModel: 'compile',
  DivergedError: 'error',
  Evaluation: 'evaluate',
  ModelDescription: 'describe',
  Summary: 'summary',
}

describe('examples', () => {
  test.each(Object.keys(kernelet))('%s', async (name) => {
    expect(exported.has(name), `${name} is found in no file`).toBe(true)
    const example = exampleOf(name)
    expect(example, `${name} has no @example`).not.toBe('')
    expect(example, `the example of ${name} does not use it`).toMatch(
      new RegExp(`\\b${makers[name] ?? name}\\b`),
    )
    const lines = await run(example)
    for (const { line, is, said } of lines) expect(is, line).toBe(said)
    if (name !== 'setPictureThreads') expect(lines.length, `${name}: nothing is compared`).toBeGreaterThan(0)
  })

  const methods = [...exported.keys()].flatMap((name) =>
    methodsOf(name).map(([method, example]): [string, string, string] => [name, method, example]),
  )

  test('methods are found', () => {
    expect(methods.length).toBeGreaterThan(50)
  })

  test.each(methods)('%s.%s', async (name, method, example) => {
    expect(example, `${name}.${method} has no @example`).not.toBe('')
    expect(example, `the example of ${name}.${method} does not call it`).toContain(`.${method}(`)
    const lines = await run(example)
    for (const { line, is, said } of lines) expect(is, line).toBe(said)
    expect(lines.length, `${name}.${method}: nothing is compared`).toBeGreaterThan(0)
  })

  test('a wrong one is found', async () => {
    const [line] = await run('relu(new Tensor(Float32Array.of(-1, 2), [2])) // → [0, 1]')
    expect(line).toMatchObject({ is: '[0, 2]', said: '[0, 1]' })
    await expect(run('relu(1)')).rejects.toThrow('ReLU: expected a Tensor')
  })
})

test('every exported name, types too, has a comment', () => {
  expect(exported.size).toBeGreaterThan(Object.keys(kernelet).length + 50)
  expect([...exported.keys()].filter((name) => commentOf(name) === '')).toEqual([])
})
