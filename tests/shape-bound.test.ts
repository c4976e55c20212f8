import { expect, test } from 'vitest'
import { parseProblem } from '../lib/bench/problem.ts'
import { lanesOf, shapeBound } from '../lib/bench/shape-bound.ts'

test.each([
  ['ic144ih56oc24kh1', 'blocked', 'avx512', 24 / 32],
  ['ic144ih56oc24kh1', 'blocked', 'avx2', 1],
  ['g8ic64ih14oc96kh3ph1', 'direct-channels', 'avx2', 12 / 16],
  ['g40ic40ih14oc40kh3ph1', 'blocked', 'avx512', 40 / 48],
  ['ic6ih12oc16kh5', 'direct-pixels', 'avx512', 1 / 2],
  ['ic6ih12oc16kh5', 'im2col', 'avx512', 1],
  ['ic6ih14oc16kh5', 'im2col', 'avx2', 100 / 128],
  ['mb20ic6ih12oc16kh5', 'lanes', 'avx512', 20 / 32],
  ['ic3ih9oc5kh3', 'blocked', 'scalar', 1],
])('%s by %s on %s leaves %f', (problem, algorithm, isa, share) => {
  expect(shapeBound(parseProblem(problem), algorithm, lanesOf(isa))).toBeCloseTo(share, 12)
})
