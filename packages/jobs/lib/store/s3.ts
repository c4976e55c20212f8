/** A bucket as a store, through @aws-sdk/client-s3 where it is installed. */
import { KerneletError } from 'kernelet'
import { codeOf, messageOf, StorageError, wrong } from '../errors.ts'
import type { Store, Writer } from './store.ts'

type Sdk = typeof import('@aws-sdk/client-s3')
type Client = InstanceType<Sdk['S3Client']>

/** Bytes of a part of a large file; the service takes 10,000 parts of 5 MB or more. */
const PART = 8 * 2 ** 20

let sdk: Promise<{ sdk: Sdk; client: Client }> | undefined

/**
 * Region, endpoint and credentials are the client's own business: AWS_REGION, AWS_ENDPOINT_URL_S3, roles.
 * KERNELET_JOBS_S3_PATH_STYLE=1 is for servers that have no host name a bucket.
 */
async function load(): Promise<{ sdk: Sdk; client: Client }> {
  const name: string = '@aws-sdk/client-s3'
  let module: Sdk
  try {
    module = (await import(name)) as Sdk
  } catch (cause) {
    if (codeOf(cause) !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new KerneletError('ERR_UNSUPPORTED', `s3:// needs the package ${name}: npm i ${name}`, { cause })
  }
  const forcePathStyle = process.env.KERNELET_JOBS_S3_PATH_STYLE === '1'
  return { sdk: module, client: new module.S3Client({ forcePathStyle }) }
}

/** @throws KerneletError ERR_UNSUPPORTED, ERR_ARGUMENT */
export async function openBucket(url: string): Promise<Store> {
  const { bucket, key } = placeOf(url)
  return new S3Store(url, bucket, key, await (sdk ??= load()))
}

function placeOf(url: string): { bucket: string; key: string } {
  const [, bucket, key = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(url) ?? []
  if (bucket === undefined) throw wrong(`${url}: expected s3://bucket/prefix`)
  return { bucket, key }
}

/**
 * One object, which is a picture.
 *
 * @throws KerneletError ERR_IO where it cannot be had, ERR_UNSUPPORTED above `most` bytes
 */
export async function readObject(url: string, most: number, signal: AbortSignal): Promise<Uint8Array> {
  const { bucket, key } = placeOf(url)
  const { sdk: module, client } = await (sdk ??= load())
  try {
    const command = new module.GetObjectCommand({ Bucket: bucket, Key: key })
    const { Body, ContentLength = 0 } = await client.send(command, { abortSignal: signal })
    if (ContentLength > most) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `${url} has ${ContentLength} bytes; at most ${most} are read`,
      )
    }
    return (await Body?.transformToByteArray()) ?? new Uint8Array(0)
  } catch (cause) {
    if (cause instanceof KerneletError) throw cause
    throw new KerneletError('ERR_IO', `${url} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

// Not `Bucket`: the compiler would take the properties of that name for the class.
class S3Store implements Store {
  readonly url: string
  readonly #bucket: string
  readonly #prefix: string
  readonly #sdk: Sdk
  readonly #client: Client

  constructor(url: string, bucket: string, prefix: string, { sdk, client }: { sdk: Sdk; client: Client }) {
    this.url = url
    this.#bucket = bucket
    this.#prefix = prefix === '' ? '' : `${prefix}/`
    this.#sdk = sdk
    this.#client = client
  }

  #at(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + name }
  }

  async read(name: string, from = 0, to?: number): Promise<Buffer | undefined> {
    if (to !== undefined && to <= from) return Buffer.alloc(0)
    const Range = from === 0 && to === undefined ? {} : { Range: `bytes=${from}-${to ? to - 1 : ''}` }
    return this.#told(`${this.url}/${name} cannot be read`, async () => {
      const command = new this.#sdk.GetObjectCommand({ ...this.#at(name), ...Range })
      const { Body } = await this.#client.send(command)
      return Body && Buffer.from(await Body.transformToByteArray())
    })
  }

  async write(name: string): Promise<Writer> {
    return new ObjectWriter(this.#sdk, this.#client, this.#at(name), (act) =>
      this.#told(`${this.url}/${name} cannot be written`, act),
    )
  }

  async *list(folder: string): AsyncGenerator<string> {
    const Prefix = this.#prefix + (folder === '' ? '' : `${folder}/`)
    let ContinuationToken: string | undefined
    do {
      const page = await this.#told(`${this.url} cannot be listed`, () =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix,
            ...(ContinuationToken !== undefined && { ContinuationToken }),
          }),
        ),
      )
      for (const { Key = '' } of page?.Contents ?? []) {
        if (Key !== '' && !Key.endsWith('/')) yield Key.slice(this.#prefix.length)
      }
      ContinuationToken = page?.NextContinuationToken
    } while (ContinuationToken !== undefined)
  }

  async has(name: string): Promise<boolean> {
    const found = await this.#told(`${this.url}/${name} cannot be read`, () =>
      this.#client.send(new this.#sdk.HeadObjectCommand(this.#at(name))),
    )
    return found !== undefined
  }

  async remove(name: string): Promise<void> {
    const one = (path: string): Promise<unknown> =>
      this.#told(`${this.url}/${path} cannot be removed`, () =>
        this.#client.send(new this.#sdk.DeleteObjectCommand(this.#at(path))),
      )
    // a folder is what begins with its name; pages of a list that shrinks meanwhile would skip some
    const inside: string[] = []
    for await (const path of this.list(name)) inside.push(path)
    for (const path of inside) await one(path)
    await one(name)
  }

  async check(): Promise<void> {
    const found = await this.#told(`${this.url} cannot be read`, () =>
      this.#client.send(
        new this.#sdk.ListObjectsV2Command({ Bucket: this.#bucket, Prefix: this.#prefix, MaxKeys: 1 }),
      ),
    )
    if (!found) throw new StorageError(`${this.url} cannot be read: there is no such bucket`)
  }

  /** undefined where there is no such thing. */
  async #told<T>(what: string, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act()
    } catch (cause) {
      const name = (cause as { name?: string } | undefined)?.name
      if (name === 'NoSuchKey' || name === 'NotFound' || name === 'NoSuchBucket') return undefined
      throw new StorageError(`${what}: ${messageOf(cause)}`, { cause })
    }
  }
}

/** Small files in one request, larger ones in parts, of which one is in memory. */
class ObjectWriter implements Writer {
  readonly #sdk: Sdk
  readonly #client: Client
  readonly #place: { Bucket: string; Key: string }
  readonly #told: <T>(act: () => Promise<T>) => Promise<T | undefined>
  #waiting: Uint8Array[] = []
  #length = 0
  #upload: string | undefined
  readonly #parts: { ETag: string | undefined; PartNumber: number }[] = []

  constructor(
    sdk: Sdk,
    client: Client,
    place: { Bucket: string; Key: string },
    told: <T>(act: () => Promise<T>) => Promise<T | undefined>,
  ) {
    this.#sdk = sdk
    this.#client = client
    this.#place = place
    this.#told = told
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#waiting.push(bytes)
    this.#length += bytes.length
    if (this.#length >= PART) await this.#send()
  }

  async #send(): Promise<void> {
    const Body = this.#taken()
    await this.#told(async () => {
      if (this.#upload === undefined) {
        const begun = await this.#client.send(new this.#sdk.CreateMultipartUploadCommand(this.#place))
        this.#upload = begun.UploadId
      }
      const PartNumber = this.#parts.length + 1
      const { ETag } = await this.#client.send(
        new this.#sdk.UploadPartCommand({ ...this.#place, UploadId: this.#upload, PartNumber, Body }),
      )
      this.#parts.push({ ETag, PartNumber })
    })
  }

  #taken(): Buffer {
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#length = 0
    return bytes
  }

  async commit(): Promise<void> {
    if (this.#upload !== undefined && this.#length > 0) await this.#send()
    const place = this.#place
    const done = await this.#told(async () =>
      this.#upload === undefined
        ? this.#client.send(new this.#sdk.PutObjectCommand({ ...place, Body: this.#taken() }))
        : this.#client.send(
            new this.#sdk.CompleteMultipartUploadCommand({
              ...place,
              UploadId: this.#upload,
              MultipartUpload: { Parts: this.#parts },
            }),
          ),
    )
    if (!done) throw new StorageError(`s3://${place.Bucket} cannot be written: there is no such bucket`)
  }

  async abort(): Promise<void> {
    this.#taken()
    if (this.#upload === undefined) return
    const command = new this.#sdk.AbortMultipartUploadCommand({ ...this.#place, UploadId: this.#upload })
    await this.#client.send(command).catch(() => undefined)
  }
}
