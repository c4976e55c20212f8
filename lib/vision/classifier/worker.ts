/** The thread that prepares pictures: a program of its own, which a PicturePool starts. */
import { parentPort, workerData } from 'node:worker_threads'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { Permits } from '../picture/permits.ts'
import type { Answer, Question, ThreadData } from './messages.ts'
import { prepareAsync } from './work.ts'

const port = parentPort
if (port) {
  const permits = new Permits((workerData as ThreadData).permits)
  let last = Promise.resolve()
  port.on('message', (questions: Question[]) => {
    // One after the other: a picture at a time is in memory.
    last = last.then(async () => {
      const answers: Answer[] = []
      for (const question of questions) answers.push(await answer(question, permits))
      port.postMessage(
        answers,
        answers.flatMap(({ prepared }) => (prepared?.image ? [prepared.image.buffer as ArrayBuffer] : [])),
      )
    })
  })
  // Loaded, and at work from now on.
  port.postMessage([])
}

async function answer({ id, work }: Question, permits: Permits): Promise<Answer> {
  const start = performance.now()
  try {
    const prepared = await prepareAsync(work, permits)
    return { id, milliseconds: performance.now() - start, prepared }
  } catch (error) {
    const code = error instanceof KerneletError ? error.code : 'ERR_INTERNAL'
    return { id, milliseconds: performance.now() - start, error: { code, message: messageOf(error) } }
  }
}
