import { statSync } from 'node:fs'
import type { StoredTensor } from '../../io/stored.ts'
import { type AnyWeights, readWeights } from '../../io/weights.ts'
import { elements } from '../../shapes.ts'
import { formatCount, formatTable } from '../../table.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { print, printable, printJson } from '../terminal.ts'

export const command: Command = {
  summary: 'show what a file of weights holds',
  usage: 'FILE [options]',
  description: `Prints the tensors of a safetensors file (or the index of a sharded one) or of PyTorch's .pt, with their
element types and shapes, and what else the file says. Nothing in the file is executed.`,
  options: {
    key: { type: 'string', value: 'NAME', help: 'the part of a .pt checkpoint to show: model_state_dict' },
    json: { type: 'boolean', help: 'print a JSON object' },
  },
  examples: [
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

function describe({ format, tensors, metadata }: AnyWeights): object {
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
  }
}

function inWords(file: string, { format, tensors, metadata }: AnyWeights): string {
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
  ].join('\n')
}

function total(tensors: ReadonlyMap<string, StoredTensor>): number {
  return [...tensors.values()].reduce((sum, { shape }) => sum + elements(shape), 0)
}
