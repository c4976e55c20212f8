/** The networks that can be looked into, and how each is opened. */
import { readFileSync } from 'node:fs'
import {
  Classifier,
  KerneletError,
  LeNet5Original,
  loadOnnx,
  type Module,
  type Preparation,
  readSafetensors,
} from 'kernelet'
import { isOnnx, ownNetwork, shipped } from '../../models/open.ts'

/** The networks that come with kernelet, by names that no model of the server can have. */
export const builtIn = { '@lenet5': 'LeNet-5', '@lenet5-1998': 'LeNet-5 of 1998' } as const

/** A network with all it takes to look into it. */
export interface Opened {
  network: Module
  preparation: Preparation
  /** [channels, height, width] */
  inputShape: readonly number[]
  labels: readonly string[]
  /** Scores are divided by this before softmax. */
  temperature: number
  /** Which of the maps each map of a layer sees, by layer, where that is not all. */
  tables: Record<string, readonly (readonly number[])[]>
}

/**
 * @param id of a built-in network, or any name
 * @param file undefined: the shipped digits
 * @throws KerneletError ERR_UNSUPPORTED for networks that take no pictures
 */
export function openSource(id: string, file: string | undefined): Opened {
  if (id === '@lenet5-1998') return openOriginal()
  const path = file ?? shipped
  const bytes = readFileSync(path)
  if (isOnnx(bytes)) return openOnnx(path)
  const { labels, inputShape, preparation } = describe(bytes)
  const { network, temperature } = ownNetwork(bytes, inputShape[0] ?? 1, labels.length)
  const tables = network instanceof LeNet5Original ? { c3: network.c3.table } : {}
  return { network, preparation, inputShape, labels, temperature, tables }
}

function openOriginal(): Opened {
  const network = LeNet5Original.pretrained()
  const { metadata } = readSafetensors(originalFile)
  const number = (name: string): number => Number(metadata.get(name))
  return {
    network,
    preparation: {
      fit: 'digit',
      colour: 'grey',
      height: 28,
      width: 28,
      mean: [number('mean')],
      std: [number('std')],
    },
    inputShape: [1, 28, 28],
    labels: Array.from({ length: 10 }, (_, digit) => String(digit)),
    temperature: 1,
    tables: { c3: network.c3.table },
  }
}

const originalFile = shipped.replace('lenet5-mnist', 'lenet5-1998-mnist')

function openOnnx(path: string): Opened {
  const network = loadOnnx(path)
  const [input] = network.inputs
  const shape = (input?.shape ?? []).slice(1).map(Number)
  const fixed = shape.length === 3 && shape.every((side) => Number.isInteger(side) && side > 0)
  if (network.inputs.length !== 1 || !fixed || (shape[0] !== 1 && shape[0] !== 3)) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `Only networks of one picture, 1×height×width or 3×height×width, can be looked into, but this one takes ` +
        network.inputs.map(({ name, type, shape: own }) => `${name}: ${type} [${own}]`).join(', '),
    )
  }
  try {
    const { labels, preparation, inputShape } = describe(path)
    return { network, preparation, inputShape, labels, temperature: 1, tables: {} }
  } catch (error) {
    // no classifier: the outputs are shown as they are
    if (!(error instanceof KerneletError)) throw error
    const [channels = 1, height = 1, width = 1] = shape
    const preparation = plainPreparation(channels, height, width)
    return { network, preparation, inputShape: shape, labels: [], temperature: 1, tables: {} }
  }
}

/** A picture's values of 0 … 1 as they are. */
function plainPreparation(channels: number, height: number, width: number): Preparation {
  const each = (value: number): number[] => new Array<number>(channels).fill(value)
  return { fit: 'crop', colour: channels === 1 ? 'grey' : 'rgb', height, width, mean: each(0), std: each(1) }
}

function describe(source: string | Uint8Array): Pick<Opened, 'labels' | 'inputShape' | 'preparation'> {
  const classifier = Classifier.load(source)
  const { labels, inputShape, preparation } = classifier
  classifier.dispose()
  return { labels, inputShape, preparation }
}
