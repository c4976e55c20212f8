/** A network made from a list of layers, its weights drawn from a seed. */
import { readdirSync, readFileSync } from 'node:fs'
import { Module } from '../../nn/module.ts'
import { elements } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { unreadable } from '../../util/file.ts'
import { packageFile } from '../../util/package-files.ts'
import { uniform } from '../inputs.ts'
import { layer } from './layers.ts'
import { type LayerList, parseList } from './parse.ts'

/** The same weights in every process and on every machine. */
export class ListedNetwork extends Module {
  readonly inputShape: readonly number[]
  readonly #list: LayerList

  constructor(list: LayerList) {
    super()
    this.#list = list
    this.inputShape = list.inputShape
  }

  forward(x: Tensor): Tensor {
    let drawn = 0
    const kept = new Map<string, Tensor>()
    const draw = (shape: readonly number[], low: number, high: number): Tensor =>
      new Tensor(uniform(elements(shape), low, high, ++drawn), [...shape])
    return this.#list.lines.reduce((value, line) => {
      try {
        return layer(value, line, { draw, kept })
      } catch (error) {
        if (!(error instanceof KerneletError) || error.message.startsWith(line.place)) throw error
        throw new KerneletError(error.code, `${line.place}: ${error.message}`, { cause: error })
      }
    }, x)
  }
}

const folder = packageFile('bench/models')

/** Names of the lists in bench/models. */
export function networkNames(): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith('.txt'))
      .map((file) => file.slice(0, -4))
      .sort()
  } catch {
    return []
  }
}

/**
 * The network of a list.
 *
 * @param path of the list, or a name out of `networkNames()`
 * @throws KerneletError `ERR_IO` for a file that cannot be read, `ERR_FORMAT` for one that is no list
 */
export function readNetwork(path: string): ListedNetwork {
  const file = networkNames().includes(path) ? `${folder}/${path}.txt` : path
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
  return new ListedNetwork(parseList(text, path))
}
