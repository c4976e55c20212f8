import { statSync } from 'node:fs'
import type { StoredTensor } from '../../formats/dtype.ts'
import { list } from '../../formats/onnx/info.ts'
import { type AnyWeights, readWeights } from '../../formats/weights.ts'
import { elements } from '../../tensor/shape.ts'
import { formatCount, formatTable } from '../../util/text-table.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { print, printable, printJson } from '../terminal.ts'
import { type Verdict, verdictOf } from '../verdict.ts'

export const command: Command = {
  summary: 'show what a file of weights or a model holds',
  usage: 'FILE [options]',
  description: `Prints the tensors of a safetensors file (or the index of a sharded one), of PyTorch's .pt or of
an ONNX model, with their element types and shapes, and what else the file says. Of an ONNX model it says
what will load: its operators, each with what becomes of it under run, compile and training, and whether
the model as a whole loads, compiles and trains, or why not. Nothing in the file is executed, and no image.`,
  options: {
    key: { type: 'string', value: 'NAME', help: 'the part of a .pt checkpoint to show: model_state_dict' },
    json: { type: 'boolean', help: 'print a JSON object' },
  },
  examples: [
    ['kernelet inspect model.onnx', 'what of a model will load, compile and train'],
    ['kernelet inspect model.safetensors', 'names, types, shapes'],
    ['kernelet inspect checkpoint.pt --key model --json', 'one part of a checkpoint, for programs'],
  ],
  positionals: true,
  run(values, files) {
    const [file] = files
    if (file === undefined || files.length > 1) throw new UsageError('inspect: expected one file')
    const weights = readWeights(file, values.key as string | undefined)
    const { size } = statSync(file)
    const verdict = weights.graph && verdictOf(file)
    const shown = verdict ? { ...weights, graph: judged(weights.graph as Graph, verdict) } : weights
    if (values.json) printJson({ file, bytes: size, ...describe(shown), ...verdict })
    else print(inWords(file, size, shown, verdict))
    return EXIT.ok
  },
}

type Graph = NonNullable<AnyWeights['graph']>

/** In a model that compiles every operator does, also one that no image reaches. */
function judged(graph: Graph, { compiles, trains }: Verdict): Graph {
  const operators = graph.operators.map((one) => ({
    ...one,
    compile: one.compile || compiles.ok,
    train: one.train || trains.ok,
  }))
  return { ...graph, operators }
}

function describe({ format, tensors, metadata, graph }: AnyWeights): object {
  return {
    format,
    numbers: total(tensors),
    tensors: [...tensors].map(([name, { dtype, shape, bytes }]) => ({
      name,
      dtype,
      shape,
      bytes: bytes.length,
    })),
    metadata: Object.fromEntries(metadata),
    ...graph,
  }
}

function inWords(
  file: string,
  size: number,
  { format, tensors, metadata, graph }: AnyWeights,
  verdict: Verdict | undefined,
): string {
  const rows = [...tensors].map(([name, { dtype, shape }]) => [
    printable(name),
    dtype,
    `[${shape.join(', ')}]`,
    formatCount(elements(shape)),
  ])
  const table = formatTable(
    [['Name', 'Type', 'Shape', 'Numbers'], ...rows, ['total', '', '', formatCount(total(tensors))]],
    [3],
  )
  const notes = [...metadata].map(([name, value]) => [`  ${printable(name)}`, printable(value)])
  return [
    `${file}: ${format}, ${tensors.size} tensor${tensors.size === 1 ? '' : 's'}`,
    '',
    table,
    ...(notes.length > 0 ? ['', 'Besides', formatTable(notes, [])] : []),
    ...(graph ? ['', `Size ${formatCount(size)} bytes`, ...graphInWords(graph)] : []),
    ...(verdict ? ['', verdictInWords(verdict)] : []),
  ].join('\n')
}

function graphInWords({ inputs, outputs, nodes, operators }: Graph): string[] {
  const names = (list: readonly string[]) =>
    list.map((name) => (name === '' ? '-' : printable(name))).join(', ')
  const rows = nodes.map(({ op, inputs, outputs }) => [
    `  ${printable(op)}`,
    names(inputs),
    '→',
    names(outputs),
  ])
  const yes = (one: boolean) => (one ? 'yes' : 'no')
  const table = [
    ['Operator', 'Nodes', 'run', 'compile', 'train'],
    ...operators.map(({ op, count, run, compile, train }) => [
      printable(op),
      formatCount(count),
      yes(run),
      yes(compile),
      yes(train),
    ]),
  ]
  return [
    `In   ${printable(list(inputs))}`,
    `Out  ${printable(list(outputs))}`,
    formatTable(rows, []),
    '',
    formatTable(table, [1]),
  ]
}

/** `Loads     yes`, or why not, line by line. */
function verdictInWords(verdict: Verdict): string {
  const rows = Object.entries(verdict).map(([what, { ok, reason }]) => {
    const lines = ok || reason === undefined ? [] : reason.split('\n')
    return [`${what[0]?.toUpperCase()}${what.slice(1)}`.padEnd(9), ok ? 'yes' : 'no', ...lines.map(printable)]
  })
  return rows
    .map(([what = '', ...rest]) =>
      [`${what} ${rest.slice(0, 2).join(': ')}`, ...rest.slice(2)].join('\n    '),
    )
    .join('\n')
}

function total(tensors: ReadonlyMap<string, StoredTensor>): number {
  return [...tensors.values()].reduce((sum, { shape }) => sum + elements(shape), 0)
}
