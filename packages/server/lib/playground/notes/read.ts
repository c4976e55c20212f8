/** What the page of the notes sends, out of JSON and checked. */
import { badRequest } from '../../errors.ts'

export type Fields = Readonly<Record<string, unknown>>

/** Rows of numbers, all of one length. */
export type Grid = number[][]

/** @throws RequestError for a body that is no JSON object */
export function fieldsOf(body: string): Fields {
  try {
    const fields: unknown = JSON.parse(body)
    if (isFields(fields)) return fields
  } catch {
    // said below
  }
  throw badRequest('The body must be a JSON object')
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @throws RequestError for what is no integer from `least` to `most` */
export function integerOf(value: unknown, name: string, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number
  throw badRequest(`${name} must be an integer from ${least} to ${most} but is ${shown(value)}`)
}

/** Numbers are kept small enough that no sum of them leaves float32. */
const LARGEST = 1e6

/** @throws RequestError for what is no number from −10⁶ to 10⁶ */
export function numberOf(value: unknown, name: string): number {
  if (typeof value === 'number' && Math.abs(value) <= LARGEST) return value
  throw badRequest(`${name} must be a number from −${LARGEST} to ${LARGEST} but is ${shown(value)}`)
}

/** @throws RequestError for what is no array of up to `most` numbers */
export function numbersOf(value: unknown, name: string, most: number): number[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > most) {
    throw badRequest(`${name} must be an array of 1 to ${most} numbers`)
  }
  return value.map((one: unknown, i) => numberOf(one, `${name}[${i}]`))
}

/** @throws RequestError for what is no grid of numbers with sides up to `most` */
export function gridOf(value: unknown, name: string, most: number): Grid {
  if (!Array.isArray(value) || value.length < 1 || value.length > most) {
    throw badRequest(`${name} must be an array of 1 to ${most} rows`)
  }
  const rows = value.map((row: unknown, i) => numbersOf(row, `${name}[${i}]`, most))
  if (rows.every(({ length }) => length === rows[0]?.length)) return rows
  throw badRequest(`The rows of ${name} must have the same length`)
}

/** @throws RequestError for what is none of the choices */
export function choiceOf<T extends string>(value: unknown, name: string, choices: readonly T[]): T {
  const found = choices.find((one) => one === value)
  if (found !== undefined) return found
  throw badRequest(`${name} must be one of ${choices.join(', ')} but is ${shown(value)}`)
}

function shown(value: unknown): string {
  return typeof value === 'number' ? `${value}` : (JSON.stringify(value)?.slice(0, 60) ?? 'missing')
}
