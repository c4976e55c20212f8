/**
 * Feeds inputs to one target until it is told to stop; see supervisor.mjs, whose child this is. Before every input its
 * number goes into a file, so that whatever happens it is known which one it was.
 */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../util.mjs'
import { megabytes, tooLarge } from './limits.mjs'
import { Random, seedOf } from './random.mjs'

const { target: name, seed, from, to, stateFile, inputFile, files } = JSON.parse(process.argv[2])
const kernelet = await import(pathToFileURL(join(root, 'dist/index.js')).href)
const target = await import(new URL(`${name}.mjs`, import.meta.url).href)
// Nothing here may reach out of this machine, and what makes files without being told where makes them here.
process.chdir(dirname(stateFile))
globalThis.fetch = () => Promise.reject(new TypeError('fetch failed'))

const state = await target.prepare(kernelet, seed)
const stateHandle = openSync(stateFile, 'w')
const cell = new Float64Array(1)
const cellBytes = new Uint8Array(cell.buffer)

/** @returns what is wrong, undefined when all is well */
async function feed(input, random) {
  try {
    const pending = target.read(state, input, random)
    if (pending instanceof Promise) await pending
  } catch (error) {
    if (error instanceof kernelet.KerneletError && error.code !== 'ERR_INTERNAL') return undefined
    return String(error?.stack ?? error)
  }
  return undefined
}

let told = Date.now()
for (let index = from; index < to; index++) {
  cell[0] = index
  writeSync(stateHandle, cellBytes, 0, 8, 0)
  const random = new Random(seedOf(seed, index))
  const input = files ? readFileSync(files[index]) : target.make(state, random)
  if (inputFile) {
    writeFileSync(inputFile, input)
    writeFileSync(`${inputFile}.txt`, target.describe?.(state, input) ?? '')
  }
  const failure = await feed(input, random)
  if (failure !== undefined) {
    const text = target.describe?.(state, input) ?? ''
    process.send({ index, failure: `${failure}\n${text}`, input: Buffer.from(input).toString('base64') })
  }
  // it only ever grows: the supervisor looks whether this input alone does it
  if (megabytes() > tooLarge) process.exit(3)
  if (Date.now() - told > 200) {
    told = Date.now()
    process.send({ done: index + 1 })
    await new Promise((turn) => setImmediate(turn))
  }
}
target.finish?.(state)
closeSync(stateHandle)
process.send({ done: to, finished: true }, () => process.exit(0))
