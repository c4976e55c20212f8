/** Pictures to classes: a raw body, several files of a form, or base64 in JSON. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Core } from '../core.ts'
import { badRequest, RequestError, refusalOf } from '../errors.ts'
import type { ServedModel } from '../models/registry.ts'
import { answerOf, classifierOf, classifyAll, type PictureAnswer, withPictures } from '../pictures.ts'
import { shown } from '../protocol/datatypes.ts'
import { fieldsOf, parseJson } from '../protocol/read.ts'

/** One answer for one picture, a list for several. */
export async function classifyRequest(
  core: Core,
  served: ServedModel,
  request: FastifyRequest,
  reply: FastifyReply,
  digits: boolean,
): Promise<PictureAnswer | { results: PictureAnswer[] }> {
  classifierOf(served)
  const { settings } = core
  const begin = performance.now()
  const given = await picturesOf(request, settings.maxFiles, settings.maxBody)
  const metrics = core.metrics.of(served.name)
  const { raw } = reply
  const waiter = { deadline: begin + settings.timeout, alive: () => !raw.destroyed }
  const count = given instanceof Uint8Array ? 1 : given.length
  const answer = await withPictures(served, count, settings, waiter, metrics, async (look) =>
    given instanceof Uint8Array
      ? answerOf(await look(given), digits)
      : { results: await classifyAll(look, given, digits) },
  )
  metrics.succeeded(undefined, 1000 * (performance.now() - begin))
  return answer
}

async function picturesOf(
  request: FastifyRequest,
  most: number,
  largest: number,
): Promise<Uint8Array | Uint8Array[]> {
  if (request.isMultipart()) return filesOf(request, most, largest)
  const { body } = request
  if (!(body instanceof Uint8Array) || body.length === 0) throw badRequest('The request has no picture')
  if (!/^application\/json/i.test(request.headers['content-type'] ?? '')) return body
  const { image, images } = fieldsOf(parseJson(body), 'The body')
  if (typeof image === 'string' && images === undefined) return base64(image, 'image')
  if (!Array.isArray(images) || image !== undefined) {
    throw badRequest('The body must be { "image": BASE64 } or { "images": [BASE64, …] }')
  }
  if (images.length > most) throw tooMany(most)
  return images.map((one, i) => base64(one, `images[${i}]`))
}

function base64(text: unknown, what: string): Uint8Array {
  if (typeof text !== 'string') throw badRequest(`${what} must be a picture in base64 but is ${shown(text)}`)
  // a data: URL as browsers make them
  return Buffer.from(text.replace(/^data:[^,]{0,100},/, ''), 'base64')
}

async function filesOf(request: FastifyRequest, most: number, largest: number): Promise<Uint8Array[]> {
  const files: Uint8Array[] = []
  let left = largest
  try {
    const parts = request.parts({
      limits: { files: most, fileSize: largest, fields: 16, fieldSize: 1024, parts: most + 16 },
    })
    for await (const part of parts) {
      if (part.type !== 'file') continue
      const bytes = await part.toBuffer()
      left -= bytes.length
      if (left < 0)
        throw new RequestError('too_large', `The pictures have more than ${largest} bytes (--max-body)`)
      files.push(bytes)
    }
  } catch (error) {
    const refusal = refusalOf(error)
    // What the parser of forms throws is about the form.
    throw refusal.reason === 'internal'
      ? badRequest(`The form cannot be read: ${(error as Error).message}`)
      : refusal
  }
  if (files.length === 0) throw badRequest('The form has no file')
  return files
}

function tooMany(most: number): RequestError {
  return new RequestError('too_large', `At most ${most} pictures are taken at once (--max-files)`)
}
