/** What `import 'kernelet'` loads and what it leaves for later, in the built package; dist/ must be built. */
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { expect, test } from 'vitest'
import * as lib from '../lib/index.ts'
import { fixtures, root } from './helpers.ts'

const built = join(root, 'dist/index.js')
const picture = join(
  root,
  'examples/digits',
  readdirSync(join(root, 'examples/digits')).find(isPng) as string,
)

function isPng(file: string): boolean {
  return /^\d.*\.png$/.test(file)
}

/** Runs a program in a process of its own; what it passes to print() comes back. */
function run(program: string, type: 'module' | 'commonjs' = 'module', flags: string[] = []): unknown {
  const print = 'const print = (value) => process.stdout.write(JSON.stringify(value));'
  const { NODE_OPTIONS: _, ...env } = process.env
  return JSON.parse(
    execFileSync(process.execPath, [...flags, `--input-type=${type}`, '-e', print + program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env,
    }),
  )
}

const first = `
  const before = new Set(process.moduleLoadList)
  const kernelet = await import(${JSON.stringify(built)})
  const { LeNet5, Module, Tensor, KerneletError } = kernelet`

test('a first result takes few of Node’s modules and no search for the binary; others come with who needs them', () => {
  const [atFirst, later] = run(`${first}
    const loaded = () => [
      ...process.moduleLoadList.filter((one) => !before.has(one)),
      ...Object.keys(process.getBuiltinModule('node:module').createRequire(${JSON.stringify(built)}).cache)
    ]
    LeNet5.pretrained().compile({ inputShape: [1, 28, 28] }).run(new Float32Array(784))
    const atFirst = loaded()
    kernelet.decodePicture(process.getBuiltinModule('node:fs').readFileSync(${JSON.stringify(picture)}))
    print([atFirst, loaded()])`) as [string[], string[]]
  const dear =
    /NativeModule (stream|zlib|child_process|worker_threads|crypto|os|module|perf_hooks)$|streams|node_modules/
  expect(atFirst.filter((one) => dear.test(one))).toEqual([])
  expect(later).toContain('NativeModule zlib')
})

test('the built package has every export, of the same kind', () => {
  const kinds = run(`${first}
    print(Object.fromEntries(Object.entries(kernelet).map(([name, one]) => [name, typeof one])))`)
  expect(kinds).toEqual(Object.fromEntries(Object.entries(lib).map(([name, one]) => [name, typeof one])))
})

test('functions and classes of the built package go by the names of their exports', () => {
  const others = run(`${first}
    print(Object.entries(kernelet).filter(([name, one]) => typeof one === 'function' && one.name !== name)
      .map(([name, one]) => [name, one.name]))`)
  expect(others).toEqual([])
})

test('a Node that is too old, and the permissions that are missing, are named', () => {
  const old = `process.getBuiltinModule = undefined
    const error = await import(${JSON.stringify(built)}).catch((error) => error)
    process.stdout.write(JSON.stringify(error.message))`
  expect(run(old)).toBe(`kernelet needs Node.js 20.19, 22.12 or newer; this is ${process.version}`)
  const permission = process.version.startsWith('v20.') ? '--experimental-permission' : '--permission'
  const allowed = (...flags: string[]) => {
    const program = `
      const { LeNet5 } = await import(${JSON.stringify(built)})
      let word = 'it runs'
      try { LeNet5.pretrained().compile({ inputShape: [1, 28, 28] }) } catch ({ code, message }) { word = code + ' ' + message }
      print(word)`
    return run(program, 'module', [permission, ...flags])
  }
  const files = `--allow-fs-read=${join(root, '/*')}`
  expect(allowed('--allow-addons', files)).toBe('it runs')
  expect(allowed(files)).toMatch(/^ERR_NATIVE_LOAD .*--allow-addons/)
  expect(allowed('--allow-addons', `--allow-fs-read=${join(root, 'dist')}/*`)).toMatch(
    /^ERR_NATIVE_LOAD .*--allow-fs-read=/,
  )
})

test('without the permission for threads pictures are read on the caller’s; without that for a file it is named', () => {
  const permission = process.version.startsWith('v20.') ? '--experimental-permission' : '--permission'
  const flags = [permission, '--allow-addons', `--allow-fs-read=${join(root, '/*')}`]
  const program = `
    const { DigitClassifier } = await import(${JSON.stringify(built)})
    const warnings = []
    process.on('warning', ({ code, message }) => { if (code === 'KERNELET_NO_THREADS') warnings.push(message) })
    const one = DigitClassifier.load()
    const found = await Promise.all([1, 2, 3].map(() => one.classifyFile(${JSON.stringify(picture)})))
    const error = await one.classifyFile('/nowhere/digit.png').catch(({ code, message }) => [code, message])
    await new Promise(setImmediate) // warnings come by themselves
    print([found.map(({ digit }) => digit), warnings, error])`
  const digit = Number(picture.split('/').at(-1)?.[0])
  const [digits, warnings, error] = run(program, 'module', flags) as [number[], string[], string[]]
  expect(digits).toEqual([digit, digit, digit])
  expect(warnings).toEqual([expect.stringMatching(/[^.]\. Run node with --allow-worker\.$/)])
  expect(error).toEqual([
    'ERR_IO',
    '/nowhere/digit.png cannot be read: Node’s permission model does not allow it: run node with --allow-fs-read=/nowhere/digit.png',
  ])
})

