/** The command line of `kernelet jobs`, and what stands for it in the environment. */

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { wrong } from './errors.ts'

export interface Option {
  type: 'string' | 'boolean'
  /** May be given several times. */
  multiple?: boolean
  value?: string
  help: string
  /** Of numbers: the least, the most, and the default. */
  number?: readonly [least: number, most: number, byDefault?: number]
}

const redis: Record<string, Option> = {
  redis: {
    type: 'string',
    value: 'URL',
    help: 'redis://, rediss:// or unix://; user and password in it; default KERNELET_JOBS_REDIS, else redis://127.0.0.1:6379',
  },
  'redis-ca': { type: 'string', value: 'FILE', help: 'certificates to trust with rediss://' },
  prefix: { type: 'string', value: 'NAME', help: 'what all keys in Redis begin with (kernelet)' },
  json: { type: 'boolean', help: 'print JSON' },
}

const number = (help: string, least: number, most: number, byDefault?: number): Option => ({
  type: 'string',
  value: 'N',
  help,
  number: byDefault === undefined ? [least, most] : [least, most, byDefault],
})

export const commands = {
  submit: {
    usage: 'submit DIR|s3://BUCKET/PREFIX|MANIFEST.ndjson --out DIR|s3://BUCKET/PREFIX [options]',
    about: `Lists the pictures, puts the list and the model into --out and chunks of it into the queue. A manifest has a
line of JSON a picture: { "file": "a.png" }, with an "id" of yours if you like; files may be http(s):// URLs. The
results are in --out as results.ndjson, as kernelet classify --ndjson prints them, in the order of the list. The same
command again goes on where a job was lost.`,
    options: {
      out: { type: 'string', value: 'DIR', help: 'where results come to; all machines must see it' },
      model: {
        type: 'string',
        value: 'FILE',
        help: 'a model: of kernelet train, or ONNX; default: the shipped digits',
      },
      threshold: { type: 'string', value: 'SHARE', help: 'say unsure below this confidence, 0 to 1' },
      root: { type: 'string', value: 'DIR', help: "what a manifest's names begin at; default: its folder" },
      chunk: number('pictures that are done, and lost, together', 1, 1_000_000, 1000),
      attempts: number('tries before a chunk is set aside', 1, 100, 3),
      id: { type: 'string', value: 'NAME', help: 'the name of the job; default: drawn at random' },
      wait: { type: 'boolean', help: 'wait for the end, with a progress bar on a terminal' },
      ...redis,
    },
  },
  work: {
    usage: 'work [options]',
    about: `Takes chunks from the queue until SIGTERM, which lets those in work be finished. Start as many on as many machines
as you like; a chunk whose worker is gone is done by another.`,
    options: {
      concurrency: number('chunks at once', 1, 64, 2),
      threads: number('threads that decode pictures; default: one a core', 1, 256),
      model: {
        type: 'string',
        multiple: true,
        value: 'FILE',
        help: 'use this model and refuse jobs of others; several times for several',
      },
      storage: {
        type: 'string',
        multiple: true,
        value: 'DIR',
        help: 'a folder, or s3://BUCKET/PREFIX, that may be read and written; default: any',
      },
      'allow-host': {
        type: 'string',
        multiple: true,
        value: 'HOST',
        help: 'a host that pictures may be fetched from; *.HOST for all below it; default: none',
      },
      'allow-private': { type: 'boolean', help: 'fetch from addresses of private networks too' },
      'max-bytes': number('bytes of a picture from the web or a bucket at most', 1, 2 ** 30, 32 * 2 ** 20),
      timeout: number('seconds that fetching a picture may take', 1, 3600, 30),
      lease: number("seconds without a sign of a worker until its chunks are others'", 1, 3600, 30),
      crashes: number('workers that may die at a chunk until it is set aside', 1, 1000, 20),
      grace: number('seconds that chunks in work may take after SIGTERM', 0, 3600, 30),
      'until-done': { type: 'boolean', help: 'end when the queue is empty' },
      ...redis,
    },
  },
  status: {
    usage: 'status [ID] [options]',
    about: 'How a job stands; without ID, all of them.',
    options: {
      watch: { type: 'boolean', help: 'until it ends, with a progress bar on a terminal' },
      ...redis,
    },
  },
  cancel: {
    usage: 'cancel ID [options]',
    about: 'Ends a job before its time. What is done stays in its folder; retry goes on from there.',
    options: redis,
  },
  retry: {
    usage: 'retry ID [options]',
    about:
      'Begins a job again that was cancelled, failed or lost, or has chunks that were set aside; what is done stays.',
    options: {
      wait: { type: 'boolean', help: 'wait for the end, with a progress bar on a terminal' },
      ...redis,
    },
  },
} as const satisfies Record<string, { usage: string; about: string; options: Record<string, Option> }>

