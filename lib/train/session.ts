/** Session: a model's native trainer, made when it is first needed and made anew when the model has changed. */
import type { NativeAugment, NativeTrainCall, NativeTrainer, NativeTrainReport } from '../backend/backend.ts'
import { native } from '../backend/node-addon.ts'
import { graphShapes } from '../graph/graph.ts'
import { attached, toNative } from '../graph/operation.ts'
import type { Module, StateDict } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import type { Kind, TrainerState } from './checkpoint.ts'
import type { Loss } from './losses.ts'
import type { Optimizer } from './optimizers.ts'
import { isCurrent, type Setup, setupOf } from './setup.ts'

/** What stays the same for a trainer's life. */
export interface Settings {
  optimizer: Optimizer
  loss: Loss
  labelSmoothing: number
  clipNorm?: number | undefined
  clipValue?: number | undefined
  ema?: number | undefined
  augment?: NativeAugment | undefined
  isa?: string | undefined
  threads?: number | undefined
}

/** A model as it was, with its native trainer. */
export interface Opened {
  readonly setup: Setup
  readonly trainer: NativeTrainer
  readonly outputShape: readonly number[]
  /** Fewest images of a step: two where a batch norm would have but one value a channel of one image. */
  readonly leastImages: number
  /** The batch norm that wants them. */
  readonly leastFor: string
}

/** What is known of the optimizer for another setup: it has not met parameters that are new, and forgets those gone. */
function carriedOver({ step, arrays, steps }: TrainerState, before: Setup, after: Setup): TrainerState {
  const known = new Map(before.parameters)
  const stay = new Set(
    after.parameters.filter(([name, parameter]) => known.get(name) === parameter).map(([name]) => name),
  )
  const staying = <T>(values: ReadonlyMap<string, T>) =>
    new Map([...values].filter(([name]) => stay.has(name)))
  const anew = step === 0 ? [] : after.parameters.filter(([name]) => !stay.has(name))
  return {
    step,
    arrays: new Map([...arrays].map(([kind, values]) => [kind, staying(values)])),
    steps: new Map([...staying(steps), ...anew.map(([name]): [string, number] => [name, 0])]),
  }
}

/** Weights and statistics that some trainer's thread is about to write, by their arrays. */
const atWork = new WeakMap<Float32Array, Session>()

const kinds: readonly Kind[] = ['momentum', 'expAvg', 'expAvgSq', 'ema']

class Session {
  readonly #model: Module
  readonly #settings: Settings
  #seed: number
  #inputShape: readonly number[] | undefined
  #opened: Opened | undefined
  #steps = 0
  #disposed = false
  /** State of the optimizer that the native trainer does not have: of one to be made, and of frozen parameters. */
  #state: TrainerState = { step: 0, arrays: new Map(), steps: new Map() }

  constructor(model: Module, settings: Settings, seed: number) {
    this.#model = model
    this.#settings = settings
    this.#seed = seed
  }

  /** Of dropout and augmentation. */
  get seed(): number {
    return this.#seed
  }

  /** Shape of one image, once it is known. */
  get inputShape(): readonly number[] | undefined {
    return this.#inputShape
  }

  /** Steps taken. */
  get steps(): number {
    return this.#steps
  }

  /** What the optimizer keeps of every parameter that it trains. */
  get keeps(): readonly Kind[] {
    const { optimizer, ema } = this.#settings
    return ema === undefined ? optimizer.keeps : [...optimizer.keeps, 'ema']
  }

  get parameters(): readonly (readonly [name: string, parameter: Parameter])[] {
    return this.#opened?.setup.parameters ?? this.#model.namedParameters()
  }

