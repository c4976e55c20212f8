/** What the page of the notes asks: every number on it is computed here, by kernelet. Questions are small. */
import type { FastifyInstance } from 'fastify'
import { KerneletError } from 'kernelet'
import { convolve } from './convolution.ts'
import { gradientsOf } from './gradients.ts'
import { lenets } from './lenet5.ts'
import { neuronOf, sigmoidCurve } from './neuron.ts'
import { type Fields, fieldsOf } from './read.ts'
import { sizesOf } from './sizes.ts'

const questions: Readonly<Record<string, (fields: Fields) => object>> = {
  convolution: convolve,
  sizes: sizesOf,
  neuron: neuronOf,
  gradients: gradientsOf,
}

export function notes(app: FastifyInstance): void {
  const schema = { hide: true }
  for (const [name, answer] of Object.entries(questions)) {
    app.post(`/playground/notes/${name}`, { schema, bodyLimit: 2 ** 14 }, async (request) => {
      const fields = fieldsOf(request.body)
      try {
        return answer(fields)
      } catch (error) {
        // what the visitor is to learn from: a filter that does not fit, a step that leaves all bounds
        if (error instanceof KerneletError) return { refused: error.message }
        throw error
      }
    })
  }
  app.get('/playground/notes/lenet5', { schema }, async () => lenets())
  app.get('/playground/notes/sigmoid', { schema }, async () => sigmoidCurve())
}
