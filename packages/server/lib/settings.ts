/**
 * What can be set, once for all the ways to set it: the command line (--max-batch), the environment
 * (KERNELET_SERVE_MAX_BATCH), a file (maxBatch) and createServer({ maxBatch }). The first of these that says something
 * counts.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { messageOf, unreadableFor } from './errors.ts'
import { checkName } from './models/registry.ts'
import * as Type from './typebox.ts'

const integer = (minimum: number, maximum: number, description: string, byDefault: number) =>
  Type.Integer({ minimum, maximum, description, default: byDefault })
const text = (description: string, value: string, byDefault?: string) =>
  Type.String({ minLength: 1, description, value, ...(byDefault !== undefined && { default: byDefault }) })
const flag = (description: string) => Type.Boolean({ description, default: false })
/** Milliseconds; `unit` on the command line. */
const duration = (description: string, byDefault: number, minimum = 0) =>
  Type.Number({ minimum, maximum: 2 ** 31 - 1, description, default: byDefault, unit: 'duration' })
const bytes = (description: string, byDefault: number) =>
  Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description, default: byDefault, unit: 'size' })

export const SettingsSchema = Type.Object(
  {
    model: Type.Record(Type.String(), Type.String(), {
      description: 'a model: ONNX, or safetensors of kernelet; several times for several',
      default: {},
      value: 'NAME=FILE',
    }),
    models: Type.Optional(
      text('folder of models: NAME.onnx, NAME.safetensors, NAME/VERSION/model.onnx', 'DIR'),
    ),
    host: text('address to listen at', 'ADDRESS', '127.0.0.1'),
    port: integer(0, 65535, 'port of HTTP; 0: any that is free', 8080),
    socket: Type.Optional(text('listen at a Unix socket instead', 'PATH')),
    grpcPort: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 65535, description: 'port of gRPC; without it there is none' }),
    ),
    workers: integer(1, 256, 'processes that act as one server', 1),
    threads: integer(1, 256, 'threads that share a batch', 1),
    maxBatch: integer(1, 65536, 'images of a batch at most', 64),
    maxDelay: duration('how long a batch may wait for more images under load', 0.2),
    queue: integer(1, 2 ** 24, 'images that may wait, a model and process; beyond it 503', 1024),
    maxWait: duration('how long an answer may be expected to take; beyond it 503; 0: as long as --queue', 0),
    timeout: duration('how long a request may wait that does not say', 30_000, 1),
    grace: duration('how long requests in flight may take after SIGTERM', 30_000),
    maxBody: bytes('largest body of a request', 16 * 2 ** 20),
    maxPixels: integer(1, 64_000_000, 'largest picture', 4_000_000),
    maxFiles: integer(1, 10_000, 'most pictures of a request', 100),
    tokenFile: Type.Optional(text('tokens, one a line: all routes but live and ready want one', 'FILE')),
    trustProxy: flag('take the address of the client from X-Forwarded-For'),
    watch: flag('load model files anew when they are replaced'),
    playground: Type.Optional(
      Type.Boolean({
        description: 'the page at / that draws and trains; default: for this machine only. --no-playground',
      }),
    ),
    mnist: Type.Optional(text('folder of the MNIST files, for the playground to train on', 'DIR')),
    logLevel: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
      description: 'trace, debug (every request), info, warn, error or silent',
      default: 'info',
      value: 'LEVEL',
    }),
  },
  { additionalProperties: false },
)

export type Settings = Type.Static<typeof SettingsSchema>
/** Settings as they are given: what is left out is as --help says. */
export type ServerOptions = Partial<Settings>

