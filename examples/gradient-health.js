/**
 * The two troubles of deep nets, on purpose: a gradient that vanishes and one that explodes, what reports say of them,
 * and what helps. Draws gradient-health.svg. A few seconds:
 *
 *     node examples/gradient-health.js [FILE.svg]
 */
import { writeFileSync } from 'node:fs'
import {
  Dataset,
  DivergedError,
  Generator,
  Linear,
  Module,
  relu,
  SGD,
  sigmoid,
  Tensor,
  Trainer,
} from 'kernelet'

/** Points on three arms of a spiral, x and y; which arm is the class. */
function spirals(count, seed) {
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
  constructor(activation) {
    super()
    const generator = new Generator(1)
    this.activation = activation
    this.hidden = Array.from({ length: 8 }, (_, i) => new Linear(i === 0 ? 2 : 32, 32, { generator }))
    this.output = new Linear(32, 3, { generator })
    // Linear draws from ±√(1/inputs), as PyTorch; He's is ±√(6/inputs).
    for (const { weight } of this.hidden) weight.data.set(weight.data.map((w) => Math.sqrt(6) * w))
  }

  forward(x) {
    for (const layer of this.hidden) x = this.activation(layer.forward(x))
    return this.output.forward(x)
  }
}

const data = spirals(3000, 1)
const unseen = spirals(600, 2)

console.log('1. Vanishing: the same deep net with sigmoid and with ReLU, one epoch')
const byLayer = []
for (const [name, activation] of [
  ['sigmoid', sigmoid],
  ['ReLU', relu],
]) {
  const trainer = new Trainer(new DeepNet(activation), {
    optimizer: new SGD({ lr: 0.05, momentum: 0.9 }),
    seed: 1,
  })
  for await (const { loss, health } of trainer.fit(data, { batchSize: 50 })) {
    const norms = health.layers.map(({ gradientNorm }) => gradientNorm)
    byLayer.push({ name, values: norms })
    console.log(`   ${name}: loss ${loss.toFixed(3)}, gradient norm of each layer, first to last`)
    console.log(`      ${norms.map((norm) => norm.toExponential(1)).join('  ')}`)
    for (const { message } of health.warnings) console.log(`      warning: ${message}`)
  }
}

console.log('\n2. Exploding: a rate far too high, as it is and with gradients clipped to a norm of 1')
const bySteps = []
for (const clipNorm of [undefined, 1]) {
  const name = clipNorm === undefined ? 'as it is' : `clipNorm ${clipNorm}`
  const model = new DeepNet(relu)
  const trainer = new Trainer(model, { optimizer: new SGD({ lr: 0.2, momentum: 0.9 }), clipNorm, seed: 1 })
  const values = []
  try {
    for (let step = 0; step < 300; step++) {
      const from = (step * 50) % data.length
      const batch = new Tensor(data.images.slice(2 * from, 2 * (from + 50)), [50, 2])
      values.push(trainer.step(batch, data.labels.subarray(from, from + 50)).gradientNorm)
    }
  } catch (error) {
    if (!(error instanceof DivergedError)) throw error
    console.log(`   ${name}: ${error.message}`)
  }
  const { accuracy } = await trainer.evaluate(unseen)
  console.log(`   ${name}: ${values.length} steps, ${(100 * accuracy).toFixed(1)} % of unseen points right`)
  bySteps.push({ name, values })
}

const file = process.argv[2] ?? 'gradient-health.svg'
writeFileSync(
  file,
  draw([
    { title: 'Gradient norm by layer', x: 'layer', series: byLayer, dots: true },
    { title: 'Gradient norm by step', x: 'step', series: bySteps, dots: false },
  ]),
)
console.log(`\n${file} shows both.`)

/** Panels side by side, logarithmic upwards; colours for light and dark. */
function draw(panels) {
  const [width, height, top, bottom] = [460, 320, 48, 270]
  const parts = panels.map(({ title, x, series, dots }, i) => {
    const [left, right] = [i * width + 66, (i + 1) * width - 24]
    const all = series.flatMap(({ values }) => values).filter((value) => value > 0)
    const [low, high] = [Math.min(...all), Math.max(...all)].map(Math.log10)
    const [floor, ceiling] = [Math.floor(low), Math.max(Math.floor(low) + 1, Math.ceil(high))]
    const longest = Math.max(...series.map(({ values }) => values.length))
    const across = (k) => left + (k / Math.max(1, longest - 1)) * (right - left)
    const up = (value) => bottom - ((Math.log10(value) - floor) / (ceiling - floor)) * (bottom - top)
    const step = Math.ceil((ceiling - floor) / 8)
    const ticks = Array.from({ length: Math.floor((ceiling - floor) / step) + 1 }, (_, k) => floor + k * step)
    const places = [0, Math.floor((longest - 1) / 2), longest - 1]
    const curves = series.map(({ values }, s) => {
      const shown = values.map((value, k) => [across(k), up(value)]).filter(([, y]) => Number.isFinite(y))
      const way = shown.map((point) => point.map((one) => one.toFixed(1)).join(',')).join(' ')
      const discs = shown.map(
        ([cx, cy]) => `<circle class="f${s}" cx="${cx}" cy="${cy.toFixed(1)}" r="3.5"/>`,
      )
      const last = shown.at(-1)
      const diverged = !dots && values.length < longest
      const end = diverged ? `<text class="t${s}" x="${last[0] + 6}" y="${last[1] + 4}">NaN</text>` : ''
      return `<polyline class="s${s}" points="${way}"/>${dots ? discs.join('') : ''}${end}`
    })
    const legend = series.map(({ name }, s) => `<tspan class="t${s}" dx="12">${name}</tspan>`).join('')
    return `<text class="title" x="${left}" y="28">${title}</text>
<text x="${right}" y="28" text-anchor="end">${legend}</text>
${ticks.map((power) => `<line class="grid" x1="${left}" x2="${right}" y1="${up(10 ** power)}" y2="${up(10 ** power)}"/><text x="${left - 8}" y="${up(10 ** power) + 4}" text-anchor="end">1e${power}</text>`).join('\n')}
${places.map((k) => `<text x="${across(k)}" y="${bottom + 18}" text-anchor="middle">${k + 1}</text>`).join('')}
<text x="${(left + right) / 2}" y="${bottom + 38}" text-anchor="middle">${x}</text>
${curves.join('\n')}`
  })
  const colours = (back, ink, line, a, b) =>
    `.back { fill: ${back} } text { fill: ${ink} } .grid { stroke: ${line} } .s0 { stroke: ${a} } .s1 { stroke: ${b} } .f0, .t0 { fill: ${a} } .f1, .t1 { fill: ${b} }`
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${2 * width}" height="${height}" viewBox="0 0 ${2 * width} ${height}">
<style>
${colours('#ffffff', '#1f2328', '#d1d9e0', '#bc4c00', '#0969da')}
text { font: 12px system-ui, Helvetica, Arial, sans-serif } .title { font-size: 15px; font-weight: 600 }
polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round }
@media (prefers-color-scheme: dark) { ${colours('#0d1117', '#f0f6fc', '#3d444d', '#f0883e', '#4493f8')} }
</style>
<rect class="back" width="100%" height="100%"/>
${parts.join('\n')}
</svg>
`
}
