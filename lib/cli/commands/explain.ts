import { writeAtomically } from '../../formats/atomic-write.ts'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { explain } from '../../vision/digits/explain.ts'
import { readPicture } from '../../vision/picture/decode.ts'
import { isAbsent, loadSharp, type Sharp } from '../../vision/picture/sharp.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { print } from '../terminal.ts'
import { pictureName } from '../values.ts'

export const command: Command = {
  summary: 'draw how the network reads a digit',
  usage: 'FILE --out FILE.svg|FILE.png [options]',
  description: `Draws one picture (SVG, for light and dark pages) of a digit's way through LeNet-5: the picture, the 28×28
that the network sees, the filters, the feature maps after every convolution, ReLU and pooling, and the
probabilities of the ten digits.`,
  options: {
    out: {
      type: 'string',
      value: 'FILE',
      help: 'where to write: .svg, or .png where sharp is installed; - for SVG on stdout',
    },
    weights: { type: 'string', value: 'FILE', help: 'safetensors file of a LeNet5 to use' },
  },
  examples: [
    ['kernelet explain three.png --out explain.svg', 'open it in a browser'],
    ['kernelet explain three.png --out explain.png', 'for a page that takes no SVG'],
  ],
  positionals: true,
  async run(values, files) {
    const [file] = files
    const out = values.out as string | undefined
    if (file === undefined || files.length > 1) throw new UsageError('explain: expected one picture file')
    if (out === undefined)
      throw new UsageError('explain: expected --out FILE.svg, where to write the picture')
    const ending =
      out === '-' ? '.svg' : pictureName(values, 'out', ['.svg', '.png'])?.slice(-4).toLowerCase()
    // Before the work, not after it.
    const sharp = ending === '.png' ? await sharpForDrawing() : undefined
    const name = file.split(/[\\/]/).at(-1) as string
    const { digit, confidence, svg } = explain(
      await readPicture(file),
      name,
      values.weights as string | undefined,
    )
    if (out === '-') print(svg.trimEnd())
    else {
      const drawn = Buffer.from(svg)
      const bytes = sharp
        ? await sharp(drawn, { limitInputPixels: false, density: 144 })
            .flatten({ background: '#fff' })
            .png()
            .toBuffer()
        : drawn
      writeAtomically(out, [bytes])
      print(`${file}  ${digit}  ${(100 * confidence).toFixed(1)} %  drawn in ${out}`)
    }
    return EXIT.ok
  },
}

async function sharpForDrawing(): Promise<Sharp> {
  try {
    return await loadSharp()
  } catch (cause) {
    const why = isAbsent(cause)
      ? 'npm install sharp'
      : `it is installed but cannot be loaded: ${messageOf(cause).split('\n')[0]}`
    throw new KerneletError('ERR_UNSUPPORTED', `a PNG is drawn through sharp: ${why}; .svg needs nothing`, {
      cause,
    })
  }
}