/** Whether only this machine can reach a server. */
export function isLocal({ host, socket }: Settings): boolean {
  return socket !== undefined || host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** A setting that is none, or has a wrong value. */
export class SettingsError extends Error {}

interface Property {
  type?: string
  description: string
  default?: unknown
  unit?: 'duration' | 'size'
  value?: string
}

const properties = Object.entries(SettingsSchema.properties) as unknown as [keyof Settings, Property][]

/** max-batch for maxBatch. */
function optionOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function variableOf(key: string): string {
  return `KERNELET_SERVE_${optionOf(key).replaceAll('-', '_').toUpperCase()}`
}

/**
 * Settings with all their defaults.
 *
 * @throws SettingsError
 */
export function settingsOf(given: ServerOptions): Settings {
  const defaults = properties.flatMap(([key, property]) =>
    property.default === undefined ? [] : [[key, property.default] as const],
  )
  const all: unknown = {
    ...Object.fromEntries(defaults),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  }
  const [error] = Type.Errors(SettingsSchema, all)
  if (error) {
    const key = error.instancePath.split('/')[1] ?? ''
    const extra = Object.keys(all as object).find((one) => !properties.some(([name]) => name === one))
    if (extra !== undefined) {
      throw new SettingsError(
        `unknown setting ${extra}; there are ${properties.map(([name]) => name).join(', ')}`,
      )
    }
    throw new SettingsError(
      `${key}: ${error.message}, but is ${JSON.stringify((all as Record<string, unknown>)[key])}`,
    )
  }
  const settings = all as Settings
  for (const name of Object.keys(settings.model)) {
    try {
      checkName(name)
    } catch (cause) {
      throw new SettingsError(`model: ${messageOf(cause)}`)
    }
  }
  return settings
}

/**
 * Settings of a command line, the environment and the file that these name.
 *
 * @returns undefined where help is asked for
 * @throws SettingsError
 */
export function readSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Settings | undefined {
  const options = Object.fromEntries(
    [...properties.map(([key, property]) => [key, property] as const), ['config', undefined] as const].map(
      ([key, property]) => [
        optionOf(key),
        { type: property?.type === 'boolean' ? 'boolean' : 'string', multiple: key === 'model' } as const,
      ],
    ),
  )
  let values: Record<string, string | boolean | (string | boolean)[] | undefined>
  try {
    values = parseArgs({
      args: [...args],
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowNegative: true,
    }).values
  } catch (cause) {
    throw new SettingsError(messageOf(cause).split('.')[0] ?? '')
  }
  if (values.help) return undefined
  const fromLine: ServerOptions = {}
  const fromEnvironment: ServerOptions = {}
  for (const [key, property] of properties) {
    const option = values[optionOf(key)]
    if (option !== undefined)
      Object.assign(fromLine, { [key]: parse(`--${optionOf(key)}`, property, option, key) })
    const variable = environment[variableOf(key)]
    if (variable !== undefined) {
      Object.assign(fromEnvironment, { [key]: parse(variableOf(key), property, variable, key) })
    }
  }
  const file = values.config ?? environment.KERNELET_SERVE_CONFIG
  const fromFile = typeof file === 'string' ? readFile(file) : {}
  const all = { ...fromFile, ...fromEnvironment, ...fromLine }
  // without any model there are the digits
  return settingsOf(all)
}

function readFile(file: string): ServerOptions {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SettingsError(`--config: ${file} cannot be read: ${unreadableFor(cause)}`)
  }
  try {
    const content: unknown = JSON.parse(text)
    if (typeof content === 'object' && content !== null && !Array.isArray(content)) return content
    throw new Error('it must hold a JSON object')
  } catch (cause) {
    throw new SettingsError(`--config ${file}: ${messageOf(cause)}`)
  }
}

const milliseconds: Readonly<Record<string, number>> = {
  us: 0.001,
  µs: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  '': 1,
}
const sizes: Readonly<Record<string, number>> = { b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30, '': 1 }

function parse(
  what: string,
  property: Property,
  given: string | boolean | (string | boolean)[],
  key: string,
): unknown {
  if (key === 'model') return parseModels(what, [given].flat().map(String))
  const word = String(given)
  if (property.type === 'boolean') {
    if (typeof given === 'boolean') return given
    if (/^(1|true|yes|on)$/i.test(word)) return true
    if (/^(0|false|no|off|)$/i.test(word)) return false
    throw new SettingsError(`${what}: expected true or false but received '${word}'`)
  }
  if (property.type === 'string' || property.type === undefined) return word
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-zµ]*)$/i.exec(word) ?? []
  const units = property.unit === 'duration' ? milliseconds : property.unit === 'size' ? sizes : { '': 1 }
  const factor = units[unit.toLowerCase()]
  if (number === undefined || factor === undefined) {
    const example =
      property.unit === 'duration'
        ? 'a time as 0.2ms or 30s'
        : property.unit === 'size'
          ? 'a size as 16mb'
          : 'a number'
    throw new SettingsError(`${what}: expected ${example} but received '${word}'`)
  }
  return Number(number) * factor
}

/** NAME=FILE, several from one variable with commas. */
function parseModels(what: string, words: readonly string[]): Record<string, string> {
  const parts = words.flatMap((word) => word.split(','))
  return Object.fromEntries(
    parts.map((part) => {
      const at = part.indexOf('=')
      if (at < 1 || at === part.length - 1)
        throw new SettingsError(`${what}: expected NAME=FILE but received '${part}'`)
      return [part.slice(0, at), part.slice(at + 1)]
    }),
  )
}

/** What --help prints. */
export function help(): string {
  const rows = properties.map(([key, property]): [option: string, meaning: string] => {
    const { type, description, default: byDefault, unit, value } = property
    const word =
      type === 'boolean' ? '' : ` ${value ?? (unit === 'duration' ? 'TIME' : unit === 'size' ? 'SIZE' : 'N')}`
    return [`--${optionOf(key)}${word}`, `${description}${defaultOf(byDefault, unit)}`]
  })
  rows.push(
    ['--config FILE', 'a JSON file of these settings, named as maxBatch'],
    ['-h, --help', 'show this help'],
  )
  const width = Math.max(...rows.map(([option]) => option.length))
  return `Usage: kernelet serve [options]

Serves models over HTTP in the Open Inference Protocol (v2), and pictures of digits at /v1/digits.
Without a model it serves the digits that come with kernelet. Every option is an environment
variable too: --max-batch is KERNELET_SERVE_MAX_BATCH.

Options:
${rows.map(([option, meaning]) => `  ${option.padEnd(width)}  ${meaning}`).join('\n')}

Examples:
  kernelet serve
      the shipped digits: http://127.0.0.1:8080/v1/digits
  kernelet serve --models DIR --watch --workers 4 --token-file FILE
      a folder of models, by four processes, for those who have a token`
}

function defaultOf(value: unknown, unit: Property['unit']): string {
  if (value === undefined || value === false || typeof value === 'object') return ''
  if (typeof value !== 'number' || unit === undefined) return ` (${value})`
  if (unit === 'size') return ` (${value / 2 ** 20}mb)`
  return value >= 1000 ? ` (${value / 1000}s)` : ` (${value}ms)`
}
