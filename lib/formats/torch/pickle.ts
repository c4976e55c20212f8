/**
 * Python's pickle format (PEP 307, PEP 3154; opcodes: Lib/pickletools.py), as far as weights need it. A pickle is a
 * program that calls whatever it names; here nothing is called but functions that `find` hands out, and no opcode
 * makes more than a few words, so that the work is in proportion to the bytes.
 */
import type { KerneletError } from '../../util/errors.ts'

/** A function or class that a pickle names. */
export interface PickleGlobal {
  readonly name: string
  /** What calling it gives; without it, it can only be mentioned. */
  readonly call?: (args: readonly unknown[]) => unknown
}

/** A Python tuple; lists are arrays, dictionaries Maps, bytes Uint8Arrays. */
export class Tuple {
  readonly items: readonly unknown[]

  constructor(items: readonly unknown[]) {
    this.items = items
  }
}

/** What a pickle may use. */
export interface PickleEnvironment {
  /** The thing called `name` in `module`; throws for what is not allowed. */
  find(module: string, name: string): PickleGlobal
  /** What lies outside the pickle under this id. */
  load(id: unknown): unknown
  damaged(reason: string): KerneletError
}

/** The value that a pickle describes. */
export function unpickle(bytes: Uint8Array, environment: PickleEnvironment): unknown {
  return new Machine(bytes, environment).run()
}

class Machine {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #environment: PickleEnvironment
  readonly #stack: unknown[] = []
  /** Heights of the stack where a MARK stands. */
  readonly #marks: number[] = []
  readonly #memo: Map<number, unknown> = new Map()
  #at = 0

