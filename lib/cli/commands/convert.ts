import { toTensors } from '../../formats/dtype.ts'
import { saveSafetensors } from '../../formats/safetensors.ts'
import { readWeights } from '../../formats/weights.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { print } from '../terminal.ts'

export const command: Command = {
  summary: 'write the weights of a file as safetensors',
  usage: 'FROM TO [options]',
  description: `Reads PyTorch's .pt, safetensors of any element type, the index of a sharded model, or the
weights of an ONNX model (not its integers), and writes one safetensors file of float32 numbers, which
loadSafetensors and PyTorch read. Nothing in the file is executed. The new file is written beside and renamed:
an old one stays as it is until then.`,
  options: {
    key: { type: 'string', value: 'NAME', help: 'the part of a .pt checkpoint to take: model_state_dict' },
  },
  examples: [
    ['kernelet convert weights.pt weights.safetensors', 'from PyTorch'],
    ['kernelet convert model.safetensors.index.json model.safetensors', 'many files to one'],
  ],
  positionals: true,
  run(values, files) {
    const [from, to] = files
    if (from === undefined || to === undefined || files.length > 2) {
      throw new UsageError('convert: expected two files, from and to')
    }
    if (!to.endsWith('.safetensors')) {
      throw new UsageError(
        `convert: expected a name that ends in .safetensors to write to but received ${to}`,
      )
    }
    const { format, tensors, metadata } = readWeights(from, values.key as string | undefined)
    if (format === 'onnx') {
      for (const [name, { dtype }] of tensors) if (!/^B?F/.test(dtype)) tensors.delete(name)
    }
    saveSafetensors(to, toTensors(tensors), metadata)
    print(`${to}: ${tensors.size} tensor${tensors.size === 1 ? '' : 's'}`)
    return EXIT.ok
  },
}
