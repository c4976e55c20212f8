/** The problems of a command line: --problem and --shapes, each at every --batch. */
import { readFileSync } from 'node:fs'
import { type Problem, parseProblem, parseShapes } from '../../bench/problem.ts'
import { KerneletError } from '../../util/errors.ts'
import { unreadable } from '../../util/file.ts'
import type { Values } from '../command.ts'
import { counts, words } from './options.ts'

/**
 * @returns none where neither option is given
 * @throws KerneletError `ERR_ARGUMENT` for a wrong problem, `ERR_IO` for a file that cannot be read, `ERR_FORMAT` for one
 *   without shapes
 */
export function problemsOf(values: Values): Problem[] {
  const problems: Problem[] = []
  if (values.shapes !== undefined) problems.push(...readShapes(values.shapes as string))
  if (values.problem !== undefined)
    problems.push(...words(values.problem as string, 'problem').map(parseProblem))
  if (values.batch === undefined) return problems
  const batches = counts(values, 'batch', [])
  return problems.flatMap((problem) => batches.map((mb) => ({ ...problem, mb })))
}

function readShapes(file: string): Problem[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
  const problems = parseShapes(text, file)
  if (problems.length === 0) throw new KerneletError('ERR_FORMAT', `${file} has no shapes`)
  return problems
}
