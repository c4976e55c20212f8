/**
 * node bench/pictures.mjs [--sharp FOLDER]: what pictures cost, from a file to its digit. Makes its pictures in a
 * temporary folder; JPEG where the package sharp is found, here or in FOLDER.
 *
 *   - CPU time of all threads for one large picture after another, on one thread
 *   - delay of the event loop (perf_hooks.monitorEventLoopDelay, resolution 1 ms) while twenty of 12 megapixels are read
 *   - small PNG files a second, in one process, on all cores
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { encode } from 'fast-png'
import './script.mjs'

const { values } = parseArgs({ options: { sharp: { type: 'string' } } })
const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'kernelet-pictures-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const sharp = findSharp()
const { DigitClassifier, setPictureThreads } = await import(library())

/** sharp, where it is. */
function findSharp() {
  try {
    return createRequire(join(resolve(values.sharp ?? root), 'x.js'))('sharp')
  } catch {
    return undefined
  }
}

/** kernelet finds sharp beside itself: where it lies elsewhere, a copy of the package is put beside it. */
function library() {
  if (values.sharp === undefined) return pathToFileURL(join(root, 'dist/index.js')).href
  const modules = join(folder, 'node_modules')
  const copy = join(modules, 'kernelet')
  mkdirSync(copy, { recursive: true })
  for (const part of ['dist', 'models', 'package.json'])
    cpSync(join(root, part), join(copy, part), { recursive: true })
  symlinkSync(join(root, 'build'), join(copy, 'build'))
  symlinkSync(join(root, 'node_modules/node-gyp-build'), join(modules, 'node-gyp-build'))
  symlinkSync(join(resolve(values.sharp), 'node_modules/sharp'), join(modules, 'sharp'))
  return pathToFileURL(join(copy, 'dist/index.js')).href
}

/** A seven in blue ink on paper that is lit from one side, with the grain of a camera. */
function page(width, height) {
  const data = new Uint8Array(width * height * 3)
  const side = Math.min(width, height) * 0.3
  let seed = width
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p += 3) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      const grain = ((seed >>> 24) + ((seed >>> 16) & 255) + ((seed >>> 8) & 255) - 384) / 60
      const light = 225 - (40 * (x + y)) / (width + height)
      const [u, v] = [(x - width / 2) / side, (y - height / 2) / side]
      const bar = Math.abs(v + 0.9) < 0.12 && Math.abs(u) < 0.7
      const stem = Math.abs(v) < 1 && Math.abs(u - 0.6 + (v + 0.9) * 0.4) < 0.13
      const [red, green, blue] = bar || stem ? [40, 45, 90] : [light, light - 3, light - 12]
      data[p] = red + grain
      data[p + 1] = green + grain
      data[p + 2] = blue + grain
    }
  }
  return { data, width, height, channels: 3 }
}

async function write(name, picture) {
  const path = join(folder, name)
  const raw = { width: picture.width, height: picture.height, channels: 3 }
  if (sharp === undefined) {
    if (name.endsWith('.jpg')) return undefined
    writeFileSync(path, encode(picture))
  } else if (name.endsWith('.jpg')) await sharp(picture.data, { raw }).jpeg({ quality: 85 }).toFile(path)
  // with the filters that most programs choose row by row
  else await sharp(picture.data, { raw }).png({ adaptiveFiltering: true }).toFile(path)
  return path
}

const large = []
for (const [name, width, height] of [
  ['1600x1200.png', 1600, 1200],
  ['3456x3456.jpg', 3456, 3456],
  ['4000x3000.png', 4000, 3000],
  ['4000x3000.jpg', 4000, 3000],
]) {
  const path = await write(name, page(width, height))
  if (path) large.push([name, path])
  else console.log(`${name}: left out, as sharp is not installed`)
}

const digits = DigitClassifier.load()
setPictureThreads(1)
for (const [name, path] of large) {
  for (let i = 0; i < 15; i++) await digits.classifyFile(path)
  const count = 20
  const before = process.cpuUsage()
  for (let i = 0; i < count; i++) await digits.classifyFile(path)
  const { user, system } = process.cpuUsage(before)
  console.log(`${name}: ${((user + system) / 1000 / count).toFixed(1)} ms of CPU, file to digit`)
}

setPictureThreads(availableParallelism())
for (const [name, path] of large.filter(([name]) => name.startsWith('4000'))) {
  await digits.classifyFile(path)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  await Promise.all(Array.from({ length: 20 }, () => digits.classifyFile(path)))
  const seconds = (performance.now() - start) / 1000
  delay.disable()
  const [p50, p99, most] = [delay.percentile(50), delay.percentile(99), delay.max].map((ns) =>
    (ns / 1e6).toFixed(1),
  )
  console.log(
    `20 × ${name} in ${seconds.toFixed(2)} s: event-loop delay p50 ${p50}, p99 ${p99}, max ${most} ms (1 ms of it the timer's)`,
  )
}

const small = join(folder, 'small')
mkdirSync(small)
const paths = []
for (let i = 0; i < 5000; i++) {
  const { data } = page(40, 40)
  const path = join(small, `${i}.png`)
  // each a little different
  data[i % data.length] ^= 1
  const grey = Uint8Array.from({ length: 1600 }, (_, k) => data[3 * k])
  writeFileSync(path, encode({ data: grey, width: 40, height: 40, channels: 1 }))
  paths.push(path)
}
await Promise.all(paths.slice(0, 500).map((path) => digits.classifyFile(path)))
const start = performance.now()
await Promise.all(paths.map((path) => digits.classifyFile(path)))
const rate = (1000 * paths.length) / (performance.now() - start)
console.log(
  `40×40 PNG files: ${Math.round(rate).toLocaleString('en')} a second, one process, ${availableParallelism()} cores`,
)
