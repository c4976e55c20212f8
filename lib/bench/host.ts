/** What a figure is worth nothing without: the machine, the build, and what it was doing. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, hostname, loadavg } from 'node:os'
import { native } from '../backend/node-addon.ts'
import { packageRoot } from '../util/package-files.ts'
import { version } from '../util/version.ts'
import { type Cache, caches, type Roof } from './roof.ts'

export interface Host {
  date: string
  hostName: string
  command: string
  kernelet: string
  /** Of a checkout: what `git describe` calls it, with `-dirty` where files differ; null elsewhere. */
  commit: string | null
  node: string
  cpu: string
  cpus: number
  mhz: number
  caches: Cache[]
  governor: string | null
  affinity: number
  /** CPUs' worth of time the cgroup grants; null: no limit. */
  quota: number | null
  load: number[]
  isa: { compiled: string[]; supported: string[]; chosen: string; reason: string }
  compiler: string
  /** As native/sources.gypi gives them, a tier each. */
  flags: Record<string, string>
}

/** @param command the command line, as the user would write it */
export function describeHost(command: string): Host {
  const { cpu, compiler, isa, threads } = native()
  const { affinity, quota } = threads()
  const tiers = isa()
  return {
    date: localTime(new Date()),
    hostName: hostname(),
    command,
    kernelet: version,
    commit: commit(),
    node: process.version,
    cpu,
    cpus: availableParallelism(),
    mhz: cpus()[0]?.speed ?? 0,
    caches: caches(),
    governor: governor(),
    affinity,
    quota: Number.isFinite(quota) ? quota : null,
    load: loadavg(),
    isa: tiers,
    compiler,
    flags: Object.fromEntries(tiers.compiled.map((tier) => [tier, flagsOf(tier, compiler)])),
  }
}

/** The header of a report, a line each. */
export function hostLines(host: Host, roof: Roof, peaks: readonly (readonly [string, number])[]): string[] {
  const { isa } = host
  const sizes = host.caches.filter(({ type }) => type !== 'Instruction').map(size)
  const figures = (values: readonly (readonly [string, number])[]): string =>
    values.map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 1 : 0)}`).join(', ')
  return [
    `kernelet ${host.kernelet}${host.commit === null ? '' : ` at ${host.commit}`}, Node ${host.node}, ${host.date}: \`${host.command}\``,
    `CPU: ${host.cpu}, ${host.affinity} to run on, ${host.quota === null ? 'no quota' : `quota ${host.quota}`}` +
      `${sizes.length > 0 ? `, caches ${sizes.join(' ')}` : ''}${host.governor ? `, governor ${host.governor}` : ''}`,
    `ISA: ${isa.chosen} (${isa.reason}); compiled ${isa.compiled.join(' ')}; supported ${isa.supported.join(' ')}`,
    `compiler: ${host.compiler}, ${host.flags[isa.chosen] ?? ''}`,
    `peak of one thread, measured: ${figures(peaks)} GFLOP/s`,
    `reads of one thread, measured: ${figures(roof.levels.map(({ name, bandwidth }) => [name, bandwidth]))} GB/s`,
    `load average: ${host.load.map((value) => value.toFixed(2)).join(' ')}`,
  ]
}

function size(cache: Cache): string {
  const kib = cache.size / 1024
  return kib >= 1024 ? `${kib / 1024}M` : `${kib}K`
}

/** Of these sources; an installed package has none, whatever repository it lies in. */
function commit(): string | null {
  if (!existsSync(new URL('.git', packageRoot()))) return null
  const { status, stdout } = spawnSync(
    'git',
    ['describe', '--always', '--dirty', '--exclude=*', '--abbrev=8'],
    {
      cwd: packageRoot(),
      encoding: 'utf8',
    },
  )
  return status === 0 ? stdout.trim() : null
}

function governor(): string | null {
  try {
    return readFileSync('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'latin1').trim()
  } catch {
    return null
  }
}

/** The flags of the kernels' compilation; of the sources here, which a Debug build or another tool may change. */
function flagsOf(tier: string, compiler: string): string {
  try {
    const file = new URL('native/sources.gypi', packageRoot())
    const { variables } = JSON.parse(readFileSync(file, 'utf8')) as { variables: Record<string, string[]> }
    const clang = /clang/i.test(compiler) ? ['clang_kernel_flags'] : []
    const lists = ['common_flags', 'kernel_flags', ...clang, `flags_${tier}`]
    return lists.flatMap((list) => variables[`kernelet_${list}`] ?? []).join(' ')
  } catch {
    return ''
  }
}

/** 2026-01-31T12:34:56+01:00, as Google Benchmark writes it. */
function localTime(date: Date): string {
  const minutes = -date.getTimezoneOffset()
  const two = (value: number): string => String(Math.floor(Math.abs(value))).padStart(2, '0')
  const local = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, 19)
  return `${local}${minutes < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`
}
