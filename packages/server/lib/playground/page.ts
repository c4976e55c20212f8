/** The playground's page: the files that vite made, from memory, compressed where the client takes it. */
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { messageOf } from '../errors.ts'
import { securityHeaders } from '../security.ts'

/** Below lib/playground and dist/playground alike, two levels below the package. */
const folder = fileURLToPath(new URL('../../dist/playground/page/', import.meta.url))

/** The addresses that are answered with the page; which it is, the page reads from its address. */
export const pages: readonly string[] = ['', 'train', 'notes', 'service']

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
}

/** Nothing from elsewhere, and no script or style in the page itself. */
const contentSecurityPolicy = {
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'", 'blob:', 'data:'],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
}

/** A file, and what it is in the encodings it was asked for in. */
interface Asset {
  type: string
  plain: Buffer
  encoded: Map<string, Promise<Buffer>>
}

const compress: Readonly<Record<string, (bytes: Buffer) => Promise<Buffer>>> = {
  br: (bytes) =>
    promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  gzip: (bytes) => promisify(gzip)(bytes, { level: 9 }),
}

/** @throws Error where the package was not built */
function readPage(): ReadonlyMap<string, Asset> {
  try {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
    return new Map(
      files.map(({ parentPath, name }): [string, Asset] => {
        const path = join(parentPath, name)
        const type = types[extname(name)] ?? 'application/octet-stream'
        return [
          path.slice(folder.length).replaceAll('\\', '/'),
          { type, plain: readFileSync(path), encoded: new Map() },
        ]
      }),
    )
  } catch (cause) {
    throw new Error(`The playground's page is not in the package: ${messageOf(cause)}`, { cause })
  }
}

/** Routes of the page and all that it loads. They tell no secret: anybody may ask them. */
export function servePage(app: FastifyInstance): void {
  const assets = readPage()
  const options = { schema: { hide: true }, config: { open: true } }
  const headers = securityHeaders({ contentSecurityPolicy })
  const index = assets.get('index.html') as Asset
  for (const name of pages) {
    app.get(`/${name}`, options, (request, reply) => {
      // Mounted at a prefix, the page is at the folder: what it loads lies beside it.
      const [path = ''] = request.url.split('?', 1)
      if (name === '' && !path.endsWith('/')) return reply.redirect(`${path}/`)
      return send(request, reply.headers(headers), index, 'no-cache')
    })
  }
  for (const [path, asset] of assets) {
    if (path === 'index.html') continue
    // what vite named has a hash of its content in its name
    const forever = path.startsWith('assets/')
    app.get(`/${path}`, options, (request, reply) =>
      send(
        request,
        reply.headers(headers),
        asset,
        forever ? 'public, max-age=31536000, immutable' : 'no-cache',
      ),
    )
  }
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  asset: Asset,
  caching: string,
): Promise<Buffer> {
  reply.headers({ 'content-type': asset.type, 'cache-control': caching, vary: 'Accept-Encoding' })
  const accepted = String(request.headers['accept-encoding'] ?? '')
  const encoding = Object.keys(compress).find((one) =>
    new RegExp(`\\b${one}\\b(?!;q=0(\\.0*)?\\b)`).test(accepted),
  )
  if (encoding === undefined || asset.type === 'image/png') return asset.plain
  reply.header('content-encoding', encoding)
  let body = asset.encoded.get(encoding)
  if (!body) {
    body = (compress[encoding] as (bytes: Buffer) => Promise<Buffer>)(asset.plain)
    asset.encoded.set(encoding, body)
  }
  return body
}
