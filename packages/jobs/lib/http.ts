/** Pictures from the web: only from hosts that are allowed, never from inside one's own network, and not without end. */
import { lookup as resolveName } from 'node:dns'
import { get as getHttp, type IncomingMessage, type RequestOptions } from 'node:http'
import { get as getHttps } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { KerneletError } from 'kernelet'
import { messageOf } from './errors.ts'

export interface WebLimits {
  /** Hosts that may be asked: names, *.example.com for all below one, with :PORT where it is not the usual one. */
  hosts: readonly string[]
  /** Whether addresses of private networks may be asked too. */
  allowPrivate: boolean
  /** Bytes of a picture at most. */
  maxBytes: number
  /** Milliseconds for all of it. */
  timeout: number
}

const REDIRECTS = 5

/** Addresses that are not of the public internet (IANA's special-purpose registries). */
const blocked = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  blocked.addSubnet(net, bits, 'ipv4')
}
/** Of IPv6 only what is given out is public: 2000::/3, without examples, tunnels and translations. */
const given = new BlockList()
given.addSubnet('2000::', 3, 'ipv6')
for (const [net, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  blocked.addSubnet(net, bits, 'ipv6')
}

/** Whether an address is one of the public internet. */
export function isPublic(address: string): boolean {
  if (isIP(address) === 4) return !blocked.check(address, 'ipv4')
  return isIP(address) === 6 && given.check(address, 'ipv6') && !blocked.check(address, 'ipv6')
}

/** Whether a URL's host is among those allowed. */
export function isAllowed(url: URL, hosts: readonly string[]): boolean {
  const name = url.hostname.toLowerCase().replace(/\.$/, '')
  return hosts.some((host) => {
    const [, pattern = '', port = ''] = /^(.*?)(?::(\d+))?$/.exec(host.toLowerCase()) ?? []
    if (port !== url.port) return false
    return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern
  })
}

/**
 * @throws KerneletError ERR_UNSUPPORTED for a host that is not allowed or a file that is too large; ERR_IO where it
 *   cannot be had; ERR_ABORTED
 */
export async function fetchPicture(
  address: string,
  limits: WebLimits,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(limits.timeout)])
  try {
    let url = new URL(address)
    for (let turn = 0; turn <= REDIRECTS; turn++) {
      check(url, limits)
      const response = await ask(url, limits, until)
      const { statusCode = 0, headers } = response
      if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
        response.destroy()
        url = new URL(headers.location, url)
        continue
      }
      if (statusCode !== 200) {
        response.destroy()
        throw new KerneletError('ERR_IO', `${address} cannot be read: HTTP ${statusCode}`)
      }
      return await read(address, response, limits.maxBytes)
    }
    throw new KerneletError('ERR_IO', `${address} cannot be read: more than ${REDIRECTS} redirects`)
  } catch (cause) {
    if (cause instanceof KerneletError) throw cause
    if (signal.aborted) throw new KerneletError('ERR_ABORTED', 'The job was ended', { cause })
    const why = until.aborted ? `it took longer than ${limits.timeout / 1000} s` : messageOf(cause)
    throw new KerneletError('ERR_IO', `${address} cannot be read: ${why}`, { cause })
  }
}

function check(url: URL, { hosts, allowPrivate }: WebLimits): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new KerneletError('ERR_UNSUPPORTED', `${url.href}: expected http:// or https://`)
  }
  if (!isAllowed(url, hosts)) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${url.host} is not among the hosts that this worker may ask (--allow-host)`,
    )
  }
  const address = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(address) !== 0 && !allowPrivate && !isPublic(address)) throw notPublic(url.host)
}

function notPublic(host: string): KerneletError {
  return new KerneletError(
    'ERR_UNSUPPORTED',
    `${host} is an address of a private network, which this worker may not ask (--allow-private)`,
  )
}

/** What is connected to is what was checked: names are resolved once. */
function publicOnly(host: string): LookupFunction {
  return (name, options, done) => {
    resolveName(name, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, [])
      const inside = addresses.find(({ address }) => !isPublic(address))
      if (inside) return done(notPublic(host), [])
      if (options.all) return done(null, addresses)
      done(null, addresses[0]?.address ?? '', addresses[0]?.family)
    })
  }
}

function ask(url: URL, { allowPrivate }: WebLimits, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions = {
      signal,
      headers: { accept: 'image/*', 'accept-encoding': 'identity' },
      ...(!allowPrivate && { lookup: publicOnly(url.host) }),
    }
    const get = url.protocol === 'https:' ? getHttps : getHttp
    get(url, options, resolve).on('error', reject)
  })
}

async function read(address: string, response: IncomingMessage, most: number): Promise<Uint8Array> {
  const tooLarge = (): KerneletError =>
    new KerneletError('ERR_UNSUPPORTED', `${address} has more than ${most} bytes (--max-bytes)`)
  if (Number(response.headers['content-length'] ?? 0) > most) {
    response.destroy()
    throw tooLarge()
  }
  const parts: Buffer[] = []
  let length = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length
    if (length > most) throw tooLarge()
    parts.push(part)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
