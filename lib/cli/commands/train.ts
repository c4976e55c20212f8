import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { handwriting } from '../../data/augment.ts'
import type { Dataset } from '../../data/dataset.ts'
import { saveSafetensors } from '../../formats/safetensors.ts'
import type { Module } from '../../nn/module.ts'
import type { Parameter } from '../../tensor/parameter.ts'
import { manualSeed } from '../../tensor/random.ts'
import type { Evaluation } from '../../train/evaluate.ts'
import type { EpochReport, FitProgress } from '../../train/fit.ts'
import { freeze } from '../../train/freeze.ts'
import { Adam, AdamW, type Optimizer, SGD } from '../../train/optimizers.ts'
import { CosineAnnealingLR, OneCycleLR, type Schedule, StepLR } from '../../train/schedules.ts'
import { Trainer } from '../../train/trainer.ts'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { formatCount } from '../../util/text-table.ts'
import { version } from '../../util/version.ts'
import { labelsToText } from '../../vision/classifier/network.ts'
import { brailleChart, smooth } from '../charts/braille.ts'
import { drawLearningCurve } from '../charts/learning-curve.ts'
import { type Command, EXIT, UsageError, type Values } from '../command.ts'
import { colourOption, dataOption, fitOption, rawOption, readData } from '../data.ts'
import { loadModel, trainableByName, type WeightFile } from '../models.ts'
import { complain, print, printJson, showProgress, style, tell } from '../terminal.ts'
import { integer, number, pictureName } from '../values.ts'

