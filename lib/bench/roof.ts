/** What this machine can do at best, measured once a run: the roofs of a roofline. */
import { readdirSync, readFileSync } from 'node:fs'
import { native } from '../backend/node-addon.ts'

/** A cache of the first CPU, or main memory. */
export interface Level {
  /** L1, L2, L3, memory */
  name: string
  /** Bytes that it holds. */
  size: number
  /** GB/s of reading on one thread. */
  bandwidth: number
}

export interface Cache {
  type: string
  level: number
  size: number
  num_sharing: number
}

/** The caches that Linux tells of, none elsewhere. */
export function caches(): Cache[] {
  const folder = '/sys/devices/system/cpu/cpu0/cache'
  try {
    return readdirSync(folder)
      .filter((name) => name.startsWith('index'))
      .sort()
      .map((name) => {
        const read = (file: string): string => readFileSync(`${folder}/${name}/${file}`, 'latin1').trim()
        const bits = [...read('shared_cpu_map').replaceAll(',', '')]
        return {
          type: read('type'),
          level: Number(read('level')),
          size: Number.parseInt(read('size'), 10) * 1024,
          num_sharing: bits.reduce(
            (sum, digit) =>
              sum + [...Number.parseInt(digit, 16).toString(2)].filter((bit) => bit === '1').length,
            0,
          ),
        }
      })
  } catch {
    return []
  }
}

/** Where Linux tells nothing. */
const USUAL: readonly (readonly [level: number, size: number])[] = [
  [1, 32 << 10],
  [2, 512 << 10],
  [3, 16 << 20],
]

export class Roof {
  readonly levels: readonly Level[]
  readonly #peaks: Map<string, number> = new Map()

  /** @param isa the tier whose loads are used */
  constructor(isa: string) {
    const known = caches()
      .filter(({ type }) => type !== 'Instruction')
      .map(({ level, size }) => [level, size] as const)
    const sizes = known.length > 0 ? known : USUAL
    const largest = sizes.at(-1)![1]
    // Well inside each level; the outermost cache is shared, so no more than a part of it.
    const levels = sizes.map(([level, size]) => ({
      name: `L${level}`,
      size,
      bandwidth: native().measureBandwidth(isa, level < 3 ? size / 2 : Math.min(size / 4, 8 << 20)),
    }))
    const memory = Math.min(Math.max(4 * largest, 64 << 20), 256 << 20)
    this.levels = [
      ...levels,
      { name: 'memory', size: Number.POSITIVE_INFINITY, bandwidth: native().measureBandwidth(isa, memory) },
    ]
  }

  /** GFLOP/s that nothing on `threads` threads can beat. */
  peak(isa: string, threads: number): number {
    const key = `${isa} ${threads}`
    let peak = this.#peaks.get(key)
    if (peak === undefined) {
      peak = native().measurePeak(isa, threads)
      this.#peaks.set(key, peak)
    }
    return peak
  }

  /** The innermost level that holds so many bytes. */
  levelOf(bytes: number): Level {
    return this.levels.find(({ size }) => bytes <= size)!
  }
}
