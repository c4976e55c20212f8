/**
 * Makes lib/formats/onnx/proto.ts and proto-write.ts of onnx.proto: what pbf makes of it to read messages and to write
 * them, with types. Two files, as most programs only read. `--check` only compares.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compileRaw } from 'pbf/compile'
import resolve from 'resolve-protobuf-schema'
import { die, root } from './util.mjs'

const folder = join(root, 'lib', 'formats', 'onnx')
const schema = resolve.sync(join(folder, 'onnx.proto'))
const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
for (const [name, made] of Object.entries(generate())) {
  const target = join(folder, name)
  const code = execFileSync(process.execPath, [biome, 'check', '--write', `--stdin-file-path=${target}`], {
    cwd: root,
    input: made,
    encoding: 'utf8',
  })
  if (!process.argv.includes('--check')) writeFileSync(target, code)
  else if (readFileSync(target, 'utf8') !== code)
    die(`lib/formats/onnx/${name} is not what onnx.proto makes: run \`npm run protobuf\``)
}

function generate() {
  const functions = compileRaw(schema)
    .replace(/^\/\/ code generated.*\n/, '')
    .replace(
      /function read(\w+)\(pbf, end\) \{\n {4}const obj = /g,
      'function read$1(pbf: MessageReader, end?: number): $1 {\n const obj: $1 = ',
    )
    .replace(/function write(\w+)\(obj, pbf\)/g, 'function write$1(obj: Draft<$1>, pbf: PbfWriter): void')
    .replace(/let field;/g, 'let field: number')
    .split(/^(?=export function )/m)
  const those = (start) => functions.filter((one) => one.startsWith(`export function ${start}`)).join('\n')
  return {
    'proto.ts': [
      '/** The messages of onnx.proto and their readers. Generated: `npm run protobuf`. */',
      "import type { MessageReader } from './message-reader.ts'",
      ...schema.messages.map(typeOf),
      those('read'),
    ].join('\n\n'),
    'proto-write.ts': [
      '/** Writers of the messages of onnx.proto. Generated: `npm run protobuf`. */',
      "import type { PbfWriter } from 'pbf'",
      `import type { ${schema.messages.map(({ name }) => name).join(', ')} } from './proto.ts'`,
      `/** A message to be written: what is left out is not written. */
export type Draft<T> = T extends (infer U)[] ? Draft<U>[] : T extends Uint8Array | string | number | undefined ? T : { [K in keyof T]?: Draft<T[K]> | undefined }`,
      those('write'),
    ].join('\n\n'),
  }
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
