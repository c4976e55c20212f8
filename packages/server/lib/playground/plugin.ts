/** The playground: a page to draw on, and what it asks of the server. */
import type { FastifyInstance } from 'fastify'
import type { Core } from '../core.ts'
import { servePage } from './page.ts'

export function playground(app: FastifyInstance, _core: Core): void {
  servePage(app)
}
