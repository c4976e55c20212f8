/** The lists of layers that `kernelet bench models` makes its networks of. */
import { describe, expect, test } from 'vitest'
import { ListedNetwork, networkNames, readNetwork } from '../lib/bench/networks/network.ts'
import { parseList } from '../lib/bench/networks/parse.ts'
import { Roof } from '../lib/bench/roof.ts'
import { boundOf, costsOf } from '../lib/bench/step-costs.ts'
import { isa, saveOnnx, summary } from '../lib/index.ts'

const network = (text: string) => new ListedNetwork(parseList(text, 'list'))

/** As the papers and torchvision count them. */
const published: Record<string, [parameters: number, classes: number]> = {
  lenet5: [44_426, 10],
  'mnist-example': [1_199_882, 10],
  resnet8: [78_042, 10],
  'squeezenet1.1': [1_235_496, 1000],
  'shufflenet-v2': [2_278_604, 1000],
  'mobilenet-v2': [3_504_872, 1000],
  'mobilenet-v3-small': [2_542_856, 1000],
  'efficientnet-b0': [5_288_548, 1000],
  resnet18: [11_689_512, 1000],
}

describe('networks', () => {
  test.each(Object.entries(published))('%s has as many parameters as published', (name, [count, classes]) => {
    const net = readNetwork(name)
    const { parameters, layers } = summary(net, net.inputShape)
    expect(parameters).toBe(count)
    expect(layers.at(-1)!.outputShape).toEqual([classes])
  })

  test('every list can be read; small ones compile, with the same weights each time', () => {
    expect(networkNames()).toEqual(
      expect.arrayContaining([
        'autoencoder',
        'detector',
        'ds-cnn',
        'mobilenet-v1-0.25',
        'resnet50',
        'unet',
        'vgg11',
      ]),
    )
    for (const name of ['autoencoder', 'detector', 'ds-cnn', 'mobilenet-v1-0.25', 'unet']) {
      const net = readNetwork(name)
      using model = net.compile({ inputShape: net.inputShape })
      const image = new Float32Array(net.inputShape.reduce((a, b) => a * b)).fill(0.5)
      const output = model.run(image).slice()
      expect(output.some((value) => value !== 0)).toBe(true)
      expect(output.every((value) => Math.abs(value) < 1e4)).toBe(true)
      using again = readNetwork(name).compile({ inputShape: net.inputShape })
      expect(again.run(image)).toEqual(output)
    }
  })

  test('every kind of layer, and repetition: the stride is the first one’s', () => {
    const net = network(`input 3x20x20   # comment
      conv 8 k3 s2 bn relu x2
      depthwise k5 tanh
      keep a
      basic 8 s1
      add a relu
      bottleneck 8 m4
      separable 16 bn relu6
      inverted 16 t2 q4 hardswish
      fire 16
      shuffle 16 s2 x2
      avg k2 s1
      resize 2
      up 4 k2 sigmoid
      keep b
      conv 4 g2 d2 k3 clip
      cat b
      go b
      max k3 s2 p1 ceil
      mean
      linear 5`)
    const shapes = summary(net, net.inputShape).layers.map(({ outputShape }) => outputShape.join())
    expect(shapes[0]).toBe('8,10,10')
    expect(shapes.at(-1)).toBe('5')
    expect(saveOnnx(net).length).toBeGreaterThan(1000)
  })

  test.each([
    ['conv 3', /^list:1: the first line must be an input/],
    ['input 3x0x2\nconv 3', /^list:1: expected a shape such as 3x224x224 but received '3x0x2'/],
    ['input 3x8x8', /^list: there are no layers/],
    ['input 3x8x8\n\nconvolve 3', /^list:3: there is no layer 'convolve'; there are conv, /],
    ['input 3x8x8\nconv k3', /^list:2: conv takes a number/],
    ['input 3x8x8\nconv 4 gelo', /^list:2: 'gelo' is no activation/],
    ['input 3x8x8\nconv 4 k', /^list:2: 'k' is no activation/],
    ['input 3x8x8\nconv 4 k-3', /^list:2: expected a word, or a letter and a number, at 'k-3'/],
    ['input 3x8x8\nconv 4 k0', /^list:2: k0 must not be 0/],
    ['input 3x8x8\nconv 99999', /^list:2: 99999 is larger than/],
    ['input 3x8x8\nconv 4 x9999', /^list:2: more than 2000 layers/],
    ['input 3x8x8\ncat a', /^list:2: 'a' was not kept; there are none/],
    ['input 3x8x8\nkeep', /^list:2: keep takes one name/],
    ['input 3x8x8\nconv 4 g2', /^list:2: .*/],
    ['input 3x8x8\nconstructor', /^list:2: there is no layer 'constructor'/],
  ])('%j is refused by its line', (text, message) => {
    expect(() => summary(network(text), [3, 8, 8])).toThrow(
      expect.objectContaining({ name: 'KerneletError', message: expect.stringMatching(message) }),
    )
  })
})

describe('costs of steps', () => {
  test('operations without padding, weights, values; the bound of a network', () => {
    const net = network('input 3x8x8\nconv 16 k3 relu\nkeep a\nconv 16 k3\nadd a\nmean\nlinear 4')
    using model = net.compile({ inputShape: net.inputShape, threads: 1 })
    const costs = model.describe().steps.map(costsOf)
    // of 8 rows, 22 row taps and as many columns: (3 · 8 - 2)²
    expect(costs[0]!.flops).toBe(2 * 3 * 16 * 22 * 22)
    expect(costs[0]!.weights).toBe(4 * 16 * (3 * 9 + 1))
    expect(costs[0]!.values).toBe(4 * 64 * (3 + 16))
    expect(costs.reduce((sum, { flops }) => sum + flops, 0)).toBe(
      2 * (3 * 16 * 22 * 22 + 16 * 16 * 22 * 22 + 16 * 4),
    )
    const roof = new Roof(isa().chosen)
    // at 1 GFLOP/s, an operation a nanosecond, nothing waits for weights
    expect(boundOf(costs, 3, 1, roof)).toBe(3 * costs.reduce((sum, { flops }) => sum + flops, 0))
    expect(boundOf(costs, 3, 1e12, roof)).toBeGreaterThan(0)
  })
})