export const command: Command = {
  summary: 'train a model on labelled images',
  usage: '[--data DIR] [options]',
  description: `Trains a model from scratch, or from the weights of --init, and writes its weights. The same seed,
data and options give the same file, whatever the number of threads.

After every epoch a checkpoint is written beside the weights (FILE.checkpoint); Ctrl-C writes one too, in the
middle of an epoch. --resume goes on from it to the same bits as if nothing had happened. Where the data has a
test part, the finished model is tried on it once.`,
  options: {
    data: dataOption,
    raw: rawOption,
    fit: fitOption,
    colour: colourOption,
    model: { type: 'string', value: 'NAME', help: 'lenet5 (the default)' },
    epochs: { type: 'string', value: 'N', help: 'passes over the data; default 5' },
    batch: { type: 'string', value: 'N', help: 'images a step; default 64' },
    optimizer: { type: 'string', value: 'NAME', help: 'adam (the default), adamw, sgd with momentum 0.9' },
    lr: { type: 'string', value: 'RATE', help: 'learning rate; default 0.002, for sgd 0.05' },
    schedule: { type: 'string', value: 'NAME', help: 'cosine (the default), onecycle, step, none' },
    'weight-decay': { type: 'string', value: 'SHARE', help: 'default 0, for adamw 0.01' },
    'label-smoothing': { type: 'string', value: 'SHARE', help: 'default 0' },
    'clip-norm': { type: 'string', value: 'NORM', help: 'scales larger gradients down; default: no limit' },
    ema: { type: 'string', value: 'DECAY', help: 'average the weights, such as 0.999; default: do not' },
    augment: { type: 'boolean', help: 'vary the images: slant, stroke, elastic distortion' },
    validation: {
      type: 'string',
      value: 'SHARE',
      help: 'keep this part of the images for reports; default 0',
    },
    seed: { type: 'string', value: 'N', help: 'of weights, order, everything random; default 0' },
    threads: { type: 'string', value: 'N', help: 'default: by the amount of work' },
    isa: { type: 'string', value: 'NAME', help: 'instruction set (see kernelet info)' },
    init: { type: 'string', value: 'FILE', help: 'begin with these weights rather than random ones' },
    freeze: { type: 'string', value: 'LAYERS', help: 'layers to leave as they are: conv1,conv2' },
    out: { type: 'string', short: 'o', value: 'FILE', help: 'the weights; default MODEL.safetensors' },
    resume: { type: 'boolean', help: 'go on from the checkpoint; give the same options' },
    plot: { type: 'string', value: 'FILE', help: 'draw the learning curve as SVG' },
    json: { type: 'boolean', help: 'print a JSON object at the end' },
  },
  examples: [
    ['kernelet train --data mnist --epochs 5 --seed 1', 'LeNet-5 to about 99 % in seconds'],
    [
      'kernelet train --data photos --augment -o mine.safetensors',
      'on pictures in photos/circle, photos/cross …',
    ],
    [
      'kernelet train --data pets --fit crop --colour rgb -o pets.safetensors',
      'on colour pictures in pets/cat, pets/dog …; kernelet classify --weights pets.safetensors reads others',
    ],
    ['kernelet train --epochs 20 --validation 0.1 --plot curve.svg', 'with a curve to look at'],
    ['kernelet train --epochs 20 --validation 0.1 --plot curve.svg --resume', 'after Ctrl-C'],
  ],
  positionals: false,
  async run(values) {
    const plan = readOptions(values)
    // Before the work, not after it.
    const plot = pictureName(values, 'plot', ['.svg'])
    for (const file of [plan.out, plot]) if (file !== undefined) checkPlace(file)
    const init = plan.init === undefined ? undefined : loadModel(plan.init, plan.model)
    const found = await readData(values, 'train', init && classesOf(init), init?.form)
    if (!found) {
      throw new KerneletError('ERR_IO', `${values.data} has a test part only; nothing to learn from`)
    }
    const { data } = found
    manualSeed(plan.seed)
    const { model, mean, std } = init ?? { model: make(plan.model, data), mean: 0, std: 1 }
    const parts = new Map<string, Module | Parameter>([...model.namedModules(), ...model.namedParameters()])
    for (const layer of plan.freeze) {
      const part = layer === '' ? undefined : parts.get(layer)
      if (!part) throw new UsageError(`--freeze: the model has no layer ${layer}; it has ${layersOf(parts)}`)
      freeze(part)
    }
    // With the shape known, all that does not fit is said before the work begins.
    using trainer = new Trainer(model, { ...plan.trainer, mean, std, inputShape: data.shape })
    const checkpoint = `${plan.out}.checkpoint`
    let history: Past[] = []
    if (plan.resume) {
      if (!existsSync(checkpoint)) {
        throw new KerneletError('ERR_IO', `there is nothing to resume: ${checkpoint} is not there`)
      }
      const notes = trainer.loadCheckpoint(checkpoint)
      const before = notes.get('options')
      if (before !== plan.fingerprint) throw new UsageError(otherOptions(before, plan.fingerprint))
      history = JSON.parse(notes.get('history') ?? '[]') as Past[]
    } else if (existsSync(checkpoint)) {
      throw new UsageError(
        `${checkpoint} is there, of a run that was not finished: go on with --resume, or delete it to begin again`,
      )
    }
    const say = values.json ? tell : print
    const validated = plan.validation > 0
    say(
      `${formatCount(data.length)} images of ${data.shape.join('×')}, ${data.classes.length} classes, from ${found.folder}; ` +
        `${formatCount(model.parameters().reduce((sum, { data: { length } }) => sum + length, 0))} parameters`,
    )
    say(style(process.stdout, 'dim', heading(validated)))
    for (const past of history) say(row(past, validated))
    const warned = new Set<string>()
    const save = (): void =>
      trainer.saveCheckpoint(checkpoint, { options: plan.fingerprint, history: JSON.stringify(history) })
    const abort = new AbortController()
    let stopped: NodeJS.Signals | undefined
    const stop = (signal: NodeJS.Signals): void => {
      stopped = signal
      abort.abort()
    }
    // Once: a second Ctrl-C ends the program the hard way.
    process.once('SIGINT', stop)
    process.once('SIGTERM', stop)
    try {
      const run = trainer.fit(data, {
        ...plan.fit,
        ...(validated && { validation: plan.validation }),
        resume: plan.resume,
        signal: abort.signal,
        onProgress: drawProgress,
      })
      for await (const report of run) {
        showProgress('')
        const past = pastOf(report)
        history.push(past)
        save()
        say(row(past, validated))
        for (const { kind, layer, message } of report.health?.warnings ?? []) {
          if (warned.has(`${kind} ${layer}`)) continue
          warned.add(`${kind} ${layer}`)
          tell(`${style(process.stderr, 'yellow', 'warning:')} ${message}`)
        }
      }
    } catch (error) {
      showProgress('')
      if (!(error instanceof KerneletError)) throw error
      if (error.code === 'ERR_ABORTED' && stopped) {
        save()
        complain(
          `${error.message.replace(/^fit: /, '').replace(/;.*/, '')}. Saved in ${checkpoint}; to go on:`,
        )
        tell(`  kernelet ${resumeLine()}`)
        return stopped === 'SIGINT' ? 130 : 143
      }
      if (error.code === 'ERR_DIVERGED' && existsSync(checkpoint)) {
        complain(`the last whole epoch is in ${checkpoint}`)
      }
      throw error
    } finally {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
    }
    if (plan.trainer.ema !== undefined) model.loadStateDict(trainer.averagedStateDict())
    saveSafetensors(plan.out, model.stateDict(), {
      format: 'pt',
      model: plan.model,
      mean: String(mean),
      std: String(std),
      // so that `kernelet classify`, `eval` and Classifier.load make the same of a picture
      ...found.form,
      input: data.shape.join('x'),
      ...(isNumbered(data.classes) ? {} : { classes: labelsToText(data.classes) }),
      kernelet: version,
      training: plan.fingerprint,
    })
    rmSync(checkpoint, { force: true })
    const test = found.parted ? await readData(values, 'test', data.classes, found.form) : undefined
    const tested = test && (await trainer.evaluate(test.data))
    if (plot !== undefined) write(plot, picture(plan, data, history, tested))
    if (values.json) {
      printJson({
        model: plan.model,
        data: { folder: found.folder, images: data.length, classes: data.classes },
        options: JSON.parse(plan.fingerprint),
        epochs: history.map(({ losses: _, ...past }) => past),
        test: tested,
        weights: plan.out,
      })
      return EXIT.ok
    }
    const curve = chart(history)
    if (curve !== '') print(`\n${curve}\n`)
    const trained = history.reduce((sum, { seconds }) => sum + seconds, 0)
    print(
      `${plan.out} written after ${trained.toFixed(1)} s of training` +
        `${tested ? `; ${percent(tested.accuracy)} of ${formatCount(tested.count)} test images are read rightly (${tested.count - tested.correct} errors)` : ''}`,
    )
    return EXIT.ok
  },
}