test('files, pictures and models are of the same classes and errors, by import and by require', () => {
  const program = `
    const code = (call) => { try { call() } catch (error) { return error instanceof KerneletError && error.code } }
    const later = async (call) => { try { await call() } catch (error) { return error instanceof KerneletError && error.code } }
    const { readFileSync } = process.getBuiltinModule('node:fs')
    const pixels = kernelet.decodePicture(readFileSync(${JSON.stringify(picture)}))
    const onnx = kernelet.loadOnnx(${JSON.stringify(join(fixtures, 'residual.dynamo.onnx'))})
    const weights = kernelet.loadTorch(${JSON.stringify(join(fixtures, 'torch/bn_depthwise.state_dict.pt'))})
    Promise.all([
      later(() => kernelet.decodePictureAsync(new Uint8Array(3))),
      later(() => kernelet.downloadMnist({ to: '/nowhere' })),
      later(() => kernelet.loadPictures('/nowhere')),
    ]).then((rejected) => print({
      status: kernelet.normalizeDigit(pixels).status,
      digit: kernelet.DigitClassifier.load().classify(readFileSync(${JSON.stringify(picture)})).digit,
      onnx: [onnx instanceof kernelet.OnnxModel, onnx instanceof Module, onnx.compile().outputShape.length > 0],
      weights: [...weights.values()].every((one) => one instanceof Tensor),
      thrown: [
        code(() => kernelet.loadIdx('/nowhere')),
        code(() => kernelet.loadMnist('/nowhere')),
        code(() => kernelet.loadTorch('/nowhere')),
        code(() => kernelet.saveOnnx(new LeNet5(), '/nowhere/model.onnx', { inputShape: [1, 28, 28] })),
      ],
      rejected,
    }))`
  const expected = {
    status: 'digit',
    digit: Number(picture.split('/').at(-1)?.[0]),
    onnx: [true, true, true],
    weights: true,
    thrown: ['ERR_IO', 'ERR_IO', 'ERR_IO', 'ERR_IO'],
    rejected: ['ERR_FORMAT', 'ERR_ARGUMENT', 'ERR_IO'],
  }
  expect(run(first + program)).toEqual(expected)
  const required = `const kernelet = require(${JSON.stringify(built)}); const { LeNet5, Module, Tensor, KerneletError } = kernelet;`
  expect(run(required + program, 'commonjs')).toEqual(expected)
})

test('the same where a tool loads modules in its own way, as vitest does here', async () => {
  const kernelet = (await import(built)) as typeof lib
  const onnx = kernelet.loadOnnx(join(fixtures, 'residual.dynamo.onnx'))
  expect(onnx).toBeInstanceOf(kernelet.Module)
  expect(onnx.parameters().length).toBeGreaterThan(0)
  const weights = kernelet.loadTorch(join(fixtures, 'torch/bn_depthwise.state_dict.pt'))
  for (const one of weights.values()) expect(one).toBeInstanceOf(kernelet.Tensor)
  expect(() => kernelet.loadIdx('/nowhere')).toThrow(kernelet.KerneletError)
})

