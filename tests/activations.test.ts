/** What every step gives, and the picture of it. */
import { readFileSync } from 'node:fs'
import { decode } from 'fast-png'
import { describe, expect, test } from 'vitest'
import {
  activations,
  add,
  Conv2d,
  cat,
  DigitClassifier,
  flatten,
  LeNet5,
  Linear,
  Module,
  normalizeDigit,
  relu,
  softmax,
  Tensor,
  trace,
} from '../lib/index.ts'
import { explain } from '../lib/vision/digits/explain.ts'
import { decodePicture } from '../lib/vision/picture/decode.ts'
import { bitsOf, noise, root } from './helpers.ts'

class Net extends Module {
  readonly a: Conv2d = new Conv2d(2, 3, { kernelSize: 3, padding: 1 })
  readonly fc: Linear = new Linear(200, 4)

  forward(x: Tensor): Tensor {
    const y = cat([add(relu(this.a.forward(x)), this.a.forward(x)), x], 1)
    return softmax(this.fc.forward(flatten(y, 1)), 1)
  }
}

describe('activations', () => {
  const batch = 3
  const x = new Tensor(noise(batch * 2 * 5 * 8), [batch, 2, 5, 8])

  test('every step in order, named as in trace, with the batch in front', () => {
    const net = new Net()
    const graph = trace(net, [2, 5, 8])
    const steps = activations(net, x)
    expect([...steps.keys()]).toEqual(graph.nodes.map(({ name }) => name))
    expect([...steps.keys()]).toEqual([
      ...['input', 'a', 'relu_1', 'a_2', 'add_1', 'concat_1', 'flatten_1', 'fc', 'softmax_1'],
    ])
    for (const { name, shape } of graph.nodes) expect(steps.get(name)!.shape).toEqual([batch, ...shape])
    expect(activations(graph, x)).toEqual(steps)
  })

  test('the numbers of eager calls and of the compiled model, for every image', () => {
    const net = new Net()
    const steps = activations(net, x)
    expect(bitsOf(steps.get('a')!.data)).toEqual(bitsOf(net.a.forward(x).data))
    expect(bitsOf(steps.get('concat_1')!.data)).toEqual(
      bitsOf(cat([add(relu(net.a.forward(x)), net.a.forward(x)), x], 1).data),
    )
    using model = net.compile({ inputShape: [2, 5, 8] })
    expect(bitsOf(steps.get('softmax_1')!.data)).toEqual(bitsOf(model.run(x)))
  })

  test('what does not fit', () => {
    const net = new Net()
    expect(() => activations(trace(net, [2, 5, 8]), new Tensor(new Float32Array(80), [2, 5, 8]))).toThrow(
      'expected a batch of 2×5×8, batch×2×5×8, but received 2×5×8',
    )
    expect(() => activations(net, new Tensor(noise(80), [1, 2, 8, 5]))).not.toThrow()
    expect(() => activations(net, new Tensor(noise(40), [1, 1, 5, 8]))).toThrow(/^a: Conv2d expects 2 input/)
    expect(() => activations(net, noise(80) as never)).toThrow('but received a Net and a Float32Array')
    expect(() => activations(7 as never, x)).toThrow('but received 7 and a Tensor')
    expect(() => activations(net, new Tensor(Float32Array.of(1), []))).toThrow(
      expect.objectContaining({ name: 'KerneletError' }),
    )
  })
})

describe('the picture of a digit', () => {
  const file = `${root}/examples/digits/7-red-pen-on-grey-paper.png`
  const pixels = decodePicture(readFileSync(file))
  const { digit, confidence, svg } = explain(pixels, 'a "7" <b>')
  const images = [...svg.matchAll(/<image [^>]*width="([\d.]+)"[^>]*base64,([^"]+)"/g)].map(
    ([, width, data]) => ({
      ...decode(Buffer.from(data!, 'base64')),
      drawn: Number(width),
    }),
  )

  test('says what the classifier says, in escaped words', () => {
    using classifier = DigitClassifier.load()
    const answer = classifier.classify(pixels)
    expect(digit).toBe(7)
    expect(digit).toBe(answer.digit)
    expect(Math.abs(confidence - answer.confidence)).toBeLessThan(1e-6)
    expect(svg).toContain(`a &quot;7&quot; &lt;b&gt;: 7, ${(100 * answer.confidence).toFixed(1)} %`)
    expect(svg).not.toContain('<b>')
    for (const name of ['conv1.weight', 'conv1', 'relu_1', 'maxPool2d_1', 'conv2.weight', 'fc1', 'fc3']) {
      expect(svg).toContain(`>${name}</text>`)
    }
  })

  test('shows the picture, what the network sees, filters and feature maps', () => {
    // picture, 28×28, legend; 4 × 6 tiles of the first block, 4 × 16 of the second; fc1, relu, fc2, relu, fc3
    expect(images).toHaveLength(3 + 4 * 6 + 4 * 16 + 5)
    const [picture, seen] = images
    expect([...picture!.data.subarray(0, 3)]).toEqual([...pixels.data.subarray(0, 3)])
    const { image } = normalizeDigit(pixels)
    const times = seen!.width / 28
    for (const [i, value] of image!.entries()) {
      const [row, column] = [Math.floor(i / 28) * times, (i % 28) * times]
      expect(seen!.data[4 * (row * seen!.width + column)]).toBe(Math.round(255 * value))
    }
  })

  test('colours are the numbers: blue above zero, orange below, opaque at the largest', () => {
    const { image } = normalizeDigit(pixels)
    const steps = activations(LeNet5.pretrained(), new Tensor(image!, [1, 1, 28, 28]))
    const conv1 = steps.get('conv1')!.data
    const largest = Math.max(...conv1.map(Math.abs))
    for (let channel = 0; channel < 6; channel++) {
      const tile = images[3 + 6 + channel]!
      const times = tile.width / 24
      expect(tile.drawn).toBe(tile.width)
      for (let i = 0; i < 576; i++) {
        const value = conv1[channel * 576 + i]!
        // the last pixel of the cell
        const [row, column] = [(Math.floor(i / 24) + 1) * times - 1, ((i % 24) + 1) * times - 1]
        const [red, , blue, alpha] = tile.data.subarray(4 * (row * tile.width + column))
        expect(alpha).toBe(Math.round((255 * Math.abs(value)) / largest))
        expect(blue! > red!).toBe(value >= 0)
      }
    }
  })

  test('a picture with transparency lies on white; one without a digit is refused', () => {
    const clear = { data: new Uint8Array(4 * 400), width: 20, height: 20, channels: 4 }
    expect(() => explain(clear, 'empty.png')).toThrow(
      expect.objectContaining({
        code: 'ERR_UNSUPPORTED',
        message: expect.stringMatching(/^empty.png: no digit/),
      }),
    )
    const transparent = decodePicture(readFileSync(`${root}/examples/digits/6-transparent-background.png`))
    const drawn = /<image [^>]*base64,([^"]+)"/.exec(explain(transparent, 'six').svg)![1]!
    const { data } = decode(Buffer.from(drawn, 'base64'))
    expect([...data.subarray(0, 4)]).toEqual([255, 255, 255, 255])
  })
})
