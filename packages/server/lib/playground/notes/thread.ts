/** The thread in which the notes' numbers are computed: an operation called alone is compiled first, which takes time. */
import { parentPort } from 'node:worker_threads'
import { KerneletError } from 'kernelet'
import { RequestError } from '../../errors.ts'
import type { FromThread } from '../inspect/questions.ts'
import { convolve } from './convolution.ts'
import { gradientsOf } from './gradients.ts'
import { lenets } from './lenet5.ts'
import type { Name, NotesAnswer, NotesQuestion, Table } from './names.ts'
import { neuronOf, sigmoidCurve } from './neuron.ts'
import { type Fields, fieldsOf } from './read.ts'
import { sizesOf } from './sizes.ts'

const questions: Readonly<Record<Name, (fields: Fields) => object>> = {
  convolution: convolve,
  sizes: sizesOf,
  neuron: neuronOf,
  gradients: gradientsOf,
}
const tables: Readonly<Record<Table, () => object>> = { lenet5: lenets, sigmoid: sigmoidCurve }

function answerTo(question: NotesQuestion): NotesAnswer {
  try {
    if (question.body === undefined) return { answer: tables[question.name]() }
    return { answer: questions[question.name](fieldsOf(question.body)) }
  } catch (error) {
    if (error instanceof RequestError) return { bad: error.message }
    // what the visitor is to learn from: a filter that does not fit, a step that leaves all bounds
    if (error instanceof KerneletError) return { answer: { refused: error.message } }
    throw error
  }
}

parentPort?.on('message', ({ id, question }: { id: number; question: NotesQuestion }) => {
  parentPort?.postMessage({ id, value: answerTo(question) } satisfies FromThread<NotesAnswer>)
})
