// PORT=3000 npm start, then: curl -F picture=@three.png -F picture=@seven.png localhost:3000/digits
import multipart from '@fastify/multipart'
import Fastify from 'fastify'
import { DigitClassifier, KerneletError } from 'kernelet'

const digits = DigitClassifier.load()
const app = Fastify({ bodyLimit: 10 * 2 ** 20 })
await app.register(multipart, { limits: { fileSize: 10 * 2 ** 20, files: 16 } })

app.post('/digits', async (request) => {
  const answers = []
  for await (const part of request.files()) {
    // one picture that cannot be read does not fail the others
    const answer = digits.classifyAsync(await part.toBuffer()).then(
      ({ status, digit, confidence }) => ({ file: part.filename, status, digit, confidence }),
      (error) => {
        if (!(error instanceof KerneletError)) throw error
        return { file: part.filename, error: error.message }
      },
    )
    answers.push(answer)
  }
  return Promise.all(answers)
})

app.addHook('onClose', () => digits.dispose())
process.on('SIGTERM', () => app.close())
console.log(`${await app.listen({ port: Number(process.env.PORT ?? 3000), host: '127.0.0.1' })}/digits`)
