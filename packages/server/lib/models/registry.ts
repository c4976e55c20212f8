/**
 * The models that are served, by name and version. A file that is loaded again is opened beside the one that serves,
 * and takes its place between two batches; one that cannot be opened leaves the other serving.
 */
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Classifier, KerneletError } from 'kernelet'
import { messageOf, overloaded, RequestError, tooMany, unreadableFor } from '../errors.ts'
import type { BatcherOptions } from './batcher.ts'
import type { Measures } from './measures.ts'
import { type Open, type Opened, openModel } from './open.ts'
import type { Engine } from './served.ts'

/** A version of a model, ready. */
export class ServedModel {
  readonly name: string
  readonly version: string
  readonly engine: Engine
  /** What reads pictures with it, where it can. */
  readonly classifier: Classifier | undefined
  #users = 0
  #pictures = 0
  #free: (() => void) | undefined

  constructor(name: string, version: string, { engine, classifier }: Opened) {
    this.name = name
    this.version = version
    this.engine = engine
    this.classifier = classifier
  }

  /** Images that wait, and pictures whose request has not been answered. */
  get waiting(): number {
    return this.engine.waiting + this.#pictures
  }

  /**
   * Work on so many pictures, which takes turns with other work: the model is there until it ends.
   *
   * @param queue images that may wait
   * @throws RequestError too_large for pictures that no queue would hold, overloaded when it is full
   */
  async use<T>(pictures: number, queue: number, work: () => Promise<T>): Promise<T> {
    if (pictures > queue) throw tooMany(pictures, queue)
    if (this.waiting + pictures > queue) throw overloaded(this.waiting, queue)
    this.#users++
    this.#pictures += pictures
    try {
      return await work()
    } finally {
      this.#pictures -= pictures
      if (--this.#users === 0) this.#free?.()
    }
  }

  /** Resolves when no request waits or runs. */
  async drained(): Promise<void> {
    if (this.#users > 0) await new Promise<void>((resolve) => (this.#free = resolve))
    await this.engine.drained()
  }

  dispose(): void {
    this.engine.dispose()
    this.classifier?.dispose()
  }
}

/** A line of the repository's index. */
export interface IndexEntry {
  name: string
  version: string
  state: 'READY' | 'UNAVAILABLE'
  reason: string
}

/** What the registry tells while it works. */
export interface RegistryEvents {
  loaded(name: string, version: string, milliseconds: number): void
  failed(name: string, version: string, error: unknown): void
  unloaded(name: string): void
}

export interface RegistryOptions extends BatcherOptions {
  threads: number
  /** Files by name; undefined is the shipped digits. */
  models: ReadonlyMap<string, string | undefined>
  /** A folder of NAME.onnx, NAME.safetensors or NAME/VERSION/model.onnx. */
  folder: string | undefined
  measures(model: string): Measures
  events: RegistryEvents
  open?: Open | undefined
}

/** Names that a model or version may have: none leads out of a folder. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const VERSION = /^[1-9]\d{0,8}$/
const FILE = /\.(onnx|safetensors)$/

interface Source {
  version: string
  file: string | undefined
  /** Changes with the file. */
  stamp: string
}

interface Model {
  /** Ready ones, by version. */
  readonly ready: Map<string, { served: ServedModel; stamp: string }>
  /** Why versions are not, or no longer as the file is. */
  readonly faults: Map<string, { reason: string; stamp: string }>
  /** Loads and unloads of one model run one after another. */
  last: Promise<unknown>
  /** Taken out by the repository's unload. */
  unloaded: boolean
}

export class Registry {
  readonly #options: RegistryOptions
  readonly #models = new Map<string, Model>()

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  /**
   * Opens all models there are.
   *
   * @param except those that are to stay unloaded
   * @throws what the first file that cannot be opened throws: a server begins whole or not at all
   */
  async open(except: readonly string[] = []): Promise<void> {
    for (const name of await this.#names()) {
      if (except.includes(name)) this.#modelOf(name).unloaded = true
      else await this.load(name)
    }
  }

  /** Images that wait, by model. */
  waiting(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const [name, { ready }] of this.#models) {
      let sum = 0
      for (const { served } of ready.values()) sum += served.waiting
      counts.set(name, sum)
    }
    return counts
  }

