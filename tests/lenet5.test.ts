/** LeNet-5 as a whole: against PyTorch on real digits, and on all of MNIST's test set. */
import { describe, expect, test } from 'vitest'
import {
  activations,
  compile,
  flatten,
  isa,
  LeNet5,
  loadSafetensors,
  maxPool2d,
  relu,
  type Tensor,
} from '../lib/index.ts'
import {
  argmax,
  bitsOf,
  integersOf,
  largestError,
  lenet5Golden,
  lenet5Reference,
  mnistTest,
  tensorOf,
} from './helpers.ts'

const inputShape = [1, 28, 28]

test('compiled LeNet-5 has two fused conv + relu + maxpool steps and three linear steps', () => {
  using net = new LeNet5().compile({ inputShape })
  const { steps, parameters, macs, outputShape } = net.describe()
  expect(steps.map((step) => step.ops)).toEqual([
    ['conv2d', 'relu', 'maxPool2d'],
    ['conv2d', 'relu', 'maxPool2d'],
    ['linear', 'relu'],
    ['linear', 'relu'],
    ['linear'],
  ])
  expect(steps.map((step) => step.names[0])).toEqual(['conv1', 'conv2', 'fc1', 'fc2', 'fc3'])
  expect({ parameters, macs, outputShape }).toEqual({ parameters: 44426, macs: 281640, outputShape: [10] })
  expect(String(net.describe())).toContain('conv1 + relu_1 + maxPool2d_1')
})

test('every shipped weight has PyTorch’s name and shape', () => {
  const shapes = [...LeNet5.pretrained().stateDict()].map(([name, { shape }]) => [name, [...shape]])
  expect(shapes).toEqual([
    ['conv1.weight', [6, 1, 5, 5]],
    ['conv1.bias', [6]],
    ['conv2.weight', [16, 6, 5, 5]],
    ['conv2.bias', [16]],
    ['fc1.weight', [120, 256]],
    ['fc1.bias', [120]],
    ['fc2.weight', [84, 120]],
    ['fc2.bias', [84]],
    ['fc3.weight', [10, 84]],
    ['fc3.bias', [10]],
  ])
})

test('other channels and classes, and subclasses', () => {
  class Letters extends LeNet5 {
    constructor() {
      super(3, 26)
    }
  }
  using net = new Letters().compile({ inputShape: [3, 28, 28] })
  expect(net.run(new Float32Array(2 * 3 * 784))).toHaveLength(52)
  expect(() => Letters.pretrained()).toThrow(/conv1\.weight.*1×5×5[\s\S]*fc3\.bias/)
})

const golden = lenet5Golden()
const reference = lenet5Reference()

function trainedByPyTorch(): LeNet5 {
  const model = new LeNet5()
  model.loadStateDict(loadSafetensors(reference!))
  return model
}

describe.skipIf(!golden)('16 real digits', () => {
  const input = golden && tensorOf(golden, 'input')
  const labels = golden && integersOf(golden, 'target')

  // Values reach 15, where one unit in the last place is 9.5e-7. Measured 3.8e-6, allowed about twice that.
  test('every activation, eager', () => {
    const model = trainedByPyTorch()
    const check = (name: string, value: Tensor): Tensor => {
      const expected = tensorOf(golden!, name)
      expect([...value.shape], name).toEqual([...expected.shape])
      expect(largestError(value.data, expected.data), name).toBeLessThanOrEqual(8e-6)
      return value
    }
    const conv1 = check('activation.conv1', model.conv1.forward(input!))
    const pool1 = check('activation.pool1', maxPool2d(relu(conv1), 2))
    const conv2 = check('activation.conv2', model.conv2.forward(pool1))
    const pool2 = check('activation.pool2', maxPool2d(relu(conv2), 2))
    const fc1 = check('activation.fc1', relu(model.fc1.forward(flatten(pool2, 1))))
    const fc2 = check('activation.fc2', relu(model.fc2.forward(fc1)))
    check('logits', model.fc3.forward(fc2))
  })

  test('activations by name, the same as PyTorch’s and as those of a compiled model', () => {
    const model = trainedByPyTorch()
    const steps = activations(model, input!)
    for (const [name, step] of [
      ...[['conv1'], ['pool1', 'maxPool2d_1'], ['conv2'], ['pool2', 'maxPool2d_2']],
      ...[
        ['fc1', 'relu_3'],
        ['fc2', 'relu_4'],
      ],
    ]) {
      const expected = tensorOf(golden!, `activation.${name}`)
      const actual = steps.get(step ?? name!)!
      expect([...actual.shape]).toEqual([...expected.shape])
      expect(largestError(actual.data, expected.data), name).toBeLessThanOrEqual(8e-6)
    }
    using net = model.compile({ inputShape })
    expect(bitsOf(steps.get('fc3')!.data)).toEqual(bitsOf(net.run(input!)))
  })

  test.each(isa().supported)('logits, compiled for %s', (tier) => {
    using net = trainedByPyTorch().compile({ inputShape, isa: tier })
    const logits = net.run(input!)
    const expected = tensorOf(golden!, 'logits').data
    expect(largestError(logits, expected)).toBeLessThanOrEqual(8e-6)
    for (const [i, label] of labels!.entries()) {
      expect(argmax(logits.subarray(i * 10, i * 10 + 10))).toBe(label)
    }
  })
})

const mnist = mnistTest()
/** Of the 10,000 MNIST test images, those that a model reads rightly. */
function right(model: LeNet5): number {
  using net = compile(model, { inputShape })
  const { images, labels } = mnist!
  const logits = net.run(images)
  return labels.filter((label, i) => argmax(logits.subarray(i * 10, i * 10 + 10)) === label).length
}

test.skipIf(!mnist || !reference)('9,864 of the 10,000 MNIST test images, as with PyTorch', () => {
  expect(right(trainedByPyTorch())).toBe(9864)
})

test.skipIf(!mnist)('the shipped weights: as many as the model card says', () => {
  expect(right(LeNet5.pretrained())).toBe(9957)
})