/** What is kept of an epoch: for the table, the curve and --json. */
interface Past extends Omit<EpochReport, 'validation' | 'stepLosses' | 'epochs'> {
  validation?: { loss: number; accuracy: number } | undefined
  /** Means of some stretches of steps, with their place in epochs. */
  losses: [x: number, y: number][]
}

/** Stretches of an epoch whose losses are kept. */
const stretches = 48

function pastOf({ validation, stepLosses, epochs: _, ...report }: EpochReport): Past {
  return {
    ...report,
    ...(validation && { validation: { loss: validation.loss, accuracy: validation.accuracy } }),
    losses: smooth(stepLosses, stretches).map(([x, y]) => [report.epoch - 1 + x / stepLosses.length, y]),
  }
}

/** The options, read and checked. */
interface Plan {
  model: string
  init: string | undefined
  freeze: string[]
  optimizer: string
  out: string
  resume: boolean
  seed: number
  validation: number
  trainer: ConstructorParameters<typeof Trainer>[1] & { ema: number | undefined }
  fit: { epochs: number; batchSize: number; schedule: Schedule | undefined }
  /** All that has a say in the weights, as JSON. */
  fingerprint: string
}

function readOptions(values: Values): Plan {
  const model = String(values.model ?? 'lenet5')
  trainableByName(model)
  const optimizerName = oneOf(values, 'optimizer', ['adam', 'adamw', 'sgd'])
  const scheduleName = oneOf(values, 'schedule', ['cosine', 'onecycle', 'step', 'none'])
  const lr = number(values, 'lr', optimizerName === 'sgd' ? 0.05 : 0.002, { above: 0 })
  const weightDecay = number(values, 'weight-decay', undefined, { from: 0 })
  const labelSmoothing = number(values, 'label-smoothing', 0, { from: 0, below: 1 })
  const clipNorm = number(values, 'clip-norm', undefined, { above: 0 })
  const ema = number(values, 'ema', undefined, { from: 0, below: 1 })
  const validation = number(values, 'validation', 0, { from: 0, below: 1 })
  const seed = integer(values, 'seed', 0, 0)
  const epochs = integer(values, 'epochs', 5)
  const batchSize = integer(values, 'batch', 64)
  const threads = values.threads === undefined ? undefined : integer(values, 'threads', 0, 0)
  const init = values.init as string | undefined
  const frozen = values.freeze === undefined ? [] : String(values.freeze).split(',')
  const augment = values.augment === true
  const settings = {
    ...{ model, init, freeze: frozen, epochs, batch: batchSize, optimizer: optimizerName, lr },
    ...{ schedule: scheduleName, weightDecay, labelSmoothing, clipNorm, ema, augment, validation, seed },
    ...{ fit: values.fit, colour: values.colour },
  }
  return {
    ...{ model, init, freeze: frozen, optimizer: optimizerName, seed, validation },
    out: String(values.out ?? `${model}.safetensors`),
    resume: values.resume === true,
    trainer: {
      optimizer: optimizerOf(optimizerName, lr, weightDecay),
      ...{ labelSmoothing, clipNorm, ema, seed, threads },
      isa: values.isa as string | undefined,
      ...(augment && { augment: handwriting }),
    },
    fit: { epochs, batchSize, schedule: scheduleOf(scheduleName, lr, epochs) },
    fingerprint: JSON.stringify(settings),
  }
}

function optimizerOf(name: string, lr: number, weightDecay: number | undefined): Optimizer {
  if (name === 'sgd') return new SGD({ lr, momentum: 0.9, weightDecay })
  return name === 'adamw' ? new AdamW({ lr, weightDecay }) : new Adam({ lr, weightDecay })
}

