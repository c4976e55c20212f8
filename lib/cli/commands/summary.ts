import { summary } from '../../graph/summary.ts'
import { LeNet5 } from '../../models/lenet5.ts'
import { LeNet5Original } from '../../models/lenet5-1998/model.ts'
import { LogisticRegression } from '../../models/logistic-regression.ts'
import { Module } from '../../nn/module.ts'
import type { Conv2d } from '../../ops/convolution.ts'
import { flatten, maxPool2d, relu } from '../../ops/index.ts'
import { Linear } from '../../ops/linear.ts'
import { elements } from '../../tensor/shape.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { formatCount } from '../../util/text-table.ts'
import { type Command, EXIT, UsageError } from '../command.ts'
import { didYouMean } from '../suggest.ts'
import { print, printJson } from '../terminal.ts'

export const command: Command = {
  summary: 'show the layers, shapes, parameters and multiply-adds of a model',
  usage: '[options]',
  description: `Prints the layers of a model for one input: what comes out of each, its parameters,
multiply-adds (MACs), and connections as LeCun et al. 1998 count them. Where the input leaves other than
the 256 features that LeNet-5 has after its convolutions, the first linear layer is sized to fit, and a
note says so.`,
  options: {
    model: { type: 'string', value: 'NAME', help: 'lenet5 (the default), lenet5-1998, logistic-regression' },
    input: {
      type: 'string',
      value: 'SHAPE',
      help: "channels x height x width; default: the model's, 1x28x28",
    },
    json: { type: 'boolean', help: 'print a JSON object' },
  },
  examples: [
    ['kernelet summary', 'LeNet-5 as shipped'],
    ['kernelet summary --model lenet5-1998', 'the network of the paper: 60,000 parameters'],
    ['kernelet summary --input 3x128x128', 'the same layers on a larger colour picture'],
  ],
  positionals: false,
  run(values) {
    const name = String(values.model ?? 'lenet5')
    if (!Object.hasOwn(models, name)) {
      throw new UsageError(`summary: unknown model ${name}${didYouMean(name, Object.keys(models))}`)
    }
    const input = readShape(String(values.input ?? (name === 'lenet5-1998' ? '1x32x32' : '1x28x28')))
    const { model, note } = models[name]!(input)
    const result = summary(model, input)
    if (values.json) {
      printJson({ model: name, ...result, note })
    } else {
      print(String(result))
      if (note) print(`\n${note}`)
    }
    return EXIT.ok
  },
}

type Shape = [channels: number, height: number, width: number]

/** The models by name: each for an input. */
const models: Record<string, (input: Shape) => { model: Module; note?: string }> = {
  lenet5,
  'lenet5-1998': () => ({ model: new LeNet5Original() }),
  'logistic-regression': (input) => ({ model: new LogisticRegression(elements(input)) }),
}

/** A first linear layer with more inputs than this would take gigabytes. */
const MOST_FEATURES = 1_000_000

function lenet5(input: Shape): { model: LeNet5; note?: string } {
  const model = new LeNet5(input[0])
  const features = featuresOf(model, input)
  const usual = model.fc1.weight.shape[1]!
  if (features === usual) return { model }
  if (features > MOST_FEATURES) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `fc1: an input of ${input.join('×')} leaves ${formatCount(features)} features after the convolutions, ` +
        `too many for a linear layer (limit ${formatCount(MOST_FEATURES)})`,
    )
  }
  return {
    model: new FittedLeNet5(input[0], features),
    note:
      `Note: fc1 is sized to fit, Linear(${features}, 120). LeNet5's own has ${usual} inputs, for 28×28: ` +
      `it would refuse the ${formatCount(features)} features that ${input.join('×')} leaves.`,
  }
}

/** LeNet-5 whose first linear layer has another number of inputs. */
class FittedLeNet5 extends LeNet5 {
  override readonly fc1: Linear

  constructor(nChannels: number, features: number) {
    super(nChannels)
    this.fc1 = new Linear(features, 120)
  }
}

/** How many numbers are left after the convolutions. */
function featuresOf(model: LeNet5, input: Shape): number {
  return summary(new Convolutions(model), input).layers.at(-1)!.outputShape[0]!
}

/** The part of a LeNet-5 before its linear layers, under the same names. */
class Convolutions extends Module {
  readonly conv1: Conv2d
  readonly conv2: Conv2d

  constructor({ conv1, conv2 }: LeNet5) {
    super()
    this.conv1 = conv1
    this.conv2 = conv2
  }

  forward(x: Tensor): Tensor {
    const y = maxPool2d(relu(this.conv1.forward(x)), 2)
    return flatten(maxPool2d(relu(this.conv2.forward(y)), 2), 1)
  }
}

function readShape(text: string): Shape {
  const sizes = text.split(/[x×]/)
  if (sizes.length !== 3 || !sizes.every((size) => /^[1-9]\d{0,4}$/.test(size))) {
    throw new UsageError(
      `summary: expected --input as channels x height x width, such as 3x128x128, but received ${text}`,
    )
  }
  return sizes.map(Number) as Shape
}