  /**
   * The native trainer for images of this shape and the model as it is: what has changed of it since the last call
   * (frozen, set to eval(), another rate of dropout, another layer) counts from now on.
   */
  open(shape: readonly number[]): Opened {
    if (this.#disposed) throw new KerneletError('ERR_DISPOSED', 'This trainer was disposed; make another')
    if (this.#inputShape && !sameShape(shape, this.#inputShape)) {
      throw new KerneletError(
        'ERR_SHAPE',
        `Trainer: expected images of ${formatShape(this.#inputShape)} but received ${formatShape(shape)}`,
      )
    }
    const opened = this.#opened
    if (opened && isCurrent(opened.setup, this.#model)) return opened
    const setup = setupOf(this.#model, shape)
    const state = opened ? carriedOver(this.state(), opened.setup, setup) : this.#state
    const next = this.#make(setup, state)
    try {
      this.#write(next.trainer, setup, state)
    } catch (error) {
      next.trainer.dispose()
      throw error
    }
    opened?.trainer.dispose()
    this.#opened = next
    this.#inputShape = graphShapes(setup.graph).input
    this.#state = state
    return next
  }

  #make(setup: Setup, { step, steps }: TrainerState): Opened {
    const { optimizer, loss, labelSmoothing, clipNorm, clipValue, ema, augment, isa, threads } =
      this.#settings
    const { graph } = setup
    const trainer = native().trainer(
      {
        nodes: graph.nodes.map((node) => toNative(node, node.name, node.inputs, node.shape)),
        output: graph.output,
      },
      {
        parameters: setup.parameters.map(([name, parameter]) => ({
          name,
          data: attached(parameter, name),
          frozen: !parameter.requiresGrad,
          mask: parameter.mask,
          since: step - (steps.get(name) ?? step),
        })),
        buffers: setup.statistics.map(({ name, tensor }) => ({ name, data: attached(tensor, name) })),
        loss: { kind: loss, labelSmoothing },
        optimizer: optimizer.settings,
        clipNorm,
        clipValue,
        emaDecay: ema,
        seed: this.#seed,
        augment,
        isa,
        threads,
      },
    )
    const single = graph.nodes.find(({ training, shape }) => training && elements(shape.slice(1)) === 1)
    return {
      setup,
      trainer,
      outputShape: graphShapes(graph).output,
      leastImages: single ? 2 : 1,
      leastFor: single?.name ?? '',
    }
  }

  /** Checks that a step of so many images can be taken and teaches something; nothing has changed when it throws. */
  checkBatch(who: string, images: number, { setup, leastImages, leastFor }: Opened): void {
    const { parameters, trained } = setup
    if (trained.size === 0) {
      const names = parameters.flatMap(([name, { requiresGrad }]) => (requiresGrad ? [name] : []))
      const why = names.length === 0 ? 'all are frozen' : `the output does not depend on ${names.join(', ')}`
      throw new KerneletError('ERR_ARGUMENT', `Trainer: the model has no weights to train; ${why}`)
    }
    if (images >= leastImages) return
    throw new KerneletError(
      'ERR_SHAPE',
      `${who}: ${leastFor} expects more than one value a channel while it is trained, but a step of ${images} image ` +
        `has one: take ${leastImages} or more, or let it keep its running statistics with eval()`,
    )
  }

  /** Takes the steps of a call at once; `opened` is what `open` gave. */
  run(who: string, opened: Opened, call: NativeTrainCall): NativeTrainReport {
    this.#checkUnused(who, opened)
    return this.#count(opened, opened.trainer.run(call))
  }

  /** The same off the event loop. */
  async runAsync(who: string, opened: Opened, call: NativeTrainCall): Promise<NativeTrainReport> {
    this.#checkUnused(who, opened)
    const arrays = opened.setup.written.map(({ tensor }) => tensor.data)
    for (const array of arrays) atWork.set(array, this)
    try {
      return this.#count(opened, await opened.trainer.runAsync(call))
    } finally {
      for (const array of arrays) if (atWork.get(array) === this) atWork.delete(array)
    }
  }

  /** Two trainers at once would each undo what the other has done. */
  #checkUnused(who: string, { setup }: Opened): void {
    for (const { name, tensor } of setup.written) {
      if ((atWork.get(tensor.data) ?? this) === this) continue
      throw new KerneletError(
        'ERR_BUSY',
        `${who}: ${name} is being trained by another trainer: wait for its fit, or let both take steps in turns`,
      )
    }
  }

  /** Counts steps that were taken, and tells the batch norms of them. */
  #count({ setup }: Opened, report: NativeTrainReport): NativeTrainReport {
    this.#steps += report.steps
    for (const { data } of setup.counters) data[0] = (data[0] ?? 0) + report.steps
    return report
  }

  /** Copies of what the native trainer has, by parameter; none for those that are frozen. */
  read(kind: Kind | 'gradient'): Map<string, Float32Array> {
    const arrays = this.#opened?.trainer.read(kind) ?? []
    const named = this.parameters.map(([name], i): [string, Float32Array | undefined] => [name, arrays[i]])
    return new Map(named.filter((entry): entry is [string, Float32Array] => (entry[1]?.length ?? 0) > 0))
  }

  /** All that the optimizer knows: of parameters that are frozen, what it knew when they were. */
  state(): TrainerState {
    if (!this.#opened) return this.#state
    const before = this.#state
    const { setup, trainer } = this.#opened
    const { step } = trainer
    const arrays = new Map<Kind, ReadonlyMap<string, Float32Array>>()
    for (const kind of kinds) {
      const all = new Map([...(before.arrays.get(kind) ?? []), ...this.read(kind)])
      if (all.size > 0) arrays.set(kind, all)
    }
    const steps = new Map<string, number>()
    for (const [name, parameter] of setup.parameters) {
      const taken = setup.trained.has(parameter) ? step - before.step : 0
      const own = (before.steps.get(name) ?? before.step) + taken
      if (own !== step) steps.set(name, own)
    }
    return { step, arrays, steps }
  }

  /** Weights, state and seed of another time; the native trainer is made anew for them. */
  restore(weights: StateDict, state: TrainerState, seed: number): void {
    this.#model.loadStateDict(weights)
    this.#seed = seed
    // No state that the one restored lacks is left over.
    this.#opened?.trainer.dispose()
    this.#opened = undefined
    this.#steps = state.step
    this.#state = this.#begun(state)
  }

  /** A parameter of which the optimizer knows nothing begins with its first step, whatever was counted. */
  #begun({ step, arrays, steps }: TrainerState): TrainerState {
    const kind = this.keeps[0]
    if (step === 0 || kind === undefined || kind === 'ema') return { step, arrays, steps }
    const known = arrays.get(kind)
    const anew = this.#model.namedParameters().filter(([name]) => !known?.has(name))
    return {
      step,
      arrays,
      steps: new Map([...steps, ...anew.map(([name]): [string, number] => [name, 0])]),
    }
  }

  #write(trainer: NativeTrainer, setup: Setup, { step, arrays }: TrainerState): void {
    for (const [kind, values] of arrays) {
      trainer.write(
        kind,
        setup.parameters.map(([name, { requiresGrad, data }]) => {
          if (!requiresGrad) return new Float32Array(0)
          // One that begins now: no momentum, and an average of all the values it had, which are this one.
          return values.get(name) ?? (kind === 'ema' ? data.slice() : new Float32Array(data.length))
        }),
      )
    }
    trainer.step = step
  }

  /** Ends the call that is under way after its current step. */
  interrupt(): void {
    this.#opened?.trainer.interrupt()
  }

  /** Frees the native memory, for good. */
  dispose(): void {
    this.#disposed = true
    this.#opened?.trainer.dispose()
    this.#opened = undefined
  }
}

export type { Session }

/** A model in training: its native trainer, made with the first step and anew when the model has changed. */
export function openSession(model: Module, settings: Settings, seed: number): Session {
  return new Session(model, settings, seed)
}

/** Copies of all weights and buffers of a model. */
export function weightsOf(model: Module): StateDict {
  return new Map(
    [...model.stateDict()].map(([name, tensor]) => [
      name,
      new Tensor(attached(tensor, name).slice(), tensor.shape),
    ]),
  )
}
