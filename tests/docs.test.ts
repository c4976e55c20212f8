/** The code of README and docs/ is run, and prints what is shown: markdown.ts says how. dist/ must be built. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from './free-port.ts'
import { root } from './helpers.ts'
import { type Block, filesOf, type Program, pattern, programsOf, setupsOf, trimmed } from './markdown.ts'

const read = (document: string) => readFileSync(join(root, document), 'utf8')
const documents = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md') && !/(^|[/\\])(node_modules|\.)/.test(name))
  .map((name) => join('docs', name))
  .sort()

const python = process.env.KERNELET_PYTHON ?? 'python3'
let torch: boolean | undefined
/** Whether Python has PyTorch and its exporter to ONNX. */
function hasTorch(): boolean {
  torch ??= spawnSync(python, ['-c', 'import torch, onnx, onnxscript, safetensors']).status === 0
  if (!torch)
    console.warn(
      `skipped: ${python} has no torch, onnx, onnxscript, safetensors; set KERNELET_PYTHON to one that has`,
    )
  return torch
}

for (const document of ['README.md', ...documents]) {
  const programs = programsOf(read(document), /^docs[/\\]guides/.test(document))
  if (programs.length === 0) continue
  describe(document, () => {
    const folder = mkdtempSync(join(tmpdir(), 'kernelet-docs-'))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    const servers: ChildProcess[] = []
    let port = 8080
    beforeAll(async () => {
      if (programs.some(({ starts }) => starts)) port = await freePort()
    })
    afterAll(async () => {
      for (const server of servers) await ended(server)
      rmSync(folder, { recursive: true, force: true })
    })
    for (const program of programs) {
      const { language, line, blocks, starts } = program
      test(`line ${line}, ${language}`, async ({ skip }) => {
        for (const [from, name] of blocks.flatMap(filesOf)) {
          cpSync(join(root, from), join(folder, name), { recursive: true })
        }
        for (const [script = '', ...rest] of blocks.flatMap(setupsOf)) {
          const { status, stderr } = spawnSync(process.execPath, [join(root, script), ...rest], {
            cwd: folder,
            encoding: 'utf8',
          })
          expect(status, stderr).toBe(0)
        }
        if (language === 'python' && !hasTorch()) skip()
        const [command, ...args] = write(folder, program, port)
        if (starts) {
          servers.push(await started(command, args, { cwd: folder, env: environment(folder, port) }))
          return
        }
        const { status, stdout, stderr } = await run(command, args, {
          cwd: folder,
          env: environment(folder, port),
        })
        expect(status, `${stdout}\n${stderr}`).toBe(0)
        for (const [i, printed] of stdout.split(separator).slice(0, -1).entries()) {
          const { output, line } = blocks[i]!
          if (output === undefined || pattern(output).test(trimmed(printed))) continue
          expect(trimmed(printed), `what ${document}:${line} prints`).toBe(trimmed(output))
        }
        expect(stdout.split(separator).length - 1, 'blocks that were run').toBe(blocks.length)
      })
    }
  })
}

/** Printed after each block. */
const separator = '\u0004end of the block\n'
const ends: Record<Program['language'], string> = {
  js: `console.log(${JSON.stringify(separator.trimEnd())})`,
  ts: `console.log(${JSON.stringify(separator.trimEnd())})`,
  python: `print(${JSON.stringify(separator.trimEnd())}, flush=True)`,
  sh: `printf '\\004end of the block\\n'`,
}

/** Writes a program into the folder; the command that runs it. */
function write(
  folder: string,
  { language, line, blocks, starts }: Program,
  port: number,
): [string, ...string[]] {
  const code = blocks
    .map((block: Block) => `${block.code}\n${starts ? '' : ends[language]}\n`)
    .join('')
    .replaceAll(':8080', `:${port}`)
  const name = (extension: string, text = code) => {
    writeFileSync(join(folder, `line-${line}.${extension}`), text)
    return `line-${line}.${extension}`
  }
  switch (language) {
    case 'js':
      return [process.execPath, name('mjs')]
    case 'python':
      return [python, '-W', 'ignore', name('py')]
    case 'sh':
      // what npx would look for is on the PATH
      return ['bash', name('sh', `set -euo pipefail\n${code.replaceAll('npx kernelet', 'kernelet')}`)]
    case 'ts': {
      // without declarations of the browser, whose names hide what Node lacks
      const options = [
        '--strict',
        '--target',
        'es2022',
        '--module',
        'nodenext',
        '--types',
        'node',
        '--skipLibCheck',
      ]
      const compiler = join(root, 'node_modules/typescript/bin/tsc')
      const file = name('mts')
      const { status, stdout } = spawnSync(process.execPath, [compiler, ...options, file], {
        cwd: folder,
        encoding: 'utf8',
      })
      expect(status, stdout).toBe(0)
      return [process.execPath, file.replace('.mts', '.mjs')]
    }
  }
}

function environment(folder: string, port: number): NodeJS.ProcessEnv {
  const path = [join(folder, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter)
  return { ...process.env, PATH: path, NO_COLOR: '1', KERNELET_SERVE_PORT: `${port}` }
}

interface Where {
  cwd: string
  env: NodeJS.ProcessEnv
}

function run(command: string, args: string[], where: Where) {
  return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    const child = spawn(command, args, { ...where, stdio: ['ignore', 'pipe', 'pipe'], timeout: 280_000 })
    const said = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, ...said }))
  })
}

/** A server, once it has said where it listens. */
function started(command: string, args: string[], where: Where): Promise<ChildProcess> {
  const server = spawn(command, args, { ...where, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  return new Promise((resolve, reject) => {
    let said = ''
    const hear = (text: string) => {
      said += text
      if (/https?:\/\//.test(said)) resolve(server)
    }
    server.stdout.setEncoding('utf8').on('data', hear)
    server.stderr.setEncoding('utf8').on('data', hear)
    server.on('error', reject)
    server.on('exit', (status) => reject(new Error(`it ended with ${status} and said ${said}`)))
  })
}

/** Ends a server and what it started. */
async function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.pid === undefined) return
  const exit = new Promise((resolve) => server.once('exit', resolve))
  process.kill(-server.pid, 'SIGTERM')
  await exit
}
