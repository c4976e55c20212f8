/**
 * Long lists of numbers in JSON, read straight from the bytes: a picture's numbers take `JSON.parse` longer than the
 * network needs for them. Only what is certainly a list of numbers is read here; the rest, and every mistake, is left to
 * `JSON.parse`.
 */
import { randomBytes } from 'node:crypto'

/** The numbers of one list, row after row where it is nested. */
export interface NumberList {
  /** Lie in memory that the next body overwrites. */
  values: Float64Array
  /** Whether these are the numbers of the text; else only their float32 are. */
  exact: boolean
  /** The list as it came. */
  text: Uint8Array
}

/** JSON without its long lists: each is a string there, by which it is found among the lists. */
export interface Lifted {
  value: unknown
  lists: ReadonlyMap<string, NumberList>
}

/** What stands for a list begins with this. Nobody else knows it, so no text of a request is taken for a list. */
const secret = randomBytes(16).toString('hex')
/** Lists of one body, at most, as a call has inputs. */
const MOST_LISTS = 64
/** How deep lists may be nested. */
const DEEPEST = 16
/** Numbers for which memory is kept between two bodies. */
const KEPT = 2 ** 20
const KEY = '"data"'

const TENS = Float64Array.from({ length: 16 }, (_, i) => 10 ** i)
const [BLANK, TAB, LINE, RETURN] = [32, 9, 10, 13]
const [QUOTE_ESCAPE, COLON, COMMA, OPEN, CLOSE] = [92, 58, 44, 91, 93]
const [MINUS, PLUS, POINT, ZERO, NINE, SMALL_E] = [45, 43, 46, 48, 57, 101]

let numbers = new Float64Array(4096)
/** What the last scan found: numbers so far, whether they are exact, and where it stopped. */
let count = 0
let exact = true
let stop = 0

/**
 * JSON with the lists under its keys `data` read apart; undefined for what `JSON.parse` is to read as a whole: bodies
 * without such a list, and wrong ones.
 */
export function liftNumbers(bytes: Uint8Array): Lifted | undefined {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const lists = new Map<string, NumberList>()
  const found: { name: string; begin: number; end: number; exact: boolean; text: Uint8Array }[] = []
  let text = ''
  let taken = 0
  count = 0
  for (let key = body.indexOf(KEY); key >= 0; key = body.indexOf(KEY, key + 1)) {
    // An escaped quote is part of a string. Any other begins a key, or the text is no JSON either way.
    if (body[key - 1] === QUOTE_ESCAPE) return undefined
    const colon = afterBlanks(body, key + KEY.length)
    if (body[colon] !== COLON) continue
    const open = afterBlanks(body, colon + 1)
    if (body[open] !== OPEN) continue
    const begin = count
    if (found.length === MOST_LISTS || !scan(body, open)) return undefined
    const name = `${secret}${found.length}`
    found.push({ name, begin, end: count, exact, text: body.subarray(open, stop) })
    text += `${body.toString('utf8', taken, open)}"${name}"`
    taken = stop
    key = stop - 1
  }
  if (found.length === 0) return undefined
  text += body.toString('utf8', taken)
  // not before: while they are read, numbers may move to larger memory
  for (const { name, begin, end, ...list } of found) {
    lists.set(name, { ...list, values: numbers.subarray(begin, end) })
  }
  if (numbers.length > KEPT) numbers = new Float64Array(4096)
  try {
    return { value: JSON.parse(text), lists }
  } catch {
    return undefined
  }
}

function afterBlanks(body: Uint8Array, at: number): number {
  let byte = body[at]
  while (byte === BLANK || byte === LINE || byte === TAB || byte === RETURN) byte = body[++at]
  return at
}

/**
 * Reads a list, flat or all of it nested, that begins with the bracket at `at`.
 *
 * @returns whether it is one; its numbers lie behind those that `numbers` had
 */
