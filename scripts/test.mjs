/**
 * npm test: builds what changed, runs the native tests and vitest side by side, and ends with one line for both,
 * `N passed, N failed`. Arguments go to vitest: `npm test -- tests/tensor.test.ts`.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { counts, root, tee } from './util.mjs'

const total = { passed: 0, failed: 0, skipped: 0 }
const script = (name) => join(root, 'scripts', name)

async function stage(name, run) {
  const start = performance.now()
  const { passed, failed, skipped = 0 } = await run()
  total.passed += passed
  total.failed += failed
  total.skipped += skipped
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  return `${name}: ${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''} (${seconds} s)`
}

async function build() {
  for (const name of ['build-native.mjs', 'build-ts.mjs']) {
    const { status } = await tee(process.execPath, [script(name)])
    if (status !== 0) return false
  }
  return true
}

async function native() {
  const { status, output } = await tee(process.execPath, [script('native-tests.mjs')], { whole: true })
  const result = counts(output) ?? { passed: 0, failed: 0 }
  return status !== 0 && result.failed === 0 ? { ...result, failed: 1 } : result
}

async function vitest() {
  const report = join(root, 'coverage/vitest.json')
  mkdirSync(join(root, 'coverage'), { recursive: true })
  rmSync(report, { force: true })
  const { status } = await tee(process.execPath, [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ])
  const result = { passed: 0, failed: 0, skipped: 0 }
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
    for (const file of testResults) {
      for (const { status } of file.assertionResults) {
        if (status === 'passed') result.passed++
        else if (status === 'failed') result.failed++
        else result.skipped++
      }
      // a file that could not be loaded, or whose hooks failed, has no failed test to show for it
      const blamed = file.assertionResults.some(({ status }) => status === 'failed')
      if (file.status === 'failed' && !blamed) result.failed++
    }
  } catch (error) {
    console.error(`vitest left no report: ${error.message}`)
  }
  // unhandled errors, a dead worker, no report
  if (status !== 0 && result.failed === 0) result.failed++
  return result
}

const summary = []
if (await build()) {
  // Side by side: what starts servers and browsers mostly waits. (The addon is built, and stays as it is.)
  summary.push(...(await Promise.all([stage('native tests', native), stage('vitest', vitest)])))
} else {
  total.failed++
  summary.push('the build failed: no test ran')
}
console.log(`\n${summary.join('\n')}`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1
