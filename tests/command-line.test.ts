/** What every command shares: words, typos, output that cannot be written, completion; dist/ must be built. */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { completions } from '../lib/cli/completions.ts'
import { wrap } from '../lib/cli/help.ts'
import { allCommands, commandNames } from '../lib/cli/registry.ts'
import { loadCsv, loadOnnx, loadPictures, saveSafetensors, Tensor, version } from '../lib/index.ts'
import { root } from './helpers.ts'

const program = join(root, 'bin/kernelet.js')
const digit = join(root, 'examples/digits/1-pencil.png')
const folder = mkdtempSync(join(tmpdir(), 'kernelet-line-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => vi.doUnmock('sharp'))

function run(args: string[], options: SpawnSyncOptions = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    cwd: folder,
    ...options,
  })
  return { status, stdout: String(stdout), stderr: String(stderr) }
}

describe('words and typos', () => {
  test('help and version', () => {
    const whole = run(['--help'])
    expect(run(['version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
    expect(run(['help'])).toEqual(whole)
    expect(run(['version', '--help'])).toEqual(whole)
    expect(run(['help', 'eval'])).toEqual(run(['eval', '--help']))
    expect(run(['--help', 'bench', 'layers'])).toEqual(run(['bench', 'layers', '--help']))
    expect(whole.stdout).toMatch(/^ {2}help .*\n {2}version /m)
  })

  test.each([
    [['halp'], 'unknown command halp; did you mean help? (see kernelet --help)'],
    [['verison'], 'unknown command verison; did you mean version? (see kernelet --help)'],
    [['--verison'], 'unknown option --verison; did you mean --version? (see kernelet --help)'],
    [['help', 'evla'], 'unknown command evla; did you mean eval? (see kernelet --help)'],
    [
      ['help', 'bench', 'layer'],
      'bench: unknown command layer; did you mean layers? (see kernelet bench --help)',
    ],
    [['version', 'x'], 'version: unexpected x (see kernelet --help)'],
    [
      ['data', '.'],
      'data: unknown command .; did you mean kernelet data --data .? (see kernelet data --help)',
    ],
    [[digit], `unknown command ${digit}; did you mean kernelet classify ${digit}? (see kernelet --help)`],
    [
      ['completion', 'fihs'],
      'completion: expected one of bash, zsh, fish but received fihs; did you mean fish? (see kernelet completion --help)',
    ],
    [['completion'], 'completion: expected one of bash, zsh, fish (see kernelet completion --help)'],
  ])('%j', (args, line) => {
    expect(run(args)).toEqual({ status: 2, stdout: '', stderr: `kernelet: ${line}\n` })
  })
})

describe.skipIf(!existsSync('/dev/full'))('output that cannot be written', () => {
  const full = openSync('/dev/full', 'w')
  afterAll(() => closeSync(full))

  test.each([
    [['info'], 1],
    [['--help'], 1],
    [['classify', digit], 1],
    [['summary', '--json'], 1],
    [['completion', 'bash'], 1],
  ])('stdout on a full disk: %j ends with a line', (args, status) => {
    const child = run(args, { stdio: ['ignore', full, 'pipe'] })
    expect(child).toMatchObject({
      status,
      stderr: expect.stringMatching(/^kernelet: the output cannot be written: ENOSPC[^\n]*\n$/),
    })
  })

  test('stderr on a full disk: the work goes on, the exit code is what it was', () => {
    const stdio: SpawnSyncOptions = { stdio: ['ignore', 'pipe', full] }
    expect(run(['nosuch'], stdio)).toMatchObject({ status: 2, stdout: '' })
    expect(run(['classify', '--csv', 'none.png', digit], stdio)).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/pencil\.png,digit,1,/),
    })
  })
})

