import { writeAtomically } from '../../formats/atomic-write.ts'
import { explain } from '../../vision/digits/explain.ts'
import { readPicture } from '../../vision/picture/decode.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { print } from '../terminal.ts'

export const command: Command = {
  summary: 'draw how the network reads a digit',
  usage: 'FILE --out FILE.svg [options]',
  description: `Draws one picture (SVG, for light and dark pages) of a digit's way through LeNet-5: the picture, the 28×28
that the network sees, the filters, the feature maps after every convolution, ReLU and pooling, and the
probabilities of the ten digits.`,
  options: {
    out: {
      type: 'string',
      value: 'FILE',
      help: 'where to write the picture; - for standard output',
    },
    weights: { type: 'string', value: 'FILE', help: 'safetensors file of a LeNet5 to use' },
  },
  examples: [['kernelet explain three.png --out explain.svg', 'open it in a browser']],
  positionals: true,
  async run(values, files) {
    const [file] = files
    const out = values.out as string | undefined
    if (file === undefined || files.length > 1) throw new UsageError('explain: expected one picture file')
    if (out === undefined)
      throw new UsageError('explain: expected --out FILE.svg, where to write the picture')
    const name = file.split(/[\\/]/).at(-1) as string
    const { digit, confidence, svg } = explain(
      await readPicture(file),
      name,
      values.weights as string | undefined,
    )
    if (out === '-') print(svg.trimEnd())
    else {
      writeAtomically(out, [Buffer.from(svg)])
      print(`${file}  ${digit}  ${(100 * confidence).toFixed(1)} %  drawn in ${out}`)
    }
    return EXIT.ok
  },
}
