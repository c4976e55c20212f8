/** Asks the server what the page shows: one question under way, and the newest of those that come meanwhile. */
import { askJson } from '../api.ts'

/**
 * A question that is asked again with every change.
 *
 * @param name of the route
 * @param answered takes the answer, or the sentence with which it was refused
 */
export function latest<T>(
  name: string,
  answered: (answer: T | undefined, refusal: string | undefined) => void,
): (question: object) => void {
  let waiting: object | undefined
  let busy = false
  const work = async (): Promise<void> => {
    busy = true
    while (waiting !== undefined) {
      const question = waiting
      waiting = undefined
      try {
        const answer = await askJson<T | { refused: string }>(`./playground/notes/${name}`, {
          method: 'POST',
          body: JSON.stringify(question),
          headers: { 'content-type': 'application/json' },
        })
        if (waiting !== undefined) continue
        if (isRefused(answer)) answered(undefined, answer.refused)
        else answered(answer, undefined)
      } catch (error) {
        if (waiting === undefined) answered(undefined, error instanceof Error ? error.message : String(error))
      }
    }
    busy = false
  }
  return (question) => {
    waiting = question
    if (!busy) void work()
  }
}

function isRefused(answer: unknown): answer is { refused: string } {
  return typeof answer === 'object' && answer !== null && 'refused' in answer
}
