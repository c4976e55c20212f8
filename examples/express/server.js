// PORT=3000 npm start, then: curl --data-binary @three.png -H 'Content-Type: image/png' localhost:3000/digit
import express from 'express'
import { DigitClassifier, KerneletError } from 'kernelet'

const digits = DigitClassifier.load()
const app = express()

// limits before anything is decoded: ten megabytes here, sixty-four million pixels by default
app.post(
  '/digit',
  express.raw({ type: ['image/*', 'application/octet-stream'], limit: '10mb' }),
  async (request, response) => {
    if (!Buffer.isBuffer(request.body))
      return response.status(415).json({ error: 'send a picture, with its type' })
    // decoded on threads of their own: the event loop goes on
    const { status, digit, confidence } = await digits.classifyAsync(request.body)
    response.json({ status, digit, confidence })
  },
)

// what a picture can cause is the sender's; anything else is ours
app.use((error, _request, response, _next) => {
  const sent = error instanceof KerneletError && error.code !== 'ERR_INTERNAL'
  const status = sent ? 422 : (error.status ?? 500)
  response.status(status).json({ error: status < 500 ? error.message : 'something went wrong here' })
})

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/digit`)
})
process.on('SIGTERM', () => server.close(() => digits.dispose()))
