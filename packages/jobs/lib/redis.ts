/** Connections to Redis, and what goes wrong with them in words. */
import { readFileSync } from 'node:fs'
import { Redis, type RedisOptions } from 'ioredis'
import { KerneletError } from 'kernelet'
import { codeOf, messageOf, wrong } from './errors.ts'

export interface RedisPlace {
  /** redis://, rediss:// (TLS) or unix://PATH, with user, password and number of the database. */
  url: string
  /** A file of certificates to trust, for rediss://. */
  ca?: string | undefined
}

/** Milliseconds that a command waits for a Redis that took the connection, until it says so. */
const SILENT = 10_000
/** They are counted by looks so far apart: where the machine is too busy for these, the answer is not looked at either. */
const LOOK = 500
/** Milliseconds without a byte, while an answer is due, until a worker's connection is made anew: BullMQ waits for 10 s. */
const DEAF = 15_000

/** Where it is, without its password. */
export function placeOf({ url }: RedisPlace): string {
  const { protocol, hostname, port, pathname } = parse(url)
  if (protocol === 'unix:') return pathname
  return `${hostname}:${port === '' ? 6379 : port}`
}

function parse(url: string): URL {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    // the text itself may hold a password: it is not repeated
    throw wrong('--redis: expected redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH')
  }
  if (['redis:', 'rediss:', 'unix:'].includes(parsed.protocol)) return parsed
  throw wrong(`--redis: expected redis://, rediss:// or unix:// but found ${parsed.protocol}//`)
}

/** @throws KerneletError ERR_ARGUMENT */
function optionsOf(place: RedisPlace): RedisOptions {
  const { protocol, hostname, port, username, password, pathname, searchParams } = parse(place.url)
  const unix = protocol === 'unix:'
  const db = Number((unix ? searchParams.get('db') : pathname.slice(1)) || 0)
  if (!Number.isInteger(db) || db < 0) throw wrong('--redis: the number of the database is none')
  return {
    ...(unix
      ? { path: decodeURIComponent(pathname) }
      : { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) }),
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    db,
    ...(protocol === 'rediss:' && {
      tls: { ...(place.ca !== undefined && { ca: readCertificates(place.ca) }) },
    }),
    lazyConnect: true,
    connectTimeout: 5000,
  }
}

function readCertificates(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw wrong(`--redis-ca: ${file} cannot be read: ${messageOf(cause)}`)
  }
}

/** What Redis said, where trying again does not help: a wrong password, a user who may not. */
export function isFinal(cause: unknown): boolean {
  return /\b(?:WRONGPASS|NOAUTH|NOPERM)\b|invalid password|DB index is out of range/.test(messageOf(cause))
}

/** A failure in words. */
export function inWords(place: RedisPlace, cause: unknown): string {
  const message = messageOf(cause)
  const where = placeOf(place)
  if (/WRONGPASS|invalid password/.test(message))
    return `Redis at ${where} does not take this user and password`
  if (/NOAUTH/.test(message)) return `Redis at ${where} asks for a password: redis://USER:PASSWORD@HOST`
  if (/NOPERM/.test(message)) return `Redis at ${where} does not let this user do that: ${message}`
  if (/\bOOM\b/.test(message)) return `Redis at ${where} has no memory left: ${message}`
  if (/LOADING/.test(message)) return `Redis at ${where} is loading its data`
  if (/MISCONF|READONLY/.test(message)) return `Redis at ${where} takes no writes: ${message}`
  if (/^Socket timeout/.test(message)) return `Redis at ${where} takes connections, but says nothing on them`
  const code = codeOf(cause)
  return `Redis at ${where} does not answer: ${code !== undefined && !message.includes(code) ? `${code} ` : ''}${message}`
}

/**
 * For a command: it has Redis within some seconds, or an error.
 *
 * @throws KerneletError ERR_IO, ERR_ARGUMENT
 */
export async function connect(place: RedisPlace): Promise<Redis> {
  const redis = new Redis({
    ...optionsOf(place),
    maxRetriesPerRequest: 2,
    // one that took the connection and then says nothing
    commandTimeout: 30_000,
    retryStrategy: (times) => (times > 3 ? null : 300 * times),
  })
  let last: unknown
  redis.on('error', (error) => {
    last = error
  })
  let timer: NodeJS.Timeout | undefined
  try {
    const silence = new Promise<never>((_, reject) => {
      let left = SILENT / LOOK
      timer = setInterval(() => {
        if (--left > 0) return
        reject(last ?? new Error(`it took the connection, but was not ready in ${SILENT / 1000} seconds`))
      }, LOOK)
    })
    const ready = redis.connect().then(() => redis.ping())
    // where the silence was over before
    ready.catch(() => undefined)
    await Promise.race([ready, silence])
    return redis
  } catch (cause) {
    redis.disconnect()
    throw new KerneletError('ERR_IO', inWords(place, last ?? cause), { cause })
  } finally {
    clearInterval(timer)
  }
}

/** For a worker: it waits for Redis as long as it takes, a little longer each time. */
export function connectForever(place: RedisPlace, blocking: boolean): Redis {
  return new Redis({
    ...optionsOf(place),
    socketTimeout: DEAF,
    maxRetriesPerRequest: blocking ? null : 20,
    retryStrategy: (times) => Math.min(100 * 2 ** Math.min(times, 10), 5000),
  })
}
