/** What the page of the notes asks: every number on it is computed by kernelet, in a thread beside the server. */
import type { FastifyInstance } from 'fastify'
import { badRequest } from '../../errors.ts'
import { Inspector } from '../inspect/inspector.ts'
import { type NotesAnswer, type NotesQuestion, names, tables } from './names.ts'

export function notes(app: FastifyInstance): void {
  const thread = new Inspector<NotesQuestion, NotesAnswer>('notes/thread.js')
  app.addHook('onClose', () => thread.close())
  const schema = { hide: true }
  const answer = async (question: NotesQuestion): Promise<object> => {
    const said = await thread.ask(question)
    if ('bad' in said) throw badRequest(said.bad)
    return said.answer
  }
  for (const name of names) {
    app.post(`/playground/notes/${name}`, { schema, bodyLimit: 2 ** 14 }, async ({ body }) =>
      answer({ name, body: body instanceof Uint8Array ? Buffer.from(body).toString() : '' }),
    )
  }
  for (const name of tables) {
    app.get(`/playground/notes/${name}`, { schema }, async () => answer({ name }))
  }
}
