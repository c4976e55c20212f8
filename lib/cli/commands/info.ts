import { native } from '../../backend/node-addon.ts'
import { KerneletError } from '../../util/errors.ts'
import { formatTable } from '../../util/text-table.ts'
import { version } from '../../util/version.ts'
import { type Command, EXIT, USAGE_CODES } from '../command.ts'
import { complain, print, printJson } from '../terminal.ts'

export const command: Command = {
  summary: 'show version, machine, instruction sets and threads',
  usage: '[options]',
  description: `Prints what a report of a fault should hold: the versions, the processor, the instruction sets in
this binary, those this machine can run, the one that is used and why, and how many threads there are.`,
  options: { json: { type: 'boolean', help: 'print a JSON object' } },
  examples: [
    ['kernelet info', 'for people'],
    ['KERNELET_ISA=sse kernelet info', 'what a forced instruction set does'],
  ],
  positionals: false,
  run(values) {
    const host = {
      kernelet: version,
      node: process.versions.node,
      nodeApi: Number(process.versions.napi),
      platform: process.platform,
      arch: process.arch,
    }
    let machine: ReturnType<typeof inspect> | undefined
    let fault: KerneletError | undefined
    try {
      machine = inspect()
    } catch (error) {
      // The versions are wanted all the more where the addon does not load.
      if (!(error instanceof KerneletError)) throw error
      fault = error
    }
    if (values.json) {
      printJson({
        ...host,
        ...machine,
        ...(fault && { error: { code: fault.code, message: fault.message } }),
      })
    } else {
      print(formatTable([...hostRows(host), ...(machine ? machineRows(machine) : [])], []))
      if (fault) complain(fault.message)
    }
    if (!fault) return EXIT.ok
    return USAGE_CODES.includes(fault.code) ? EXIT.usage : EXIT.failed
  },
}

function inspect() {
  const { cpu, compiler, isa, threads } = native()
  const { affinity, quota, default: chosen } = threads()
  // JSON has no Infinity: no quota is null.
  return {
    cpu,
    compiler,
    isa: isa(),
    threads: { affinity, quota: Number.isFinite(quota) ? quota : null, default: chosen },
  }
}

function hostRows(host: { kernelet: string; node: string; nodeApi: number; platform: string; arch: string }) {
  return [
    ['kernelet', host.kernelet],
    ['Node', `${host.node}, Node-API ${host.nodeApi}`],
    ['platform', `${host.platform} ${host.arch}`],
  ]
}

function machineRows({ cpu, compiler, isa, threads }: ReturnType<typeof inspect>): string[][] {
  return [
    ['CPU', cpu],
    ['compiler', compiler],
    ['ISA', `${isa.chosen} (${isa.reason})`],
    ['  compiled', isa.compiled.join(', ')],
    ['  supported', isa.supported.join(', ')],
    ['threads', threads.default === 0 ? 'by the amount of work' : `${threads.default} by default`],
    [
      '  CPUs',
      `${threads.affinity} to run on, ${threads.quota === null ? 'no quota' : `quota ${threads.quota}`}`,
    ],
  ]
}