function scan(body: Buffer, at: number): boolean {
  let depth = 1
  exact = true
  at = afterBlanks(body, at + 1)
  const nested = body[at] === OPEN
  for (;;) {
    while (body[at] === OPEN) {
      if (!nested || ++depth > DEEPEST) return false
      at = afterBlanks(body, at + 1)
    }
    at = number(body, at)
    if (at < 0) return false
    let byte = body[at]
    if (byte !== COMMA) {
      at = afterBlanks(body, at)
      byte = body[at]
      while (byte === CLOSE) {
        at++
        if (--depth === 0) {
          stop = at
          return true
        }
        at = afterBlanks(body, at)
        byte = body[at]
      }
      if (byte !== COMMA) return false
    }
    byte = body[++at]
    if (byte === BLANK || byte === LINE || byte === TAB || byte === RETURN) at = afterBlanks(body, at)
  }
}

/**
 * Reads a number and keeps it. Up to fifteen digits are a whole number and a power of ten that float64 holds both, so
 * their quotient is the nearest number to the text (Clinger, "How to read floating point numbers accurately", 1990).
 * Where more digits follow, the text lies between that quotient and the one of the next whole number; if both have the
 * same float32, so has the text. What is neither is read by `Number`.
 *
 * @returns where it ends; -1 for what is no number
 */
function number(body: Buffer, at: number): number {
  let byte = body[at] ?? 0
  const negative = byte === MINUS
  if (negative) byte = body[++at] ?? 0
  const begin = at
  let digit = byte - ZERO
  let high = 0
  if (digit === 0) {
    byte = body[++at] ?? 0
    digit = byte - ZERO
    if (digit >= 0 && digit <= 9) return -1
  } else if (digit > 0 && digit <= 9) {
    do {
      // wraps around beyond nine digits, which are not used
      high = (high * 10 + digit) | 0
      byte = body[++at] ?? 0
      digit = byte - ZERO
    } while (digit >= 0 && digit <= 9)
  } else return -1
  let value = high
  let read = at - begin <= 9
  if (read && byte === POINT) {
    byte = body[++at] ?? 0
    digit = byte - ZERO
    if (!(digit >= 0 && digit <= 9)) return -1
    const point = at
    // nine digits before and behind the point, then six more: whole numbers of 32 bits each
    while (at < begin + 10 && digit >= 0 && digit <= 9) {
      high = (high * 10 + digit) | 0
      byte = body[++at] ?? 0
      digit = byte - ZERO
    }
    const middle = at
    let low = 0
    while (at < middle + 6 && digit >= 0 && digit <= 9) {
      low = (low * 10 + digit) | 0
      byte = body[++at] ?? 0
      digit = byte - ZERO
    }
    const whole = high * (TENS[at - middle] ?? 0) + low
    const scale = TENS[at - point] ?? 1
    value = whole / scale
    if (digit >= 0 && digit <= 9) {
      while (digit >= 0 && digit <= 9) {
        byte = body[++at] ?? 0
        digit = byte - ZERO
      }
      if (Math.fround(value) === Math.fround((whole + 1) / scale)) exact = false
      else read = false
    }
  }
  if (!read || (byte | 32) === SMALL_E) {
    at = endOf(body, begin)
    if (at < 0) return -1
    value = Number(body.toString('latin1', begin, at))
  }
  if (count === numbers.length) grow()
  numbers[count++] = negative ? -value : value
  return at
}

/** Where a number that begins at `at` ends; -1 for what is no number. */
function endOf(body: Uint8Array, at: number): number {
  const isDigit = () => (body[at] ?? 0) >= ZERO && (body[at] ?? 0) <= NINE
  while (isDigit()) at++
  if (body[at] === POINT) {
    at++
    if (!isDigit()) return -1
  }
  while (isDigit()) at++
  if (((body[at] ?? 0) | 32) !== SMALL_E) return at
  at++
  if (body[at] === PLUS || body[at] === MINUS) at++
  if (!isDigit()) return -1
  while (isDigit()) at++
  return at
}

function grow(): void {
  const larger = new Float64Array(2 * numbers.length)
  larger.set(numbers)
  numbers = larger
}
