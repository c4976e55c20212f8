import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fastify, { type FastifyInstance } from 'fastify'
import { Conv2d, flatten, Linear, Module, manualSeed, maxPool2d, relu, saveOnnx, type Tensor } from 'kernelet'
import { vi } from 'vitest'
import { atEnd, folder } from '../../../tests/at-end.ts'
import { partsOf, type Surroundings } from '../lib/server.ts'
import { type ServerOptions, settingsOf } from '../lib/settings.ts'

export { atEnd, folder }

// as long as a busy machine lets them take
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

export const root: string = fileURLToPath(new URL('../../..', import.meta.url))

/** A network of 1×8×8 images and three classes. */
export class Small extends Module {
  readonly conv: Conv2d = new Conv2d(1, 2, { kernelSize: 3 })
  readonly fc: Linear = new Linear(18, 3)

  forward(x: Tensor): Tensor {
    return this.fc.forward(flatten(maxPool2d(relu(this.conv.forward(x)), 2), 1))
  }
}

/** Such a network, its weights drawn from a seed, as a file. */
export function saveSmall(path: string, seed = 0): Small {
  manualSeed(seed)
  const network = new Small()
  saveOnnx(network, path, { inputShape: [1, 8, 8] })
  return network
}

/** A server without sockets. */
export async function serverOf(
  options: ServerOptions = {},
  surroundings: Surroundings = {},
): Promise<FastifyInstance> {
  const app = fastify()
  await app.register(partsOf(settingsOf(options), { alone: true, ...surroundings }).plugin)
  await app.ready()
  atEnd(() => app.close())
  return app
}

export const json: { 'content-type': string } = { 'content-type': 'application/json' }

/** A body of JSON with binary data behind it, and its headers. */
export function binary(
  call: object,
  ...data: ArrayBufferView[]
): { payload: Buffer; headers: Record<string, string> } {
  const head = Buffer.from(JSON.stringify(call))
  const parts = data.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength))
  return {
    payload: Buffer.concat([head, ...parts]),
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(head.length),
    },
  }
}

export function writeToken(path: string, token: string): string {
  writeFileSync(path, `${token}\n`)
  return path
}

/** Numbers from 0 to 1 that are the same in every run. */
export function noise(length: number, seed = 1): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.abs(Math.sin((i + 1) * 12.9898 * seed) % 1))
}
