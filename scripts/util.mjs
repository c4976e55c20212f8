/** What the scripts share: running programs, finding them, reading test counts. */
import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')
export const windows = process.platform === 'win32'
export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Compilers at work at once: an ISA tier takes about half a gigabyte, so not every core of a large machine. */
export const jobs = String(Math.min(availableParallelism(), 8))

/** The full path of a program, or undefined. */
export function which(name) {
  if (name.includes('/') || (windows && name.includes('\\'))) return existsSync(name) ? name : undefined
  const endings = windows ? ['.exe', '.cmd', '.bat'] : ['']
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const ending of endings) {
      const path = join(folder, name + ending)
      try {
        accessSync(path, constants.X_OK)
        return path
      } catch {
        // not here
      }
    }
  }
  return undefined
}

/** Ends the script with one line (or paragraph) on stderr. */
export function die(message, code = 1) {
  console.error(message)
  process.exit(code)
}

/**
 * Runs a program with this terminal's output; ends the script when it fails.
 * `quiet` keeps its output back and shows it only on failure.
 */
export function run(command, args, { cwd = root, env = {}, quiet = false } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (result.error) die(`${command}: ${result.error.message}`)
  if (result.status !== 0) {
    if (quiet) process.stderr.write(`${result.stdout}${result.stderr}`)
    die(`${[command, ...args].join(' ')}: ${result.signal ?? `exit code ${result.status}`}`)
  }
  return result.stdout ?? ''
}

/** The output of a program that may fail: { status, stdout, stderr }. */
export function capture(command, args, { cwd = root, env = process.env } = {}) {
  const result = spawnSync(command, args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 })
  return {
    status: result.status ?? (result.error ? 127 : 128),
    stdout: result.stdout ?? '',
    stderr: result.stderr ?? String(result.error ?? ''),
  }
}

/** Runs a program, showing its output as it comes, or `whole` when it has ended, and returns { status, output }. */
export function tee(command, args, { cwd = root, env = {}, whole = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
      if (!whole) process.stdout.write(data)
    })
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`)
      resolve({ status: 127, output })
    })
    child.on('close', (code, signal) => {
      if (whole) process.stdout.write(output)
      resolve({ status: code ?? 128, signal, output })
    })
  })
}

/** The last `N passed, N failed` line of a test run, or undefined. */
export function counts(output) {
  const last = [...output.matchAll(/^(\d+) passed, (\d+) failed$/gm)].at(-1)
  return last && { passed: Number(last[1]), failed: Number(last[2]) }
}

/** A build folder that CMake configured for another place (a moved or copied checkout) is of no use. */
export function dropForeignBuild(folder) {
  const cache = join(folder, 'CMakeCache.txt')
  if (!existsSync(cache)) return
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1]
  if (home !== root.replaceAll('\\', '/')) rmSync(folder, { recursive: true, force: true })
}

const needs = `kernelet compiles its native part here, which takes CMake 3.19 or newer and a C++17 compiler:
  Debian, Ubuntu   sudo apt install g++ make cmake
  Fedora, RHEL     sudo dnf install gcc-c++ make cmake
  Alpine           apk add g++ make cmake
  macOS            xcode-select --install && brew install cmake
  Windows          Visual Studio 2022 with "Desktop development with C++" (brings CMake), or its Build Tools`

/** Ends the script with one clear message where CMake or a compiler is missing. */
export function requireToolchain() {
  const missing = []
  const version = /version (\d+)\.(\d+)/.exec(capture('cmake', ['--version']).stdout)
  if (!version) missing.push('cmake was not found')
  else if (Number(version[1]) < 3 || (Number(version[1]) === 3 && Number(version[2]) < 19))
    missing.push(`cmake is ${version[1]}.${version[2]}, older than 3.19`)
  if (!windows) {
    const compilers = process.env.CXX ? [process.env.CXX.split(' ')[0]] : ['c++', 'g++', 'clang++']
    if (!compilers.some(which)) missing.push(`no C++ compiler was found (looked for ${compilers.join(', ')})`)
    if (!which('ninja') && !which('make')) missing.push('neither make nor ninja was found')
  }
  if (missing.length > 0) die(`\nkernelet: ${missing.join('; ')}.\n\n${needs}\n`)
}