  /** Whether every model that is meant to be served is. */
  get ready(): boolean {
    return [...this.#models.values()].every(({ ready, unloaded }) => unloaded || ready.size > 0)
  }

  /**
   * A model that is ready.
   *
   * @param version default: the highest
   * @throws RequestError not_found
   */
  get(name: string, version?: string): ServedModel {
    const ready = this.#models.get(name)?.ready
    const found = version === undefined || version === '' ? highest(ready) : ready?.get(version)?.served
    if (found) return found
    if (!ready?.size) {
      const { names } = this
      throw new RequestError(
        'not_found',
        `There is no model ${JSON.stringify(name)}; there are ${names.join(', ') || 'none'}`,
      )
    }
    throw new RequestError(
      'not_found',
      `${name} has no version ${JSON.stringify(version)}; it has ${this.versions(name).join(', ')}`,
    )
  }

  /**
   * The file of a model's highest version that is ready, as it lies on the disk now, and what changes with it;
   * undefined for a model that is not ready, or whose files are gone.
   */
  async source(name: string): Promise<{ file: string | undefined; stamp: string } | undefined> {
    const version = this.versions(name).at(-1)
    return version === undefined
      ? undefined
      : (await this.#sources(name)).find((source) => source.version === version)
  }

  /** Names of the models that are ready. */
  get names(): string[] {
    return [...this.#models].filter(([, model]) => model.ready.size > 0).map(([name]) => name)
  }

  /** Versions that are ready, from the lowest. */
  versions(name: string): string[] {
    return [...(this.#models.get(name)?.ready.keys() ?? [])].sort((a, b) => Number(a) - Number(b))
  }

  /** All models there are, also those that are not loaded. */
  async index(onlyReady: boolean): Promise<IndexEntry[]> {
    const entries: IndexEntry[] = []
    for (const name of await this.#names()) {
      const model = this.#models.get(name)
      for (const version of this.versions(name)) {
        entries.push({ name, version, state: 'READY', reason: model?.faults.get(version)?.reason ?? '' })
      }
      for (const [version, { reason }] of model?.faults ?? []) {
        if (!model?.ready.has(version)) entries.push({ name, version, state: 'UNAVAILABLE', reason })
      }
      if (!model?.ready.size && !model?.faults.size) {
        entries.push({
          name,
          version: '',
          state: 'UNAVAILABLE',
          reason: model?.unloaded ? 'unloaded' : 'not loaded',
        })
      }
    }
    return onlyReady ? entries.filter(({ state }) => state === 'READY') : entries
  }

  /**
   * Loads a model's files, anew where they have changed.
   *
   * @throws RequestError not_found; bad_request for a file that cannot be opened: what served goes on serving
   */
  async load(name: string): Promise<void> {
    await this.#inTurn(name, async () => {
      const sources = await this.#sources(name)
      if (sources.length === 0)
        throw new RequestError('not_found', `There are no files of a model ${JSON.stringify(name)}`)
      const model = this.#modelOf(name)
      model.unloaded = false
      const problems: string[] = []
      for (const source of sources) {
        if (model.ready.get(source.version)?.stamp === source.stamp) continue
        const problem = await this.#replace(name, model, source)
        if (problem !== undefined) problems.push(problem)
      }
      for (const version of [...model.ready.keys()]) {
        if (!sources.some((source) => source.version === version)) this.#retire(model, version)
      }
      if (problems.length > 0) throw new RequestError('bad_request', problems.join('; '))
    })
  }

  /** @throws RequestError not_found */
  async unload(name: string): Promise<void> {
    await this.#inTurn(name, async () => {
      const model = this.#models.get(name)
      if (!model?.ready.size)
        throw new RequestError('not_found', `The model ${JSON.stringify(name)} is not loaded`)
      model.unloaded = true
      model.faults.clear()
      for (const version of [...model.ready.keys()]) this.#retire(model, version)
      this.#options.events.unloaded(name)
    })
  }

  /** Names of models whose files are not those that were tried last, and of new ones. */
  async changed(): Promise<string[]> {
    const names: string[] = []
    for (const name of await this.#names()) {
      const model = this.#models.get(name)
      if (model?.unloaded) continue
      const sources = await this.#sources(name)
      const differs = sources.some(({ version, stamp }) => {
        const tried = model?.faults.get(version)?.stamp ?? model?.ready.get(version)?.stamp
        return tried !== stamp
      })
      // a file that is gone for a moment is being replaced
      const fewer =
        sources.length > 0 &&
        [...(model?.ready.keys() ?? [])].some((version) => !sources.some((one) => one.version === version))
      if (differs || fewer) names.push(name)
    }
    return names
  }

  /** Resolves when no request waits or runs. */
  async drained(): Promise<void> {
    const all = [...this.#models.values()].flatMap(({ ready }) => [...ready.values()])
    await Promise.all(all.map(({ served }) => served.drained()))
  }

  dispose(): void {
    for (const { ready } of this.#models.values()) {
      for (const { served } of ready.values()) served.dispose()
      ready.clear()
    }
  }

  #modelOf(name: string): Model {
    let model = this.#models.get(name)
    if (!model) {
      model = { ready: new Map(), faults: new Map(), last: Promise.resolve(), unloaded: false }
      this.#models.set(name, model)
    }
    return model
  }

  async #inTurn(name: string, work: () => Promise<void>): Promise<void> {
    const known = this.#models.get(name) ?? (await this.#names()).includes(name)
    if (!known) throw new RequestError('not_found', `There are no files of a model ${JSON.stringify(name)}`)
    const model = this.#modelOf(name)
    const turn = model.last.then(work, work)
    model.last = turn.catch(() => undefined)
    await turn
  }