export type Name = keyof typeof commands

/** What was given: of an option that was left out, its default. */
export class Values {
  readonly #values: Record<string, string | boolean | (string | boolean)[] | undefined>
  readonly #options: Record<string, Option>
  readonly words: readonly string[]

  constructor(name: Name, args: readonly string[]) {
    this.#options = commands[name].options
    const options = Object.fromEntries(
      Object.entries({ ...this.#options, help: { type: 'boolean' } as Option }).map(
        ([key, { type, multiple = false }]) => [key, { type, multiple }] as const,
      ),
    )
    try {
      const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
      this.#values = values
      this.words = positionals
    } catch (cause) {
      throw wrong(`${name}: ${(cause as Error).message.split('\n')[0]}`)
    }
  }

  flag(name: string): boolean {
    return this.#values[name] === true
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    return typeof value === 'string' ? value : undefined
  }

  texts(name: string): string[] | undefined {
    const value = this.#values[name]
    return Array.isArray(value) ? value.map(String) : undefined
  }

  /** @throws KerneletError ERR_ARGUMENT */
  number(name: string): number {
    return this.maybe(name) ?? this.#options[name]?.number?.[2] ?? availableParallelism()
  }

  /** Likewise, undefined where it is left out. */
  maybe(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const [least = 0, most = Number.MAX_SAFE_INTEGER] = this.#options[name]?.number ?? []
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    throw wrong(`--${name}: expected an integer from ${least} to ${most} but found ${text}`)
  }

  /** @throws KerneletError ERR_ARGUMENT */
  share(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = Number(text)
    if (text.trim() !== '' && value >= 0 && value <= 1) return value
    throw wrong(`--${name}: expected a number from 0 to 1 but found ${text}`)
  }
}

/** @param name of a command; undefined: all of them */
export function help(name?: Name): string {
  const usage = name === undefined ? `${Object.keys(commands).join('|')} [options]` : commands[name].usage
  const about =
    name === undefined
      ? 'Pictures in bulk, on any number of machines, by BullMQ on Redis. --help with each command has its options.'
      : commands[name].about
  const options: Record<string, Option> = name === undefined ? redis : commands[name].options
  const lines = Object.entries(options).map(([key, { value, help: text, number: range }]) =>
    optionLine(
      `--${key}${value === undefined ? '' : ` ${value}`}`,
      `${text}${range?.[2] === undefined ? '' : ` (${range[2]})`}`,
    ),
  )
  const examples = [
    'kernelet jobs submit scans --out results',
    'kernelet jobs work',
    'kernelet jobs status --json',
  ]
  return [
    `Usage: kernelet jobs ${usage}`,
    about,
    `Options:\n${[...lines, optionLine('-h, --help', 'this text')].join('\n')}`,
    `Examples:\n${examples.map((line) => `  ${line}`).join('\n')}`,
  ].join('\n\n')
}

/** Text that is too long for a line goes on below itself. */
function optionLine(left: string, text: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.length - 1
    if (`${lines[last]} ${word}`.length > 82) lines.push(word)
    else lines[last] = `${lines[last]} ${word}`.trimStart()
  }
  return `  ${left.padEnd(22)}  ${lines.join(`\n${' '.repeat(26)}`)}`
}
