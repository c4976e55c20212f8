/** The playground: a page to draw on, and what it asks of the server. */
import type { FastifyInstance } from 'fastify'
import type { Core } from '../core.ts'
import { RequestError } from '../errors.ts'
import { inspection } from './inspect/routes.ts'
import { notes } from './notes/routes.ts'
import { servePage } from './page.ts'
import { trainingRoutes } from './train/routes.ts'
import { Training, type Trains } from './train/training.ts'

export async function playground(
  app: FastifyInstance,
  core: Core,
  training: Trains = new Training(),
): Promise<void> {
  servePage(app)
  await app.register(async (below) => {
    // Pages of other sites can have a browser send requests here, though not read the answers.
    below.addHook('onRequest', (request, _reply, done) => {
      const site = request.headers['sec-fetch-site']
      if (site === undefined || site === 'same-origin' || site === 'none') return done()
      done(new RequestError('forbidden', 'The playground answers its own page only'))
    })
    // before the server waits for its connections: the one that tells of a run is open until that ends
    below.addHook('preClose', () => training.close())
    inspection(below, core, training)
    trainingRoutes(below, core, training)
    notes(below)
  })
}
