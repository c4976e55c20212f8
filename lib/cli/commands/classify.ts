import { KerneletError } from '../../util/errors.ts'
import { type Classification, DigitClassifier } from '../../vision/digits/classifier.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { complain, print, printJson, style } from '../terminal.ts'

export const command: Command = {
  summary: 'read handwritten digits from pictures',
  usage: 'FILE… [options]',
  description: `Prints, for each picture, the digit it shows and how sure the network is of it. Any size, dark on
light or light on dark. PNG is read as it is; JPEG, WebP and others where the package sharp is installed.
Below about 90 % the answer deserves a second look. A picture without a digit, or with several, says so.`,
  options: {
    json: { type: 'boolean', help: 'print a JSON array with one object per file, in the order given' },
    isa: { type: 'string', value: 'NAME', help: 'instruction set (see kernelet info)' },
    weights: { type: 'string', value: 'FILE', help: 'safetensors file of a LeNet5 to use' },
  },
  examples: [
    ['kernelet classify photo.png', 'one line: the file, the digit, the confidence'],
    ['kernelet classify *.png --json > digits.json', 'everything there is to know, for programs'],
  ],
  positionals: true,
  async run(values, files) {
    if (files.length === 0) throw new UsageError('classify: expected one or more picture files')
    using classifier = DigitClassifier.load({
      weights: values.weights as string | undefined,
      isa: values.isa as string | undefined,
    })
    const width = Math.max(...files.map((file) => file.length))
    const report: object[] = []
    let failed = false
    for (const file of files) {
      try {
        const result = await classifier.classifyFile(file)
        if (values.json) report.push({ file, ...result, probabilities: toArray(result.probabilities) })
        else print(`${file.padEnd(width)}  ${inWords(result)}`)
      } catch (error) {
        // One bad file must not keep the others from being read; a fault of ours may.
        if (!(error instanceof KerneletError)) throw error
        failed = true
        if (values.json) report.push({ file, error: { code: error.code, message: error.message } })
        else complain(error.message)
      }
    }
    if (values.json) printJson(report)
    return failed ? EXIT.failed : EXIT.ok
  },
}

function inWords({ status, digit, confidence, boxes }: Classification): string {
  if (digit === null) {
    const what = boxes.length > 0 ? `${status} (${boxes.length})` : status
    return `${style(process.stdout, 'dim', '–')}  ${what}`
  }
  const percent = `${(100 * confidence).toFixed(1).padStart(5)} %`
  return (
    `${style(process.stdout, 'bold', String(digit))}  ` +
    (confidence < 0.9 ? style(process.stdout, 'yellow', percent) : percent)
  )
}

function toArray(values: Float32Array | null): number[] | null {
  return values && Array.from(values)
}
