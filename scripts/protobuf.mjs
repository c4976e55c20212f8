/** Makes lib/formats/onnx/proto.ts of onnx.proto: pbf's readers and writers, with types. `--check` only compares. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compileRaw } from 'pbf/compile'
import resolve from 'resolve-protobuf-schema'
import { die, root } from './util.mjs'

const folder = join(root, 'lib', 'formats', 'onnx')
const target = join(folder, 'proto.ts')
const schema = resolve.sync(join(folder, 'onnx.proto'))
const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
const code = execFileSync(process.execPath, [biome, 'check', '--write', `--stdin-file-path=${target}`], {
  cwd: root,
  input: generate(),
  encoding: 'utf8',
})
if (!process.argv.includes('--check')) writeFileSync(target, code)
else if (readFileSync(target, 'utf8') !== code)
  die('lib/formats/onnx/proto.ts is not what onnx.proto makes: run `npm run protobuf`')

function generate() {
  const functions = compileRaw(schema)
    .replace(/^\/\/ code generated.*\n/, '')
    .replace(
      /function read(\w+)\(pbf, end\) \{\n {4}const obj = /g,
      'function read$1(pbf: PbfReader, end?: number): $1 {\n const obj: $1 = ',
    )
    .replace(/function write(\w+)\(obj, pbf\)/g, 'function write$1(obj: Draft<$1>, pbf: PbfWriter): void')
    .replace(/let field;/g, 'let field: number')
  return [
    '/** The messages of onnx.proto, their readers and their writers. Generated: `npm run protobuf`. */',
    "import type { PbfReader, PbfWriter } from 'pbf'",
    ...schema.messages.map(typeOf),
    `/** A message to be written: what is left out is not written. */
export type Draft<T> = T extends (infer U)[] ? Draft<U>[] : T extends Uint8Array | string | number | undefined ? T : { [K in keyof T]?: Draft<T[K]> | undefined }`,
    functions,
  ].join('\n\n')
}

function typeOf({ name, fields }) {
  const lines = fields.map((field) => `${field.name}: ${fieldType(field)}`)
  const choices = new Set(fields.map(({ oneof }) => oneof).filter(Boolean))
  for (const choice of choices) {
    const members = fields.filter(({ oneof }) => oneof === choice)
    lines.push(`${choice}?: ${members.map((member) => `'${member.name}'`).join(' | ')} | undefined`)
  }
  return `export interface ${name} {\n${lines.join('\n')}\n}`
}

function fieldType({ type, repeated }) {
  const message = schema.messages.some(({ name }) => name === type)
  const one = message ? type : ({ string: 'string', bytes: 'Uint8Array' }[type] ?? 'number')
  if (repeated) return `${one}[]`
  return message || type === 'bytes' ? `${one} | undefined` : one
}
