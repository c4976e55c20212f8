/** The built package under vitest's pools that give each test file a new context: as the library's users run it. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(root, join(folder, 'node_modules/kernelet'))
symlinkSync(join(root, 'node_modules/vitest'), join(folder, 'node_modules/vitest'))

const program = `
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CompiledModel, DigitClassifier, KerneletError, LeNet5, loadOnnx, saveOnnx, Tensor, Trainer } from 'kernelet'

test('kernelet', async () => {
  {
    using model = LeNet5.pretrained().compile({ inputShape: [1, 28, 28] })
    expect(model).toBeInstanceOf(CompiledModel)
    expect(model.run(new Float32Array(784))).toHaveLength(10)
    expect(await model.runAsync(new Tensor(new Float32Array(1568), [2, 1, 28, 28]))).toHaveLength(20)
    expect(() => model.run(new Float32Array(3))).toThrow(KerneletError)
    expect(Object.getOwnPropertyNames(CompiledModel.prototype)).not.toContain('undefined')
  }
  const digits = DigitClassifier.load()
  expect(digits.classify(readFileSync(${JSON.stringify(join(root, 'examples/digits/1-pencil.png'))})).digit).toBe(1)
  const trainer = new Trainer(new LeNet5(), { inputShape: [1, 28, 28], seed: 1 })
  expect(trainer.step(new Float32Array(1568), new Int32Array([1, 2])).loss).toBeGreaterThan(0)
  trainer.dispose()
  expect(() => trainer.step(new Float32Array(1568), [1, 2])).toThrow(KerneletError)
  const onnx = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] }))
  expect(onnx.compile().run(new Float32Array(784))).toHaveLength(10)
})`

test.each(['vmThreads', 'vmForks'])(
  '%s, with the package outside and inlined',
  async (pool) => {
    for (const inline of [false, true]) {
      const deps = inline ? `, server: { deps: { inline: [/kernelet/] } }` : ''
      writeFileSync(
        join(folder, 'vitest.config.mjs'),
        `export default { test: { include: ['*.test.ts'], pool: '${pool}'${deps} } }`,
      )
      writeFileSync(join(folder, 'user.test.ts'), program)
      const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder],
        { cwd: folder, env: { ...env, NO_COLOR: '1' } },
      )
      expect(stdout).toMatch(/Tests {2}1 passed/)
    }
  },
  60_000,
)
