import { once } from 'node:events'
import { KerneletError } from '../../util/errors.ts'
import { formatCount } from '../../util/text-table.ts'
import { Classifier, type ClassifierResult } from '../../vision/classifier/classifier.ts'
import { pictures } from '../../vision/classifier/pool.ts'
import { largestFile } from '../../vision/picture/pixels.ts'
import { type Command, EXIT, UsageError, type Values } from '../command.ts'
import { filesOf, type Input, listFrom, readStdin, stdin } from '../inputs.ts'
import { complain, printable, style } from '../terminal.ts'
import { number } from '../values.ts'

export const command: Command = {
  summary: 'tell what pictures show: handwritten digits, or the classes of a model of your own',
  usage: 'FILE… [options]',
  description: `Prints, for each picture, the digit it shows and how sure the network is of it, or the label where
--weights names a model of your own. Any size, dark on light or light on dark. PNG and BMP are read as they
are; JPEG, WebP and others where the package sharp is installed. Below about 90 % the answer deserves a second
look. A picture without a digit, or with several, says so.

A folder stands for the pictures in it and below, - for a picture from the standard input. Pictures are read
on all cores; results come in the order given, as they are ready.`,
  options: {
    list: {
      type: 'string',
      value: 'FILE',
      help: 'names of pictures, one a line; - for stdin',
    },
    json: { type: 'boolean', help: 'print a JSON array with one object per file' },
    ndjson: { type: 'boolean', help: 'print a line of JSON per file' },
    csv: { type: 'boolean', help: 'print a table: file, status, label, confidence, error' },
    weights: {
      type: 'string',
      value: 'FILE',
      help: 'a model: of kernelet train, or ONNX; default: the shipped digits',
    },
    threshold: { type: 'string', value: 'SHARE', help: 'say unsure below this confidence, 0 to 1' },
    isa: { type: 'string', value: 'NAME', help: 'instruction set (see kernelet info)' },
  },
  examples: [
    ['kernelet classify photo.png', 'one line: the file, the digit, the confidence'],
    ['kernelet classify scans --csv > digits.csv', 'every picture in scans and its folders, as a table'],
    ['find . -name "*.png" | kernelet classify --list - --ndjson', 'names from another program'],
    ['kernelet classify --weights mine.safetensors photos', 'by a model that kernelet train made'],
  ],
  positionals: true,
  async run(values, files) {
    const list = values.list as string | undefined
    if (files.length === 0 && list === undefined) {
      throw new UsageError('classify: expected one or more picture files, folders, - or --list FILE')
    }
    const forms = (['json', 'ndjson', 'csv'] as const).filter((form) => values[form])
    if (forms.length > 1) throw new UsageError(`classify: --${forms.join(' and --')} do not go together`)
    if ([...files, list].filter((word) => word === stdin).length > 1) {
      throw new UsageError('classify: the standard input can be read once')
    }
    using classifier = load(values)
    const words = list === undefined ? files : [...files, ...(await listFrom(list))]
    const width = Math.max(0, ...files.map((file) => file.length))
    const print = printers[forms[0] ?? 'text'](isDigits(classifier), width)
    return (await all(classifier, filesOf(words), print)) ? EXIT.ok : EXIT.failed
  },
}

function load({ weights, isa, threshold }: Values): Classifier {
  const least = number({ threshold }, 'threshold', undefined, { from: 0 })
  if (least !== undefined && least > 1) throw new UsageError('--threshold: expected a number from 0 to 1')
  return Classifier.load(weights as string | undefined, { isa: isa as string | undefined, threshold: least })
}

/** What became of a file. */
interface Outcome {
  file: string
  result?: ClassifierResult
  error?: KerneletError
}

/** Prints outcomes as they come, `first` once before them and `last` after. */
interface Printer {
  first: string
  line: (outcome: Outcome) => string
  between: string
  last: string
}

/** @returns whether all went well */
async function all(classifier: Classifier, inputs: Iterable<Input>, printer: Printer): Promise<boolean> {
  // As many are on their way as keep all threads at work, and no more: memory does not grow with their number.
  const window = 64 * pictures.size
  const pending: Promise<Outcome>[] = []
  let failed = false
  let count = 0
  const start = performance.now()
  const finish = async (): Promise<void> => {
    const outcome = await (pending.shift() as Promise<Outcome>)
    if (outcome.error) failed = true
    const line = printer.line(outcome)
    if (line !== '') await write(count++ === 0 ? line : printer.between + line)
    progress(count, start)
  }
  await write(printer.first)
  for (const input of inputs) {
    pending.push(outcomeOf(classifier, input))
    if (pending.length >= window) await finish()
  }
  while (pending.length > 0) await finish()
  await write(printer.last)
  clearProgress()
  return !failed
}

