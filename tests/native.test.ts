/** Loading the addon, and what happens when it is not there. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { loadAddon, native } from '../lib/backend/node-addon.ts'
import { isa, KerneletError, threads, version } from '../lib/index.ts'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('the version is that of package.json', () => {
  expect(version).toBe(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version)
})

test('the machine is described', () => {
  const { compiled, supported, chosen, reason } = isa()
  expect(compiled).toEqual(expect.arrayContaining(supported))
  expect(supported).toContain('scalar')
  expect(supported).toContain(chosen)
  expect(reason).not.toBe('')
  expect(threads().usable).toBeGreaterThanOrEqual(1)
  expect(native()).toBe(native())
})

test('a missing binary: the platform, the C library, the places, the command', () => {
  const target = `${process.platform}-${process.arch}`
  const library = process.platform === 'linux' ? /, (glibc \d+\.\d+|musl)$/ : /^[^,]*$/
  const error = catchError(() => loadAddon(join(folder, 'checkout')))
  expect(error).toBeInstanceOf(KerneletError)
  expect(error.code).toBe('ERR_NATIVE_LOAD')
  const [, system] = /loaded for (.*) \(Node/.exec(error.message) ?? []
  expect(system).toMatch(library)
  expect(error.message).toContain(`for ${system} (Node ${process.versions.node})`)
  expect(system?.startsWith(target)).toBe(true)
  expect(error.message).toContain(join(folder, 'checkout', 'build/Release'))
  expect(error.message).toContain(join(folder, 'checkout', `prebuilds/${target}`))
  expect(error.message).toContain('`npm run build`')
  const installed = catchError(() => loadAddon(join(folder, 'node_modules/kernelet/')))
  expect(installed.message).toContain('`npm explore kernelet -- npm run build:source`')
})

test('a prebuilt binary: of its place, or where the environment says', () => {
  const prebuilt = join(folder, 'prebuilt')
  const place = join(prebuilt, `prebuilds/${process.platform}-${process.arch}`)
  cpSync(join(root, 'build/Release/kernelet.node'), join(place, 'kernelet.node'))
  expect(loadAddon(prebuilt).isa()).toEqual(isa())
  cpSync(join(root, 'package.json'), join(folder, 'elsewhere/package.json'))
  vi.stubEnv('KERNELET_PREBUILD', prebuilt)
  expect(loadAddon(join(folder, 'elsewhere')).isa()).toEqual(isa())
  vi.unstubAllEnvs()
})

test('a binary that does not load: the system’s reason', () => {
  mkdirSync(join(folder, 'broken/build/Release'), { recursive: true })
  writeFileSync(join(folder, 'broken/build/Release/kernelet.node'), 'no machine code')
  const error = catchError(() => loadAddon(join(folder, 'broken')))
  expect(error.code).toBe('ERR_NATIVE_LOAD')
  expect(error.message).toContain('kernelet.node')
  expect(error.cause).toBeInstanceOf(Error)
})

test('without the addon models and weights are there; what asks for shapes or computes says what is missing', () => {
  const copy = join(folder, 'copy')
  cpSync(join(root, 'dist'), join(copy, 'dist'), { recursive: true })
  cpSync(join(root, 'models'), join(copy, 'models'), { recursive: true })
  cpSync(join(root, 'package.json'), join(copy, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  const program = `
    import { LeNet5 } from ${JSON.stringify(join(copy, 'dist/index.js'))}
    const model = LeNet5.pretrained()
    console.log(model.stateDict().size)
    for (const use of [() => model.summary([1, 28, 28]), () => model.compile({ inputShape: [1, 28, 28] })]) {
      try { use() } catch (error) { console.log(error.code) }
    }`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  expect(output).toBe('10\nERR_NATIVE_LOAD\nERR_NATIVE_LOAD\n')
})

test('errors of the addon arrive as KerneletErrors', () => {
  const run = () => native().compile({ nodes: [], output: 0 }, {})
  expect(run).toThrow(KerneletError)
  expect(run).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  expect(() => native().compile(7 as never, {})).toThrow(KerneletError)
})

test('KERNELET_ISA that this machine lacks lists what it has', () => {
  const program = `
    import { isa } from ${JSON.stringify(join(root, 'dist/index.js'))}
    try { isa() } catch (error) { console.log(error.name, error.code, error.message) }`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: { ...process.env, KERNELET_ISA: 'altivec' },
  })
  expect(output).toMatch(/^KerneletError ERR_ISA .*altivec/)
  for (const tier of isa().supported) expect(output).toContain(tier)
})

function catchError(run: () => unknown): KerneletError {
  try {
    run()
  } catch (error) {
    return error as KerneletError
  }
  throw new Error('nothing was thrown')
}
