/** What can be taught in the playground: a network, images, and how. */
import {
  Adam,
  type AugmentOptions,
  Dataset,
  Generator,
  handwriting,
  LeNet5,
  Linear,
  loadMnist,
  Module,
  manualSeed,
  relu,
  SGD,
  sigmoid,
  type Tensor,
  Trainer,
} from 'kernelet'
import type { Opened } from '../inspect/sources.ts'

export type TaskName = 'drawings' | 'mnist' | 'vanishing' | 'exploding'
export const taskNames: readonly TaskName[] = ['drawings', 'mnist', 'vanishing', 'exploding']

/** What is asked for. */
export interface TaskRequest {
  task: TaskName
  /** For the troubles: with what helps. */
  cured: boolean
  /** Folder of MNIST. */
  mnist: string | undefined
  /** Prepared drawings of 28×28, one after the other, with the class of each. */
  drawings: { images: Float32Array; labels: number[]; classes: string[] } | undefined
}

export interface Task {
  network: Module
  trainer: Trainer
  data: Dataset
  /** Never trained with. */
  unseen: Dataset | undefined
  batchSize: number
  /** Steps of the whole run, and between two reports. */
  steps: number
  stride: number
  /** Milliseconds that a report takes at least: a curve that one can watch. */
  pace: number
  /** For looking into it; undefined for networks that take no pictures. */
  opened: Opened | undefined
}

/** @throws KerneletError for files or images that do not fit */
export function makeTask(request: TaskRequest): Task {
  if (request.task === 'mnist') return mnist(request.mnist ?? '')
  if (request.task === 'drawings')
    return drawings(request.drawings ?? { images: new Float32Array(0), labels: [], classes: [] })
  return trouble(request.task, request.cured)
}

function mnist(folder: string): Task {
  const data = loadMnist(folder)
  const all = loadMnist(folder, 'test')
  const unseen = all.subset(Uint32Array.from({ length: Math.min(1000, all.length) }, (_, k) => k))
  return digits(data, unseen, { batchSize: 64, steps: 5000, augment: undefined })
}

function drawings({ images, labels, classes }: NonNullable<TaskRequest['drawings']>): Task {
  const whole = new Dataset({ images, labels, classes, shape: [1, 28, 28] })
  // every fifth of a class is kept to see how it does with what it has not seen
  const seen = new Map<number, number>()
  const [kept, trained]: [number[], number[]] = [[], []]
  for (const [k, label] of labels.entries()) {
    const count = (seen.get(label) ?? 0) + 1
    seen.set(label, count)
    ;(count % 5 === 0 ? kept : trained).push(k)
  }
  const unseen = kept.length > 0 ? whole.subset(Uint32Array.from(kept)) : undefined
  const data = whole.subset(Uint32Array.from(trained))
  return digits(data, unseen, { batchSize: Math.min(32, data.length), steps: 1000, augment: handwriting })
}

function digits(
  data: Dataset,
  unseen: Dataset | undefined,
  how: { batchSize: number; steps: number; augment: AugmentOptions | undefined },
): Task {
  manualSeed(1)
  const network = new LeNet5(1, data.classes.length)
  const { batchSize, steps, augment } = how
  const trainer = new Trainer(network, {
    optimizer: new Adam({ lr: 0.002 }),
    seed: 1,
    threads: 2,
    inputShape: [1, 28, 28],
    augment,
  })
  const opened: Opened = {
    network,
    preparation: { fit: 'digit', colour: 'grey', height: 28, width: 28, mean: [0], std: [1] },
    inputShape: [1, 28, 28],
    labels: data.classes,
    temperature: 1,
    tables: {},
  }
  return { network, trainer, data, unseen, batchSize, steps, stride: 4, pace: 25, opened }
}

/** Points on three arms of a spiral, x and y; which arm is the class. */
function spirals(count: number, seed: number): Dataset {
  const generator = new Generator(seed)
  const labels = Array.from({ length: count }, (_, i) => i % 3)
  const points = labels.flatMap((arm) => {
    const along = generator.uniform(0.1, 1)
    const angle = 4 * along + (2 * Math.PI * arm) / 3 + generator.uniform(-0.15, 0.15)
    return [2 * along * Math.cos(angle), 2 * along * Math.sin(angle)]
  })
  return new Dataset({ images: Float32Array.from(points), labels, shape: [2] })
}

/** Nine layers, with first weights as He et al. 2015 draw them for ReLU. */
class DeepNet extends Module {
  readonly hidden: readonly Linear[]
  readonly output: Linear
  readonly #activation: (x: Tensor) => Tensor

  constructor(activation: (x: Tensor) => Tensor) {
    super()
    const generator = new Generator(1)
    this.#activation = activation
    this.hidden = Array.from({ length: 8 }, (_, i) => new Linear(i === 0 ? 2 : 32, 32, { generator }))
    this.output = new Linear(32, 3, { generator })
    // Linear draws from ±√(1/inputs), as PyTorch; He's is ±√(6/inputs)
    for (const { weight } of this.hidden) weight.data.set(weight.data.map((w) => Math.sqrt(6) * w))
  }

  forward(x: Tensor): Tensor {
    let y = x
    for (const layer of this.hidden) y = this.#activation(layer.forward(y))
    return this.output.forward(y)
  }
}

function trouble(task: 'vanishing' | 'exploding', cured: boolean): Task {
  const vanishing = task === 'vanishing'
  const network = new DeepNet(vanishing && !cured ? sigmoid : relu)
  const trainer = new Trainer(network, {
    optimizer: new SGD({ lr: vanishing ? 0.05 : 0.3, momentum: 0.9 }),
    clipNorm: !vanishing && cured ? 1 : undefined,
    seed: 1,
    threads: 1,
    inputShape: [2],
  })
  return {
    network,
    trainer,
    data: spirals(3000, 1),
    unseen: spirals(600, 2),
    batchSize: 50,
    steps: 300,
    stride: 2,
    pace: 20,
    opened: undefined,
  }
}
