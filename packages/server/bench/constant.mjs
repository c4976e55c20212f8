/** What any server of this kind costs: the same Fastify, headers, limits and bodies, answering a constant. */
import helmet from '@fastify/helmet'
import fastify from 'fastify'

export async function serveConstant(port) {
  const app = fastify({ logger: { level: 'warn' }, bodyLimit: 2 ** 24 })
  await app.register(helmet)
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
