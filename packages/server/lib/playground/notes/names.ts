/** The questions of the notes' page, and how they reach the thread that answers them. */

/** Those that come with numbers. */
export const names = ['convolution', 'sizes', 'neuron', 'gradients'] as const
export type Name = (typeof names)[number]

/** Those whose answer is always the same. */
export const tables = ['lenet5', 'sigmoid'] as const
export type Table = (typeof tables)[number]

/** `body` is JSON. */
export type NotesQuestion = { name: Name; body: string } | { name: Table; body?: undefined }

/** `bad`: why the question is none. */
export type NotesAnswer = { answer: object } | { bad: string }
