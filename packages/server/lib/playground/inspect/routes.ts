/** What the page that draws asks: which networks there are, their steps, filters, and values for a drawing. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Core } from '../../core.ts'
import { badRequest, RequestError } from '../../errors.ts'
import type { Trains } from '../train/training.ts'
import { type HeatKind, heatKinds } from './info.ts'
import { Inspector } from './inspector.ts'
import type { Drawing } from './prepare.ts'
import type { Answer, Question, Wanted } from './questions.ts'
import { builtIn } from './sources.ts'

/** Pixels along a side of a drawing, at most. */
const LARGEST = 1024

/** What was trained last in the playground. */
const TRAINED = '@trained'

export function inspection(app: FastifyInstance, core: Core, training: Trains): void {
  const inspector = new Inspector()
  app.addHook('onClose', () => inspector.close())
  const schema = { hide: true }
  const ask = (question: Question): Promise<Answer> =>
    question.model.id === TRAINED ? training.ask(question) : inspector.ask(question)

  const wanted = async (request: FastifyRequest): Promise<Wanted> => {
    const id = String((request.query as Record<string, unknown>).model ?? '@lenet5')
    if (id === TRAINED || Object.hasOwn(builtIn, id)) return { id, file: undefined, stamp: 'shipped' }
    const name = core.registry.get(id).name
    const source = await core.registry.source(name)
    if (source) return { id: name, ...source }
    throw new RequestError('not_found', `The files of ${name} are gone`)
  }

  app.get('/playground/models', { schema }, async () => {
    const names = core.registry.names
    const sources = await Promise.all(names.map((name) => core.registry.source(name)))
    return [
      ...Object.entries(builtIn).map(([id, title]) => ({ id, title })),
      ...((await training.hasNetwork()) ? [{ id: TRAINED, title: 'Trained here' }] : []),
      // the shipped digits are LeNet-5 already
      ...names
        .filter((_, k) => sources[k]?.file !== undefined)
        .map((name) => ({ id: name, title: `${name}, served here` })),
    ]
  })
  app.get('/playground/model', { schema }, async (request) =>
    ask({ verb: 'describe', model: await wanted(request) }),
  )
  app.get('/playground/weights', { schema }, async (request, reply) => {
    const numbers = await ask({ verb: 'weights', model: await wanted(request) })
    reply.header('content-type', 'application/octet-stream')
    return Buffer.from(numbers as ArrayBuffer)
  })
  app.post(
    '/playground/activations',
    { schema, bodyLimit: 3 * LARGEST * LARGEST },
    async (request, reply) => {
      const drawing = drawingOf(request)
      const heat = heatOf(request)
      const numbers = await ask({ verb: 'activations', model: await wanted(request), drawing, heat })
      reply.header('content-type', 'application/octet-stream')
      return Buffer.from(numbers as ArrayBuffer)
    },
  )
}

function heatOf({ query }: FastifyRequest): HeatKind | undefined {
  const { heat } = query as Record<string, unknown>
  if (heat === undefined) return undefined
  const kind = heatKinds.find((one) => one === heat)
  if (kind) return kind
  throw badRequest(`heat is one of ${heatKinds.join(', ')}, but is ${heat}`)
}

/** Bytes of width × height pixels of one channel or three. */
function drawingOf({ query, body }: FastifyRequest): Drawing {
  const { width, height } = query as Record<string, unknown>
  const [wide, high] = [Number(width), Number(height)]
  const fits = [wide, high].every((side) => Number.isInteger(side) && side >= 1 && side <= LARGEST)
  if (!fits) throw badRequest(`width and height are from 1 to ${LARGEST}, but are ${width} and ${height}`)
  const data = body instanceof Uint8Array ? body : new Uint8Array(0)
  const channels = data.length / (wide * high)
  if (channels === 1 || channels === 3) return { data, width: wide, height: high, channels }
  throw badRequest(
    `A drawing of ${wide}×${high} has ${wide * high} bytes, or 3 for each pixel, but ${data.length} came`,
  )
}