test.skipIf(process.platform === 'win32')('a pipe whose reader is gone ends every command quietly', () => {
  const ndjson = `classify --ndjson ${`'${digit}' `.repeat(300)}`
  for (const command of ['--help', 'info --json', 'completion fish', ndjson]) {
    const line = `'${process.execPath}' '${program}' ${command} | true`
    expect(spawnSync('sh', ['-c', line], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
  }
})

describe('addresses in the place of files', () => {
  const why = /it is a URL, and kernelet reads files only; download it first, such as by curl -LO 'https:/

  test('commands', () => {
    for (const args of [
      ['classify', 'https://example.org/a.png'],
      ['inspect', 'https://example.org/a.onnx'],
      ['eval', '--data', 'https://example.org/a'],
      ['eval', '--data', 'https://example.org/a.csv'],
      ['classify', '--weights', 'https://example.org/a.onnx', digit],
      ['convert', 'https://example.org/a.pt', 'a.safetensors'],
      ['bench', 'compare', 'https://example.org/a.json', 'b.json'],
    ]) {
      expect(run(args)).toMatchObject({ status: 1, stdout: '', stderr: expect.stringMatching(why) })
    }
    expect(run(['explain', digit, '--out', 'https://example.org/a.svg']).stderr).toMatch(
      /it is a URL, and kernelet writes files only/,
    )
    expect(run(['classify', String(pathToFileURL(digit))])).toMatchObject({ status: 0 })
  })

  test('functions, of URL objects too', async () => {
    const bucket = 's3://bucket/a.onnx'
    expect(() => loadOnnx(bucket)).toThrow(
      `${bucket} cannot be read: it is a URL, and kernelet reads files only`,
    )
    expect(() => loadOnnx(new URL('https://example.org/a.onnx'))).toThrow(why)
    await expect(loadCsv('https://example.org/a.csv')).rejects.toThrow(why)
    await expect(loadPictures('https://example.org/a')).rejects.toThrow(why)
    expect(() => saveSafetensors('gs://b/w', { w: new Tensor(new Float32Array(1), [1]) })).toThrow(
      /kernelet writes files only/,
    )
  })
})

describe('pictures are written in the form that their name says', () => {
  test.each([
    [['explain', digit, '--out', 'e.jpg'], '--out: expected a name that ends in .svg or .png'],
    [['explain', digit, '--out', 'e'], '--out: expected a name that ends in .svg or .png'],
    [['train', '--plot', 'curve.png'], '--plot: expected a name that ends in .svg'],
    [['eval', '--sheet', 'misread.svg'], '--sheet: expected a name that ends in .png'],
    [['data', '--sheet', 'misread.jpg'], '--sheet: expected a name that ends in .png'],
    [['bench', 'layers', '--plot', 'a.png'], '--plot: expected a name that ends in .svg'],
    [['bench', 'compare', folder, '--plot', 'a.png'], '--plot: expected a name that ends in .svg'],
  ])('%j', (args, message) => {
    expect(run(args)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(message) })
  })

  test('explain draws PNG through sharp, or says that it needs it', async () => {
    const calls: unknown[] = []
    const picture = {
      flatten: (options: unknown) => {
        calls.push(options)
        return picture
      },
      png: () => picture,
      toBuffer: async () => Buffer.from('drawn'),
    }
    vi.doMock('sharp', () => ({
      default: (svg: Buffer) => {
        calls.push(svg.toString().slice(0, 5))
        return picture
      },
    }))
    const { command } = await import('../lib/cli/commands/explain.ts')
    const out = join(folder, 'e.png')
    expect(await command.run({ out }, [digit])).toBe(0)
    expect(readFileSync(out, 'utf8')).toBe('drawn')
    expect(calls).toEqual(['<svg ', { background: '#fff' }])
    vi.doMock('sharp', () => {
      throw Object.assign(new Error("Cannot find package 'sharp' imported from here"), {
        code: 'ERR_MODULE_NOT_FOUND',
      })
    })
    await expect(async () => command.run({ out: join(folder, 'f.png') }, [digit])).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringContaining('.svg needs nothing'),
    })
    expect(existsSync(join(folder, 'f.png'))).toBe(false)
  })
})

test('words are broken between words', () => {
  expect(wrap('a line of several words', 9)).toEqual(['a line of', 'several', 'words'])
  expect(wrap('unbreakable', 4)).toEqual(['unbreakable'])
})

