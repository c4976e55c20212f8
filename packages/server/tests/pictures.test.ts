/** Places in the queue of pictures, and who waits for them. */
import type { Classifier, ClassifierResult } from 'kernelet'
import { describe, expect, test } from 'vitest'
import { ServedModel } from '../lib/models/registry.ts'
import type { Engine } from '../lib/models/served.ts'
import { classifyAll, type Look, type PictureWaiter, withPictures } from '../lib/pictures.ts'
import { settingsOf } from '../lib/settings.ts'

const settings = settingsOf({ queue: 2 })
const picture = new Uint8Array(1)
const one: ClassifierResult = {
  status: 'class',
  label: '1',
  index: 1,
  confidence: 1,
  probabilities: new Float32Array([0, 1]),
  boxes: [],
}

/** A model that looks at a picture until it is let go, or nobody waits. */
function slow() {
  const held: (() => void)[] = []
  const classifier = {
    labels: ['0', '1'],
    classifyAsync: (_: Uint8Array, { signal }: { signal: AbortSignal }) =>
      new Promise<ClassifierResult>((resolve, reject) => {
        held.push(() => resolve(one))
        // it may be over before it begins
        if (signal.aborted) reject(signal.reason)
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
    dispose: () => undefined,
  }
  const engine = { waiting: 0, drained: async () => undefined, dispose: () => undefined }
  const served = new ServedModel('model', '1', {
    engine: engine as unknown as Engine,
    classifier: classifier as unknown as Classifier,
  })
  const batches: number[] = []
  const request = <T>(count: number, work: (look: Look) => Promise<T>, parts: Partial<PictureWaiter> = {}) =>
    withPictures(
      served,
      count,
      settings,
      { deadline: Number.POSITIVE_INFINITY, alive: () => true, ...parts },
      { batch: (images) => void batches.push(images) },
      work,
    )
  return { served, held, batches, request }
}

describe('pictures', () => {
  test('have places in the queue, and are refused where there is none', async () => {
    const { served, held, batches, request } = slow()
    const both = request(2, (look) => classifyAll(look, [picture, picture], false))
    expect(served.waiting).toBe(2)
    await expect(request(1, (look) => look(picture))).rejects.toMatchObject({
      statusCode: 503,
      message: '2 images wait already, and 2 may (--queue); try again later',
    })
    await expect(request(3, (look) => look(picture))).rejects.toMatchObject({ statusCode: 413 })
    // a model that is replaced stays until the second one has been looked at, too
    let drained = false
    void served.drained().then(() => (drained = true))
    await expect.poll(() => held.length).toBe(1)
    held[0]?.()
    await expect.poll(() => held.length).toBe(2)
    expect(drained).toBe(false)
    held[1]?.()
    expect(await both).toMatchObject([{ label: '1' }, { label: '1' }])
    await expect.poll(() => drained).toBe(true)
    expect([served.waiting, batches]).toEqual([0, [1, 1]])
  })

  test('are dropped when their time is over, or their client has hung up', async () => {
    const { served, request } = slow()
    const late = request(1, (look) => look(picture), { deadline: performance.now() + 20 })
    await expect(late).rejects.toMatchObject({ reason: 'timeout', statusCode: 504 })
    let there = true
    const several = request(2, (look) => classifyAll(look, [picture, picture], false), { alive: () => there })
    there = false
    await expect(several).rejects.toMatchObject({ reason: 'hung_up' })
    expect(served.waiting).toBe(0)
  })
})