  constructor(bytes: Uint8Array, environment: PickleEnvironment) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#environment = environment
  }

  run(): unknown {
    for (;;) {
      const code = this.#u8()
      if (code === 0x2e) break
      const operation = operations[code]
      if (operation === undefined) {
        throw this.#damaged(
          `opcode 0x${code.toString(16)} at byte ${this.#at - 1} is not one that weights need`,
        )
      }
      operation(this)
    }
    const value = this.pop()
    if (this.#stack.length > 0) throw this.#damaged('it leaves values behind')
    return value
  }

  push(value: unknown): void {
    this.#stack.push(value)
  }

  pop(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw this.#damaged('a value is missing')
    return this.#stack.pop()
  }

  mark(): void {
    this.#marks.push(this.#stack.length)
  }

  /** Everything above the last mark, and the mark gone. */
  popMark(): unknown[] {
    const height = this.#marks.pop()
    if (height === undefined) throw this.#damaged('a mark is missing')
    return this.#stack.splice(height)
  }

  /** The value below, which an opcode adds to, if it is of this kind. */
  top<T extends object>(kind: abstract new (...args: never) => T): T {
    const value = this.pop()
    if (!(value instanceof kind)) throw this.#damaged('something is added to what takes nothing')
    this.push(value)
    return value
  }

  #u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  /** An unsigned little-endian integer of so many bytes. */
  unsigned(size: 1 | 2 | 4 | 8): number {
    const at = this.#take(size)
    if (size === 1) return this.#view.getUint8(at)
    if (size === 2) return this.#view.getUint16(at, true)
    const low = this.#view.getUint32(at, true)
    return size === 4 ? low : low + this.#view.getUint32(at + 4, true) * 2 ** 32
  }

  signed(): number {
    return this.#view.getInt32(this.#take(4), true)
  }

  double(): number {
    return this.#view.getFloat64(this.#take(8))
  }

  /** Two's complement in so many bytes; not exact past 2⁵³. */
  long(size: number): number {
    if (size > 8) throw this.#damaged(`it has an integer of ${size} bytes`)
    const at = this.#take(size)
    let value = 0n
    for (let i = 0; i < size; i++) value |= BigInt(this.#view.getUint8(at + i)) << BigInt(8 * i)
    return Number(BigInt.asIntN(8 * size, value))
  }

  view(size: number): Uint8Array {
    const at = this.#take(size)
    return this.#bytes.subarray(at, at + size)
  }

  text(size: number): string {
    return new TextDecoder().decode(this.view(size))
  }

  /** Up to the end of the line. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at)
    if (end < 0 || end - this.#at > 1000) throw this.#damaged('a name does not end')
    const text = this.text(end - this.#at)
    this.#at++
    return text
  }

  put(index: number): void {
    const value = this.pop()
    this.push(value)
    this.#memo.set(index, value)
  }

  memoize(): void {
    this.put(this.#memo.size)
  }

  get(index: number): void {
    if (!this.#memo.has(index)) throw this.#damaged(`it recalls value ${index}, which it never kept`)
    this.push(this.#memo.get(index))
  }

  find(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') throw this.#damaged('a name is no text')
    this.push(this.#environment.find(module, name))
  }

  reduce(): void {
    const args = this.pop()
    const callee = this.pop() as PickleGlobal | null | undefined
    if (!(args instanceof Tuple) || typeof callee?.call !== 'function') {
      throw this.#damaged('it calls what cannot be called')
    }
    this.push(callee.call(args.items))
  }

  persistent(): void {
    this.push(this.#environment.load(this.pop()))
  }

  setItems(pairs: readonly unknown[]): void {
    const dictionary = this.top(Map)
    if (pairs.length % 2 !== 0) throw this.#damaged('a dictionary has a key without a value')
    for (let i = 0; i < pairs.length; i += 2) dictionary.set(pairs[i], pairs[i + 1])
  }

  #take(size: number): number {
    const at = this.#at
    if (at + size > this.#bytes.length) throw this.#damaged('it is cut off')
    this.#at += size
    return at
  }

  #damaged(reason: string): KerneletError {
    return this.#environment.damaged(`its pickle is damaged: ${reason}`)
  }
}

const byLetter: Record<string, (machine: Machine) => void> = {
  // what protocols say of themselves
  '\x80': (m) => void m.unsigned(1),
  '\x95': (m) => void m.unsigned(8),
  // constants
  N: (m) => m.push(null),
  '\x88': (m) => m.push(true),
  '\x89': (m) => m.push(false),
  K: (m) => m.push(m.unsigned(1)),
  M: (m) => m.push(m.unsigned(2)),
  J: (m) => m.push(m.signed()),
  '\x8a': (m) => m.push(m.long(m.unsigned(1))),
  '\x8b': (m) => m.push(m.long(m.unsigned(4))),
  G: (m) => m.push(m.double()),
  // text and bytes
  '\x8c': (m) => m.push(m.text(m.unsigned(1))),
  X: (m) => m.push(m.text(m.unsigned(4))),
  '\x8d': (m) => m.push(m.text(m.unsigned(8))),
  U: (m) => m.push(m.text(m.unsigned(1))),
  T: (m) => m.push(m.text(m.unsigned(4))),
  C: (m) => m.push(m.view(m.unsigned(1))),
  B: (m) => m.push(m.view(m.unsigned(4))),
  '\x8e': (m) => m.push(m.view(m.unsigned(8))),
  // tuples
  ')': (m) => m.push(new Tuple([])),
  '\x85': (m) => m.push(new Tuple([m.pop()])),
  '\x86': (m) => m.push(new Tuple([m.pop(), m.pop()].reverse())),
  '\x87': (m) => m.push(new Tuple([m.pop(), m.pop(), m.pop()].reverse())),
  '(': (m) => m.mark(),
  t: (m) => m.push(new Tuple(m.popMark())),
  // lists and dictionaries
  ']': (m) => m.push([]),
  a: (m) => {
    const item = m.pop()
    m.top(Array).push(item)
  },
  e: (m) => {
    const items = m.popMark()
    const list = m.top(Array)
    for (const item of items) list.push(item)
  },
  '}': (m) => m.push(new Map()),
  s: (m) => {
    const value = m.pop()
    m.setItems([m.pop(), value])
  },
  u: (m) => m.setItems(m.popMark()),
  // the memo
  q: (m) => m.put(m.unsigned(1)),
  r: (m) => m.put(m.unsigned(4)),
  '\x94': (m) => m.memoize(),
  h: (m) => m.get(m.unsigned(1)),
  j: (m) => m.get(m.unsigned(4)),
  // names and calls
  c: (m) => m.find(m.line(), m.line()),
  '\x93': (m) => {
    const name = m.pop()
    m.find(m.pop(), name)
  },
  R: (m) => m.reduce(),
  // attributes of a dictionary, such as a state_dict's _metadata: not kept
  b: (m) => {
    m.pop()
    m.top(Map)
  },
  Q: (m) => m.persistent(),
}

const operations: (((machine: Machine) => void) | undefined)[] = []
for (const [letter, operation] of Object.entries(byLetter)) operations[letter.charCodeAt(0)] = operation