/** A folder with the package's files but for its code, for a `dist` of one's own. */
function packageWithout(dist: (folder: string) => void, then: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'kernelet-dist-'))
  try {
    for (const name of ['package.json', 'build', 'prebuilds', 'node_modules', 'models']) {
      if (existsSync(join(root, name))) symlinkSync(join(root, name), join(folder, name))
    }
    dist(join(folder, 'dist'))
    then(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('ONNX, pictures and files are loaded when they are needed: without those files all else works', () => {
  // operators that a CNN has are not among those that are loaded with the first of them
  packageWithout(
    (dist) => {
      cpSync(join(root, 'dist'), dist, { recursive: true })
      for (const name of ['onnx-more', 'onnx-rare']) rmSync(join(dist, `chunks/${name}.cjs`))
    },
    (folder) => {
      const [shape, error] = run(`
        const { LeNet5, loadOnnx, saveOnnx } = await import(${JSON.stringify(join(folder, 'dist/index.js'))})
        const { outputShape } = loadOnnx(${JSON.stringify(join(fixtures, 'residual.dynamo.onnx'))}).compile()
        let code
        try { saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] }) } catch (error) { code = error.code }
        print([outputShape, code])`) as [number[], string]
      expect(shape).toEqual(lib.loadOnnx(join(fixtures, 'residual.dynamo.onnx')).compile().outputShape)
      expect(error).toMatch(/MODULE_NOT_FOUND/)
    },
  )
  packageWithout(
    (dist) => {
      cpSync(join(root, 'dist'), dist, { recursive: true })
      for (const name of ['graphs', 'onnx', 'onnx-more', 'onnx-rare', 'pictures', 'train', 'files'])
        rmSync(join(dist, `chunks/${name}.cjs`))
    },
    (folder) => {
      const [shape, error] = run(`
        const { LeNet5, loadOnnx } = await import(${JSON.stringify(join(folder, 'dist/index.js'))})
        const { outputShape } = LeNet5.pretrained().compile({ inputShape: [1, 28, 28] })
        let message
        try { loadOnnx(${JSON.stringify(join(fixtures, 'residual.dynamo.onnx'))}) } catch (error) { message = error.code }
        print([outputShape, message])`) as [number[], string]
      expect(shape).toEqual([10])
      expect(error).toMatch(/MODULE_NOT_FOUND/)
    },
  )
})

test('bundlers and file tracers can follow every way from their entry: plain imports, JavaScript modules only', async () => {
  const dist = join(root, 'dist')
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' })
  expect(files.filter((file) => /\.(cjs|mjs|json|wasm)$/.test(file)).sort()).toEqual([
    'chunks/files.cjs',
    'chunks/graphs.cjs',
    'chunks/onnx-more.cjs',
    'chunks/onnx-rare.cjs',
    'chunks/onnx.cjs',
    'chunks/pictures.cjs',
    'chunks/train.cjs',
    'index.cjs',
  ])
  const library = readFileSync(join(dist, 'chunks/kernelet.js'), 'utf8')
  const pictures = readFileSync(join(dist, 'chunks/pictures.cjs'), 'utf8')
  expect(library).toContain('class extends Module') // it is that file
  // what runs as a thread is whole where it lies
  const thread = readFileSync(join(dist, 'vision/classifier/worker.js'), 'utf8')
  expect([...thread.matchAll(/^(?:import|export) .*/gm)].map(([line]) => line)).toEqual(['export {};'])
  expect(readFileSync(join(dist, 'index.js'), 'utf8')).toContain(
    "new URL('./vision/classifier/worker.js', import.meta.url)",
  )
  const imports = [library, pictures].map((code) => [...code.matchAll(/\bimport\(([^)]*)\)/g)])
  expect(imports.map((found) => found.map(([, what]) => what))).toEqual([[], [expect.any(String)]]) // sharp, where it is installed
  // Node alone takes index.js, which requires the files of few programs when they are needed; others take bundler.js
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect(Object.keys(exports['.'])).toEqual(['types', 'module', 'module-sync', 'require', 'default'])
  const entry = join(root, exports['.'].module)
  for (const name of ['graphs', 'onnx', 'onnx-more', 'onnx-rare', 'pictures', 'train', 'files']) {
    expect(readFileSync(entry, 'utf8')).toMatch(
      new RegExp(`^import \\w+ from "\\./chunks/${name}\\.cjs";$`, 'm'),
    )
  }
  const bundled = await rolldown({
    input: entry,
    platform: 'node',
    external: /^(node:|node-gyp-build)/,
    logLevel: 'silent',
  })
  const { output } = await bundled.generate({ format: 'esm' })
  expect(output.map(({ fileName }) => fileName)).toEqual(['bundler.js'])
  const program = (output[0] as { code: string }).code
  expect(program.includes('GraphWriter = class')).toBe(true)
  packageWithout(
    (dist) => {
      mkdirSync(dist)
      writeFileSync(join(dist, 'bundle.js'), program)
    },
    (folder) => {
      const shape = run(`
        const kernelet = await import(${JSON.stringify(join(folder, 'dist/bundle.js'))})
        print(kernelet.loadOnnx(${JSON.stringify(join(fixtures, 'residual.dynamo.onnx'))}).compile().outputShape)`)
      expect(shape).toEqual(lib.loadOnnx(join(fixtures, 'residual.dynamo.onnx')).compile().outputShape)
      // a package without the thread's file leaves its work to the caller
      const [digit, warnings] = run(`
        const { DigitClassifier } = await import(${JSON.stringify(join(folder, 'dist/bundle.js'))})
        const warnings = []
        process.on('warning', ({ code }) => warnings.push(code))
        const { digit } = await DigitClassifier.load().classifyFile(${JSON.stringify(picture)})
        print([digit, warnings])`) as [number, string[]]
      expect(digit).toBe(Number(picture.split('/').at(-1)?.[0]))
      expect(warnings).toEqual(['KERNELET_NO_THREADS'])
    },
  )
})