describe.skipIf(process.platform !== 'linux' || spawnSync('script', ['--version']).status !== 0)(
  'on a terminal',
  () => {
    /** In a terminal of so many columns; it gives what is drawn, of stdout and stderr. */
    const shown = (columns: number, command: string, env: NodeJS.ProcessEnv = {}) =>
      String(
        spawnSync(
          'script',
          ['-qec', `stty cols ${columns}; '${process.execPath}' '${program}' ${command}`, '/dev/null'],
          { encoding: 'utf8', cwd: folder, env: { ...plain, TERM: 'xterm-256color', ...env } },
        ).stdout,
      )
    const { NO_COLOR, FORCE_COLOR, CI, ...plain } = process.env

    test('help keeps to its width', () => {
      const lines = shown(60, '--help').split(/\r?\n/)
      const table = lines.filter((line) => line.startsWith('  '))
      expect(table.length).toBeGreaterThan(30)
      for (const line of table) expect(line.length).toBeLessThanOrEqual(60)
    })

    test('colours, unless NO_COLOR is set', () => {
      expect(shown(80, `classify '${digit}'`)).toContain('\x1b[')
      expect(shown(80, `classify '${digit}'`, { NO_COLOR: '1' })).not.toContain('\x1b[')
      expect(shown(80, 'nosuch', { NO_COLOR: '1' })).not.toContain('\x1b[')
    })
  },
)

describe('completion', () => {
  const scripts = Object.keys(completions)

  test.each(scripts)('%s: every command, every option', async (shell) => {
    const commands = await allCommands()
    const script = completions[shell]!(commands)
    for (const name of commandNames()) expect(script).toContain(name)
    for (const [, { options }] of commands) {
      for (const option of Object.keys(options)) {
        expect(script).toContain(shell === 'fish' ? `-l ${option} ` : `--${option}`)
      }
    }
    if (spawnSync(shell, ['--version']).error) return
    const file = join(folder, `completion.${shell}`)
    writeFileSync(file, script)
    expect(spawnSync(shell, ['-n', file], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
  })

  const cases: [line: string, expected: string[]][] = [
    ['kernelet cl', ['classify']],
    ['kernelet bench ker', ['kernels']],
    ['kernelet bench kernels --is', ['--isa']],
    ['kernelet train --dat', ['--data']],
    ['kernelet help su', ['summary']],
    ['kernelet completion f', ['fish']],
  ]

  test.skipIf(spawnSync('bash', ['--version']).error)('bash completes', async () => {
    const asked = cases.map(
      ([line]) =>
        `COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _kernelet; echo "\${COMPREPLY[*]}"`,
    )
    const script = [completions.bash!(await allCommands()), ...asked].join('\n')
    const { stdout } = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
    expect(stdout.trimEnd().split('\n')).toEqual(cases.map(([, expected]) => expected.join(' ')))
  })

  test.skipIf(spawnSync('zsh', ['--version']).error)('zsh completes', async () => {
    const file = join(folder, 'completion.zsh')
    writeFileSync(file, completions.zsh!(await allCommands()))
    // the tab key of a terminal, with a line that is told and dropped after each
    const script = `
      zmodload zsh/zpty
      zpty shell zsh -f -i
      zpty -w shell 'PROMPT= ; autoload -U compinit && compinit -u -D && source '$1
      zpty -w shell 'tell() { zle complete-word; print -r -- "<<$BUFFER>>"; zle kill-buffer; zle -R }'
      zpty -w shell 'zle -N tell; bindkey "^I" tell; print rea""dy'
      zpty -r shell said '*ready*'
      for line in "\${@:2}"; do
        zpty -w -n shell $line$'\\t'
        zpty -r shell said '*<<*>>*'
        print -r -- \${\${said##*<<}%%>>*}
      done
      zpty -d shell`
    const asked = ['-f', '-c', script, 'zsh', file, ...cases.map(([line]) => line)]
    const { stdout } = spawnSync('zsh', asked, { encoding: 'utf8', timeout: 120_000 })
    const ends = cases.map(([line, [word]]) => `${line.slice(0, line.lastIndexOf(' ') + 1)}${word}`)
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.trimEnd()),
    ).toEqual(ends)
  })

  test.skipIf(spawnSync('fish', ['--version']).error)('fish completes', async () => {
    const asked = cases.map(([line]) => `echo (complete -C '${line}' | string split -f 1 \\t)`)
    const script = [completions.fish!(await allCommands()), ...asked].join('\n')
    const { stdout } = spawnSync('fish', ['-c', script], { encoding: 'utf8' })
    expect(stdout.trimEnd().split('\n')).toEqual(cases.map(([, expected]) => expected.join(' ')))
  })
})
