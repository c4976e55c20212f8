import { writeAtomically } from '../../formats/atomic-write.ts'
import { type Evaluation, evaluate } from '../../train/evaluate.ts'
import { KerneletError } from '../../util/errors.ts'
import { formatCount } from '../../util/text-table.ts'
import { contactSheet } from '../charts/contact-sheet.ts'
import { type Command, EXIT, UsageError, type Values } from '../command.ts'
import { colourOption, dataOption, fitOption, rawOption, readData } from '../data.ts'
import { loadModel, modelNames, shippedWeights } from '../models.ts'
import { print, printJson, style } from '../terminal.ts'
import { integer, pictureName } from '../values.ts'

export const command: Command = {
  summary: 'measure a model on labelled images',
  usage: '[--data DIR] [options]',
  description: `Runs a model over labelled images and prints how many it misreads, which class it takes for
which (the confusion matrix: a row a class, a column what the model says) and how well its confidence is
calibrated (ECE, the mean difference between confidence and accuracy). The test part is read unless --part
says otherwise.`,
  options: {
    data: dataOption,
    raw: rawOption,
    fit: fitOption,
    colour: colourOption,
    weights: { type: 'string', value: 'FILE', help: 'safetensors file; default: the shipped weights' },
    model: { type: 'string', value: 'NAME', help: `${modelNames}; default: as the weights say` },
    part: { type: 'string', value: 'PART', help: 'test (the default) or train' },
    sheet: { type: 'string', value: 'FILE', help: 'write a PNG of the misread images, the worst first' },
    most: { type: 'string', value: 'N', help: 'images on the sheet and misread ones in --json; default 200' },
    threads: { type: 'string', value: 'N', help: 'default: by the amount of work' },
    isa: { type: 'string', value: 'NAME', help: 'instruction set (see kernelet info)' },
    json: { type: 'boolean', help: 'print a JSON object' },
  },
  examples: [
    ['kernelet eval --data mnist', 'the shipped weights on the test set'],
    ['kernelet eval --data mnist --weights lenet5.safetensors --sheet misread.png', 'your own, with a look'],
    ['kernelet eval --data photos', 'on pictures in photos/circle, photos/cross …'],
  ],
  positionals: false,
  async run(values) {
    const part = values.part ?? 'test'
    if (part !== 'test' && part !== 'train') {
      throw new UsageError(`--part: expected test or train but received '${part}'`)
    }
    const sheet = pictureName(values, 'sheet', ['.png'])
    const most = integer(values, 'most', 200)
    const threads = values.threads === undefined ? undefined : integer(values, 'threads', 0, 0)
    const weights = String(values.weights ?? shippedWeights)
    const { model, name, mean, std, temperature, classes, form } = loadModel(
      weights,
      values.model as string | undefined,
    )
    const digits = Array.from({ length: 10 }, (_, i) => String(i))
    const found = await readData(values, part, classes ?? digits, form)
    if (!found) throw new KerneletError('ERR_IO', `${values.data} has no ${part} part`)
    const { data, folder } = found
    const isa = values.isa as string | undefined
    const result = await evaluate(model, data, { mean, std, temperature, threads, isa })
    const { misread } = result
    if (sheet !== undefined) {
      writeAtomically(sheet, [contactSheet(data, misread.slice(0, most), result.classes)])
    }
    if (values.json) {
      printJson({
        model: name,
        weights,
        data: folder,
        part,
        ...result.toJSON(),
        misread: misread.slice(0, most),
      })
      return EXIT.ok
    }
    report(result, values, found.parted ? part : 'labelled')
    return EXIT.ok
  },
}

function report(result: Evaluation, values: Values, part: string): void {
  const { count, correct, errorRate, loss, ece, misread } = result
  print(
    `${style(process.stdout, 'bold', `${(100 * errorRate).toFixed(2)} % error`)}: ` +
      `${formatCount(count - correct)} of ${formatCount(count)} ${part} images are misread; ` +
      `loss ${loss.toFixed(4)}, ECE ${(100 * ece).toFixed(2)} %`,
  )
  print(`\n${result}`)
  const named = misread.filter((example) => example.name !== undefined).slice(0, 20)
  if (named.length > 0) {
    print(`\nMisread${misread.length > named.length ? ', the worst' : ''}:`)
    for (const { name, label, predicted, confidence } of named) {
      const [own, said] = [label, predicted].map((one) => result.classes[one])
      print(`  ${name}: ${own} read as ${said}, ${(100 * confidence).toFixed(1)} % sure`)
    }
  }
  if (values.sheet !== undefined) print(`\n${values.sheet} shows them, the worst first`)
}
