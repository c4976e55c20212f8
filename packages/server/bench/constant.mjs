/** What any server of this kind costs: the same Fastify, headers, limits and bodies, answering a constant. */
import fastify from 'fastify'
import helmet from 'helmet'
import { securityHeaders } from '../dist/security.js'

/** @param helmetAnew whether helmet makes the headers anew for each request, as a server has it that just registers it */
export async function serveConstant(port, helmetAnew) {
  const app = fastify({ logger: { level: 'warn' }, bodyLimit: 2 ** 24 })
  const headers = securityHeaders({})
  const perRequest = helmet()
  app.addHook('onRequest', (request, reply, done) => {
    if (helmetAnew) return perRequest(request.raw, reply.raw, done)
    reply.headers(headers)
    done()
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  const head =
    '{"model_name":"digits","model_version":"1","outputs":[{"name":"probabilities","datatype":"FP32","shape":[1,10],"parameters":{"binary_data_size":40}}]}'
  const answer = Buffer.concat([Buffer.from(head), Buffer.alloc(40)])
  app.post('/v2/models/:model/infer', (_request, reply) => {
    reply
      .header('inference-header-content-length', head.length)
      .header('content-type', 'application/octet-stream')
    reply.send(answer)
  })
  await app.listen({ port, host: '127.0.0.1' })
}
