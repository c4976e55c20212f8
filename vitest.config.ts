import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/**
 * Tests that start processes on the built dist/, or run for seconds: they starve where the machine is busy. And
 * onnx-files, which wants a process of its own: after 64 open files of others' models weights are read at once.
 */
const slow = [
  'bench-cli',
  'bits',
  'cli',
  'command-line',
  'docs',
  'ends',
  'evaluate',
  'example-projects',
  'examples',
  'fuzz',
  'hand-made-graphs',
  'handwriting',
  'onnx-budget',
  'onnx-control',
  'onnx-files',
  'picture-threads',
  'profile-cli',
  'robustness',
  'schemas',
  'start',
  'train-cli',
  'train-operations',
  'vm-pools',
].map((name) => `tests/${name}.test.ts`)
slow.push(
  'packages/server/tests/examples.test.ts',
  'packages/server/tests/notes-browser.test.ts',
  'packages/server/tests/playground-browser.test.ts',
  'packages/server/tests/playground.test.ts',
  'packages/server/tests/process.test.ts',
  'packages/server/tests/registry.test.ts',
  'packages/server/tests/states-browser.test.ts',
)
for (const name of ['deploy', 'jobs', 'troubles']) slow.push(`packages/jobs/tests/${name}.test.ts`)

export default defineConfig({
  test: {
    // A process a worker: a crash in native code ends that one, not the run.
    pool: 'forks',
    globalSetup: './tests/left-behind.ts',
    setupFiles: './tests/setup.ts',
    // Servers, browsers and killed workers are mostly waited for.
    maxWorkers: availableParallelism() + 2,
    // Limits are for what hangs: a machine may be ten times slower than another, and busy with other things.
    testTimeout: 600_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
    expect: { poll: { timeout: 120_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          // What files import is loaded once a worker: two fifths of their time.
          isolate: false,
          include: ['tests/**/*.test.ts', 'packages/*/tests/**/*.test.ts'],
          exclude: [...slow, '**/node_modules/**'],
        },
      },
      { extends: true, test: { name: 'slow', include: slow } },
    ],
  },
})
