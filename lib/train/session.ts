/** Session: a model's native trainer, made when it is first needed and made anew when the model has changed. */

import type { NativeAugment, NativeOptimizer, NativeTrainer } from '../backend/backend.ts'
import { native } from '../backend/node-addon.ts'
import { type Graph, graphShapes, trace } from '../graph/graph.ts'
import { attached, toNative } from '../graph/operation.ts'
import type { Module, StateDict } from '../nn/module.ts'
import { BatchNorm } from '../ops/normalization-layers.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { type Kind, kinds, type TrainerState } from './checkpoint.ts'
import type { Loss } from './losses.ts'

/** What stays the same for a trainer's life. */
export interface Settings {
  optimizer: NativeOptimizer
  loss: Loss
  labelSmoothing: number
  clipNorm?: number | undefined
  clipValue?: number | undefined
  ema?: number | undefined
  augment?: NativeAugment | undefined
  isa?: string | undefined
  threads?: number | undefined
}

/** A graph with its native trainer. */
export interface Opened {
  readonly graph: Graph
  readonly trainer: NativeTrainer
  readonly outputShape: readonly number[]
  /** Fewest images of a step: two where a batch norm would have but one value a channel of one image. */
  readonly leastImages: number
  /** The batch norm that wants them. */
  readonly leastFor: string
}

/** All that a graph takes from a model besides the values of its weights. */
interface Setup {
  readonly parameters: readonly (readonly [name: string, parameter: Parameter])[]
  /** Those that are not frozen. */
  readonly trained: ReadonlySet<Parameter>
  /** Compared one by one, by identity. */
  readonly facts: readonly unknown[]
}

function setupOf(model: Module): Setup {
  const parameters = model.namedParameters()
  const facts: unknown[] = model.namedModules().flatMap(([path, module]) => [path, module, module.training])
  for (const [name, parameter] of parameters)
    facts.push(name, parameter, parameter.requiresGrad, parameter.mask)
  const trained = new Set(
    parameters.map(([, parameter]) => parameter).filter(({ requiresGrad }) => requiresGrad),
  )
  return { parameters, trained, facts }
}

/** @throws KerneletError `ERR_UNSUPPORTED` for weights that a step would train into another model, by name */
function checkTrainable({ parameters }: Setup): void {
  const found = parameters.filter(([, { untrainable, requiresGrad }]) => untrainable && requiresGrad)
  if (found.length === 0) return
  const names = found.map(([name]) => name).join(', ')
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `Trainer: ${names} cannot be trained: ${found[0]?.[1].untrainable}; freeze() ${found.length > 1 ? 'them' : 'it'} ` +
      'to train the others',
  )
}

/** What is known of the optimizer for another setup: it has not met parameters that are new. */
function carriedOver({ step, arrays, steps }: TrainerState, before: Setup, after: Setup): TrainerState {
  const known = new Map(before.parameters)
  const anew = after.parameters.filter(([name, parameter]) => known.get(name) !== parameter)
  if (anew.length === 0 || step === 0) return { step, arrays, steps }
  const names = new Set(anew.map(([name]) => name))
  const without = (values: ReadonlyMap<string, Float32Array>) =>
    new Map([...values].filter(([name]) => !names.has(name)))
  return {
    step,
    arrays: new Map([...arrays].map(([kind, values]) => [kind, without(values)])),
    steps: new Map([...steps, ...[...names].map((name): [string, number] => [name, 0])]),
  }
}

export class Session {
  readonly #model: Module
  readonly #settings: Settings
  #seed: number
  #inputShape: readonly number[] | undefined
  #opened: (Opened & { setup: Setup; counts: readonly Tensor[] }) | undefined
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
    return this.#opened?.trainer.step ?? this.#state.step
  }

  get parameters(): readonly (readonly [name: string, parameter: Parameter])[] {
    return this.#opened?.setup.parameters ?? this.#model.namedParameters()
  }

  /**
   * The native trainer for images of this shape and the model as it is: what was frozen, unfrozen, replaced or set to
   * eval() since the last call counts from now on.
   */
  open(shape: readonly number[]): Opened {
    if (this.#inputShape && !sameShape(shape, this.#inputShape)) {
      throw new KerneletError(
        'ERR_SHAPE',
        `Trainer: expected images of ${formatShape(this.#inputShape)} but received ${formatShape(shape)}`,
      )
    }
    const setup = setupOf(this.#model)
    if (this.#opened) {
      const { facts } = this.#opened.setup
      if (facts.length === setup.facts.length && facts.every((fact, i) => fact === setup.facts[i])) {
        return this.#opened
      }
    }
    if (!setup.parameters.some(([, { requiresGrad }]) => requiresGrad)) {
      throw new KerneletError('ERR_ARGUMENT', 'Trainer: the model has no weights to train; all are frozen')
    }
    checkTrainable(setup)
    const state = this.#opened ? carriedOver(this.state(), this.#opened.setup, setup) : this.#state
    const next = this.#make(shape, setup, state)
    try {
      this.#write(next.trainer, setup, state)
    } catch (error) {
      next.trainer.dispose()
      throw error
    }
    this.#opened?.trainer.dispose()
    this.#opened = next
    this.#inputShape = graphShapes(next.graph).input
    this.#state = state
    return next
  }

  #make(
    shape: readonly number[],
    setup: Setup,
    { step, steps }: TrainerState,
  ): Opened & { setup: Setup; counts: readonly Tensor[] } {
    const graph = trace(this.#model, shape)
    const { optimizer, loss, labelSmoothing, clipNorm, clipValue, ema, augment, isa, threads } =
      this.#settings
    const normalized = this.#model
      .namedModules()
      .flatMap(([path, module]) => (module instanceof BatchNorm && module.training ? [{ path, module }] : []))
    for (const { path, module } of normalized) {
      if (module.momentum !== null) continue
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `Trainer: ${path}: momentum null (a mean over all batches) is for eager training only`,
      )
    }
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
        buffers: normalized.flatMap(({ path, module }) => [
          { name: `${path}.running_mean`, data: attached(module.runningMean, `${path}.running_mean`) },
          { name: `${path}.running_var`, data: attached(module.runningVar, `${path}.running_var`) },
        ]),
        loss: { kind: loss, labelSmoothing },
        optimizer,
        clipNorm,
        clipValue,
        emaDecay: ema,
        seed: this.#seed,
        augment,
        isa,
        threads,
      },
    )
    const single = graph.nodes.find(
      ({ op, training, shape }) => op === 'batchNorm' && training && elements(shape.slice(1)) === 1,
    )
    return {
      graph,
      trainer,
      outputShape: graphShapes(graph).output,
      leastImages: single ? 2 : 1,
      leastFor: single?.name ?? '',
      setup,
      counts: normalized.map(({ module }) => module.numBatchesTracked),
    }
  }

  /** Checks that a step of so many images can be taken; nothing has changed when it throws. */
  checkBatch(who: string, images: number, { leastImages, leastFor }: Opened): void {
    if (images >= leastImages) return
    throw new KerneletError(
      'ERR_SHAPE',
      `${who}: ${leastFor} expects more than one value a channel while it is trained, but a step of ${images} image ` +
        `has one: take ${leastImages} or more, or let it keep its running statistics with eval()`,
    )
  }

  /** Tells the batch norms of steps taken. */
  countBatches(steps: number): void {
    for (const { data } of this.#opened?.counts ?? []) data[0] = (data[0] as number) + steps
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
    this.#state = state
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

  /** Frees the native memory. */
  dispose(): void {
    this.#opened?.trainer.dispose()
    this.#opened = undefined
  }
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
