import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { help, readSettings, settingsOf } from '../lib/settings.ts'
import { folder } from './helpers.ts'

test('defaults are those that --help shows', () => {
  const settings = readSettings([], {})
  expect(settings).toMatchObject({
    host: '127.0.0.1',
    port: 8080,
    workers: 1,
    maxBatch: 64,
    maxDelay: 0.2,
    maxWait: 0,
    queue: 1024,
  })
  const text = help()
  for (const part of ['--max-batch N', '(64)', '(0.2ms)', '(127.0.0.1)', '(16mb)', '--token-file FILE'])
    expect(text).toContain(part)
  expect(readSettings(['--help'], {})).toBeUndefined()
})

test('the command line is before the environment, that before the file', () => {
  const config = join(folder(), 'config.json')
  writeFileSync(config, JSON.stringify({ port: 1, queue: 2, maxBatch: 3, model: { a: 'a.onnx' } }))
  const settings = readSettings(
    ['--config', config, '--port', '10', '--max-body', '2mb', '--grace=1.5s', '--watch'],
    {
      KERNELET_SERVE_PORT: '11',
      KERNELET_SERVE_QUEUE: '12',
      KERNELET_SERVE_TRUST_PROXY: 'yes',
    },
  )
  expect(settings).toMatchObject({
    port: 10,
    queue: 12,
    maxBatch: 3,
    model: { a: 'a.onnx' },
    maxBody: 2 * 2 ** 20,
    grace: 1500,
    watch: true,
    trustProxy: true,
  })
})

test('models by name, several', () => {
  expect(readSettings(['--model', 'a=x.onnx', '--model', 'b=y=z.onnx'], {})?.model).toEqual({
    a: 'x.onnx',
    b: 'y=z.onnx',
  })
  expect(readSettings([], { KERNELET_SERVE_MODEL: 'a=x.onnx,b=y.onnx' })?.model).toEqual({
    a: 'x.onnx',
    b: 'y.onnx',
  })
})

describe('refused, by name', () => {
  test.each([
    [['--prot', '1'], /--prot/],
    [['--port', '65536'], /port: must be <= 65535, but is 65536/],
    [['--port', 'x'], /--port: expected a number but received 'x'/],
    [['--workers', '0'], /workers: must be >= 1/],
    [['--max-delay', '2 weeks'], /--max-delay: expected a time as 0.2ms or 30s but received '2 weeks'/],
    [['--max-body', '-1'], /max-body/],
    [['--queue', '1.5'], /queue: must be integer/],
    [['--model', 'x'], /--model: expected NAME=FILE but received 'x'/],
    [['--model', '../x=f'], /a model's name has letters/],
    [['--log-level', 'loud'], /logLevel: .* but is "loud"/],
    [['--config', '/none'], /^--config: \/none cannot be read: it is not there$/],
    [['--config', '/'], /^--config: \/ cannot be read: it is a folder$/],
    [['word'], /word/],
  ])('%j', (args, message) => {
    expect(() => readSettings(args, {})).toThrow(message)
  })

  test('an unknown setting', () => {
    expect(() => settingsOf({ prot: 1 } as never)).toThrow(
      /unknown setting prot; there are model, models, host, port/,
    )
  })
})