async function outcomeOf(classifier: Classifier, input: Input): Promise<Outcome> {
  if (input instanceof KerneletError) return { file: '', error: input }
  try {
    const result =
      input === stdin
        ? await classifier.classifyAsync(await readStdin(largestFile))
        : await classifier.classifyFile(input)
    return { file: input, result }
  } catch (error) {
    // One bad file must not keep the others from being read; a fault of ours may.
    if (!(error instanceof KerneletError)) throw error
    return { file: input, error }
  }
}

/** To stdout, waiting for a reader that is slower. */
async function write(text: string): Promise<void> {
  if (text !== '' && !process.stdout.write(text)) await once(process.stdout, 'drain')
}

let told = 0

/** On stderr, where a person looks and results go elsewhere. */
function progress(count: number, start: number): void {
  const now = performance.now()
  if (!process.stderr.isTTY || process.stdout.isTTY || now - told < 100) return
  told = now
  const perSecond = Math.round((1000 * count) / (now - start))
  process.stderr.write(`\r\x1b[K${formatCount(count)} pictures, ${formatCount(perSecond)} a second`)
}

function clearProgress(): void {
  if (told > 0) process.stderr.write('\r\x1b[K')
}

/** Whether the classes are the ten digits, which are spoken of as such. */
function isDigits({ labels, preparation }: Classifier): boolean {
  return (
    preparation.fit === 'digit' && labels.length === 10 && labels.every((label, i) => label === String(i))
  )
}

const printers: Record<'text' | 'json' | 'ndjson' | 'csv', (digits: boolean, width: number) => Printer> = {
  text: (digits, width) => ({
    ...{ first: '', between: '', last: '' },
    line: ({ file, result, error }) => {
      if (!result) {
        complain(error?.message ?? '')
        return ''
      }
      // Names out of folders are not known before: a column is as wide as those so far.
      const name = printable(file)
      width = Math.max(width, name.length)
      return `${name.padEnd(width)}  ${inWords(result, digits)}\n`
    },
  }),
  json: (digits) => ({
    ...{ first: '[', between: ',', last: '\n]\n' },
    line: (outcome) => `\n${JSON.stringify(reportOf(outcome, digits), null, 2).replace(/^/gm, '  ')}`,
  }),
  ndjson: (digits) => ({
    ...{ first: '', between: '', last: '' },
    line: (outcome) => `${JSON.stringify(reportOf(outcome, digits))}\n`,
  }),
  csv: (digits) => ({
    ...{ first: 'file,status,label,confidence,error\n', between: '', last: '' },
    line: ({ file, result, error }) => {
      const cells = result
        ? [file, statusOf(result, digits), result.label ?? '', result.confidence.toFixed(4), '']
        : [file, 'error', '', '', error?.message ?? '']
      return `${cells.map(cell).join(',')}\n`
    },
  }),
}

function inWords(result: ClassifierResult, digits: boolean): string {
  const { status, label, confidence, boxes } = result
  const percent = `${(100 * confidence).toFixed(1).padStart(5)} %`
  if (status === 'class') {
    return (
      `${style(process.stdout, 'bold', printable(label))}  ` +
      (confidence < 0.9 ? style(process.stdout, 'yellow', percent) : percent)
    )
  }
  const what = statusOf(result, digits)
  const more = status === 'unsure' ? `  ${percent}` : boxes.length > 0 ? ` (${boxes.length})` : ''
  return `${style(process.stdout, 'dim', '–')}  ${what}${more}`
}

function statusOf({ status }: ClassifierResult, digits: boolean): string {
  if (!digits) return status
  return { class: 'digit', nothing: 'no digit', several: 'several digits', unsure: 'unsure' }[status]
}

/** For programs. */
function reportOf({ file, result, error }: Outcome, digits: boolean): object {
  if (!result) return { file, error: { code: error?.code, message: error?.message } }
  const { label, index, confidence, boxes } = result
  const probabilities = result.probabilities && Array.from(result.probabilities)
  const said = digits ? { digit: index } : { label, index }
  return { file, status: statusOf(result, digits), ...said, confidence, probabilities, boxes }
}

/** A cell of a table (RFC 4180). */
function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