  /** @returns why it could not be */
  async #replace(name: string, model: Model, { version, file, stamp }: Source): Promise<string | undefined> {
    const { maxBatch, maxDelay, queue, maxWait, threads, events, measures, open = openModel } = this.#options
    const begin = performance.now()
    try {
      const opened = await open(file, {
        ...{ maxBatch, maxDelay, queue, maxWait, threads },
        measures: measures(name),
      })
      this.#retire(model, version)
      model.ready.set(version, { served: new ServedModel(name, version, opened), stamp })
      model.faults.delete(version)
      events.loaded(name, version, performance.now() - begin)
      return undefined
    } catch (error) {
      model.faults.set(version, { reason: messageOf(error), stamp })
      events.failed(name, version, error)
      return messageOf(error)
    }
  }

  /** What waits at it still runs; then its memory goes. */
  #retire(model: Model, version: string): void {
    const old = model.ready.get(version)
    if (!old) return
    model.ready.delete(version)
    void old.served.drained().then(() => old.served.dispose())
  }

  async #names(): Promise<string[]> {
    const { models, folder } = this.#options
    const names = new Set(models.keys())
    if (folder !== undefined) {
      for (const entry of await this.#entries(folder)) {
        const name = entry.isDirectory() ? entry.name : entry.name.replace(FILE, '')
        if (NAME.test(name) && (entry.isDirectory() || FILE.test(entry.name))) names.add(name)
      }
    }
    return [...names].sort()
  }

  async #entries(folder: string): Promise<Dirent[]> {
    try {
      return await readdir(folder, { withFileTypes: true })
    } catch (cause) {
      throw new KerneletError('ERR_IO', `--models: ${folder} cannot be read: ${unreadableFor(cause)}`, {
        cause,
      })
    }
  }

  async #sources(name: string): Promise<Source[]> {
    const { models, folder } = this.#options
    if (models.has(name)) {
      const file = models.get(name)
      const stamp = file === undefined ? 'shipped' : await stampOf(file)
      return [{ version: '1', file, stamp: stamp ?? 'missing' }]
    }
    if (folder === undefined) return []
    const files: [version: string, file: string][] = [
      ['1', join(folder, `${name}.onnx`)],
      ['1', join(folder, `${name}.safetensors`)],
    ]
    for (const version of await readdir(join(folder, name)).catch(() => [])) {
      if (VERSION.test(version)) files.push([version, join(folder, name, version, 'model.onnx')])
    }
    const sources = new Map<string, Source>()
    for (const [version, file] of files) {
      const stamp = await stampOf(file)
      if (stamp !== undefined && !sources.has(version)) sources.set(version, { version, file, stamp })
    }
    return [...sources.values()]
  }
}

function highest(ready: Model['ready'] | undefined): ServedModel | undefined {
  let best: ServedModel | undefined
  for (const { served } of ready?.values() ?? []) {
    if (!best || Number(served.version) > Number(best.version)) best = served
  }
  return best
}

async function stampOf(file: string): Promise<string | undefined> {
  try {
    const { mtimeMs, size, ino } = await stat(file)
    return `${mtimeMs} ${size} ${ino}`
  } catch {
    return undefined
  }
}

/** @throws Error for a name that no model may have */
export function checkName(name: string): string {
  if (NAME.test(name)) return name
  throw new Error(`a model's name has letters, digits, _, . and -, but is ${JSON.stringify(name)}`)
}