function scheduleOf(name: string, lr: number, epochs: number): Schedule | undefined {
  if (name === 'cosine') return new CosineAnnealingLR()
  if (name === 'onecycle') return new OneCycleLR({ maxLr: lr })
  return name === 'step' ? new StepLR({ stepSize: Math.max(1, Math.round(epochs / 3)) }) : undefined
}

function oneOf<T extends string>(values: Values, option: string, known: readonly [T, ...T[]]): T {
  const name = values[option] ?? known[0]
  const found = known.find((each) => each === name)
  if (found !== undefined) return found
  throw new UsageError(`--${option}: expected ${known.join(', ')} but received '${name}'`)
}

function make(name: string, data: Dataset): Module {
  return trainableByName(name)(data.shape[0] ?? 0, data.classes.length)
}

/** Of weights to begin with: their outputs are what they are. */
function classesOf({ classes, model }: WeightFile): readonly string[] {
  const outputs = model.parameters().at(-1)?.shape[0] ?? 0
  return classes ?? Array.from({ length: outputs }, (_, i) => String(i))
}

function layersOf(parts: ReadonlyMap<string, unknown>): string {
  return [...parts.keys()].filter((path) => path !== '').join(', ')
}

function otherOptions(before: string | undefined, now: string): string {
  const [then, given] = [before ?? '{}', now].map((text) => JSON.parse(text) as Record<string, unknown>) as [
    Record<string, unknown>,
    Record<string, unknown>,
  ]
  const names = Object.keys({ ...then, ...given }).filter(
    (name) => JSON.stringify(then[name]) !== JSON.stringify(given[name]),
  )
  const list = names.map((name) => `${name} ${JSON.stringify(then[name]) ?? 'not given'}`).join(', ')
  return `--resume: the run was begun with other options (${list}); give the same`
}

function isNumbered(classes: readonly string[]): boolean {
  return classes.every((name, i) => name === String(i))
}

/** The command line as it was, with --resume. */
function resumeLine(): string {
  const words = process.argv.slice(2).filter((word) => word !== '--resume')
  return [...words, '--resume']
    .map((word) => (/^[\w./=,:+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ')
}

function heading(validated: boolean): string {
  return [
    'epoch',
    '   loss',
    ' accuracy',
    ...(validated ? ['valid. loss', 'valid. accuracy'] : []),
    '    time',
    'images/s',
  ].join('  ')
}

function row(
  { epoch, loss, accuracy, validation, seconds, imagesPerSecond }: Past,
  validated: boolean,
): string {
  return [
    String(epoch).padStart(5),
    loss.toFixed(4).padStart(7),
    percent(accuracy).padStart(9),
    ...(validated && validation
      ? [validation.loss.toFixed(4).padStart(11), percent(validation.accuracy).padStart(15)]
      : []),
    `${seconds.toFixed(2)} s`.padStart(8),
    formatCount(Math.round(imagesPerSecond)).padStart(8),
  ].join('  ')
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}

/** A bar on stderr that is written over, where a person looks. */
function drawProgress({ epoch, epochs, step, steps, loss, accuracy, imagesPerSecond }: FitProgress): void {
  const length = 24
  const done = Math.round((length * step) / steps)
  showProgress(
    `epoch ${epoch}/${epochs} ${'━'.repeat(done)}${'─'.repeat(length - done)} ${step}/${steps}  ` +
      `loss ${loss.toFixed(4)}  ${percent(accuracy)}  ${formatCount(Math.round(imagesPerSecond))} images/s`,
  )
}

function chart(history: readonly Past[]): string {
  const width = Math.max(20, Math.min(72, (process.stdout.columns || 80) - 12))
  const points = history.flatMap(({ losses }) => losses).map(([x, y]): [number, number] => [x, Math.log(y)])
  const drawn = brailleChart(points, { width, height: 6, format: (value) => Math.exp(value).toPrecision(3) })
  return drawn === '' ? '' : `loss of the training, logarithmic\n${drawn}`
}

function picture(
  { model, fit, trainer, optimizer, seed }: Plan,
  data: Dataset,
  history: readonly Past[],
  tested: Evaluation | undefined,
): string {
  const subtitle =
    `${formatCount(data.length)} images, batches of ${fit.batchSize}, ${optimizer} ` +
    `lr ${trainer.optimizer?.lr}, seed ${seed}${tested ? `; test: ${percent(tested.accuracy)} right` : ''}`
  return drawLearningCurve(`${model}: learning curve`, subtitle, history)
}

/** @throws KerneletError `ERR_IO` where a file cannot come to lie */
function checkPlace(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK)
  } catch (cause) {
    throw new KerneletError('ERR_IO', `${file} could not be written: ${messageOf(cause)}`, { cause })
  }
}

/** @throws KerneletError `ERR_IO` */
function write(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (cause) {
    throw new KerneletError('ERR_IO', `${file} cannot be written: ${messageOf(cause)}`, { cause })
  }
}
