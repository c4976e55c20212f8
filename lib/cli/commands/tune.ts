/** `kernelet tune`: a model's tuning on this machine, as a file. */
import { formatPercent, formatTime } from '../../bench/report/markdown.ts'
import type { TunedStep, Tuning } from '../../compile/tuning.ts'
import { writeAtomically } from '../../formats/atomic-write.ts'
import { formatTable } from '../../util/text-table.ts'
import { choices, count, isas, oneOf, shapeOption } from '../bench/options.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { openNetwork } from '../networks.ts'
import { print, printable, printJson } from '../terminal.ts'
import { mustBeWritable } from '../values.ts'

export const command: Command = {
  summary: 'time the ways to compute a network on this machine, and keep the fastest',
  usage: 'FILE.onnx --out FILE.json [options]',
  description: `Times the best few ways to compute each step (algorithm, layout, tiles at a time, threads) on this machine,
and writes what was faster than the cost model's choice as JSON, for compile({ tuned }). It holds for this
graph, instruction set, CPU, number of threads and kind of numerics; weights may change. The results are the
same to the bit (by --numerics fastest: as near). The machine should be idle; it takes a second or two.`,
  options: {
    out: { type: 'string', value: 'FILE', help: 'where to write the tuning; - for standard output' },
    input: { type: 'string', value: 'SHAPE', help: 'of one image, 3x224x224, where the file leaves it open' },
    batch: { ...choices.batch, value: 'N', help: 'images a call to tune for; default 1' },
    threads: {
      ...choices.threads,
      value: 'N',
      help: 'as compile will be told; default: by the amount of work',
    },
    isa: { ...choices.isa, value: 'NAME', help: 'instruction set; default: the best here' },
    numerics: { type: 'string', value: 'NAME', help: 'exact (the default) or fastest' },
    json: { type: 'boolean', help: 'print the tuning instead of a table' },
  },
  examples: [
    ['kernelet tune net.onnx --out net.tuned.json', 'then compile({ tuned: JSON.parse(…) })'],
    ['kernelet tune net.onnx --batch 8 --threads 2 --out - > net.tuned.json', 'eight images on two threads'],
  ],
  positionals: true,
  run(values, files) {
    const [file] = files
    if (file === undefined || files.length > 1) throw new UsageError('tune: expected one file')
    const out = values.out as string | undefined
    if (out === undefined && !values.json) {
      throw new UsageError('tune: expected --out FILE.json, where to write the tuning')
    }
    const [isa, ...tiers] = isas(values)
    const [numerics, ...kinds] = oneOf(['exact', 'fastest'] as const, values, 'numerics')
    if (tiers.length > 0 || kinds.length > 0) {
      throw new UsageError('tune: expected one instruction set and one kind of numerics')
    }
    const batch = count(String(values.batch ?? 1), 'batch')
    const threads = values.threads === undefined ? undefined : count(String(values.threads), 'threads')
    const inputShape = shapeOption(values)
    if (out !== undefined && out !== '-') mustBeWritable(out)
    const model = openNetwork(file)
    const single = model.inputs.length === 1 && model.outputs.length === 1
    const options = { isa, threads, numerics, tune: { batch } }
    const net = single ? model.compile({ ...options, inputShape }) : model.compileNamed(options)
    const tuning = net.tuning()!
    net.dispose()
    const text = `${JSON.stringify(tuning, null, 2)}\n`
    if (out === '-') print(text.trimEnd())
    else if (out !== undefined) writeAtomically(out, [Buffer.from(text)])
    if (values.json && out !== '-') printJson(tuning)
    else if (out !== '-') print(inWords(file, tuning))
    return EXIT.ok
  },
}

function inWords(file: string, { steps, untunedNs, tunedNs, lanes, divideFrom }: Tuning): string {
  const whole = [
    ...(lanes === undefined ? [] : [lanes ? 'images side by side' : 'every image alone']),
    ...(divideFrom === undefined ? [] : [`threads share steps from ${divideFrom} multiply-adds on`]),
  ]
  if (steps.length + whole.length === 0) {
    return `${file}: ${formatTime(untunedNs)} a call; nothing was faster than the cost model's choice`
  }
  const how = ({ layout, algorithm, strip }: TunedStep): string =>
    [layout, algorithm, strip && (strip < 0 ? 'not depth first' : `strips of ${strip}`)]
      .filter((part) => part)
      .join(', ')
  return [
    `${file}: ${formatTime(untunedNs)} a call, tuned ${formatTime(tunedNs)}, ` +
      `${formatPercent(1 - tunedNs / untunedNs)} less`,
    formatTable(
      steps.map((step) => [`  ${printable(step.name)}`, how(step)]),
      [],
    ),
    ...whole.map((part) => `  ${part}`),
  ]
    .filter((part) => part !== '')
    .join('\n')
}
