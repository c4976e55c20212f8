import { statSync } from 'node:fs'
import type { StoredTensor } from '../../formats/dtype.ts'
import { list } from '../../formats/onnx/info.ts'
import { type AnyWeights, readWeights } from '../../formats/weights.ts'
import { elements } from '../../tensor/shape.ts'
import { formatCount, formatTable } from '../../util/text-table.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { print, printable, printJson } from '../terminal.ts'

export const command: Command = {
  summary: 'show what a file of weights or a model holds',
  usage: 'FILE [options]',
  description: `Prints the tensors of a safetensors file (or the index of a sharded one), of PyTorch's .pt or of
an ONNX model, with their element types and shapes, what else the file says, and the operators of the model.
Nothing in the file is executed.`,
  options: {
    key: { type: 'string', value: 'NAME', help: 'the part of a .pt checkpoint to show: model_state_dict' },
    json: { type: 'boolean', help: 'print a JSON object' },
  },
  examples: [
    ['kernelet inspect model.onnx', 'weights and operators of a model'],
    ['kernelet inspect model.safetensors', 'names, types, shapes'],
    ['kernelet inspect checkpoint.pt --key model --json', 'one part of a checkpoint, for programs'],
  ],
  positionals: true,
  run(values, files) {
    const [file] = files
    if (file === undefined || files.length > 1) throw new UsageError('inspect: expected one file')
    const weights = readWeights(file, values.key as string | undefined)
    if (values.json) printJson({ file, bytes: statSync(file).size, ...describe(weights) })
    else print(inWords(file, weights))
    return EXIT.ok
  },
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

function inWords(file: string, { format, tensors, metadata, graph }: AnyWeights): string {
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
    ...(graph ? ['', ...graphInWords(graph)] : []),
  ].join('\n')
}

function graphInWords({ inputs, outputs, nodes }: NonNullable<AnyWeights['graph']>): string[] {
  const names = (list: readonly string[]) =>
    list.map((name) => (name === '' ? '-' : printable(name))).join(', ')
  const rows = nodes.map(({ op, inputs, outputs }) => [
    `  ${printable(op)}`,
    names(inputs),
    '→',
    names(outputs),
  ])
  return [`In   ${printable(list(inputs))}`, `Out  ${printable(list(outputs))}`, formatTable(rows, [])]
}

function total(tensors: ReadonlyMap<string, StoredTensor>): number {
  return [...tensors.values()].reduce((sum, { shape }) => sum + elements(shape), 0)
}
