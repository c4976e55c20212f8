/** Files made to hang, to fill memory or to end in an error from inside: each is refused by name, soon. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  DigitClassifier,
  decodePicture,
  decodePictureAsync,
  downloadMnist,
  Generator,
  KerneletError,
  Linear,
  loadIdx,
  loadMnist,
  loadOnnx,
  loadPictures,
  loadSafetensors,
  readSafetensors,
  Sequential,
  SGD,
  saveSafetensors,
  Tensor,
  Trainer,
} from '../lib/index.ts'
import { formatShape } from '../lib/tensor/shape.ts'
import { PartReader, readWhole } from '../lib/util/file.ts'
import { show } from '../lib/util/show.ts'
import { root } from './helpers.ts'
import { encode, modelProto } from './onnx-models.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))
const unix = process.platform !== 'win32'

function thrown(call: () => unknown): KerneletError {
  try {
    call()
  } catch (error) {
    if (error instanceof KerneletError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** Runs a program with the built package in a process of its own: what it prints, and its megabytes. */
function run(program: string): { output: string; megabytes: number } {
  const dist = pathToFileURL(join(root, 'dist/index.js')).href
  const code = `import * as kernelet from '${dist}'
    const { loadOnnx, loadIdx, loadTorch, readSafetensors, DigitClassifier, loadPictures } = kernelet
    const told = async (call) => { try { await call(); return 'read' } catch (error) {
      return error instanceof kernelet.KerneletError ? error.code + ' ' + error.message : 'INSIDE ' + error } }
    ${program}
    console.log(process.resourceUsage().maxRSS / 1024)`
  const { stdout, stderr, signal } = spawnSync(
    process.execPath,
    ['--max-old-space-size=512', '--input-type=module', '-e', code],
    { encoding: 'utf8', timeout: 120_000, killSignal: 'SIGKILL' },
  )
  if (signal !== null) throw new Error(`it does not end: ${signal}`)
  const lines = stdout.trim().split('\n')
  if (stderr) throw new Error(stderr)
  return { output: lines.slice(0, -1).join('\n'), megabytes: Number(lines.at(-1)) }
}

describe('what an error says of a value', () => {
  test('is short, whatever it is', () => {
    const circle: unknown[] = [1]
    circle.push(circle)
    let deep: unknown = 0
    for (let i = 0; i < 1e5; i++) deep = [deep]
    let laughs: unknown = ['lol']
    for (let i = 0; i < 40; i++) laughs = Array(8).fill(laughs)
    const { proxy, revoke } = Proxy.revocable([], {})
    revoke()
    const values = [circle, deep, laughs, proxy, [proxy], 10n ** 100_000n, Symbol('x'.repeat(1e5))]
    const odd = [
      Object.create(null),
      { constructor: { name: 'x' } },
      Object.defineProperty({}, 'constructor', {
        get() {
          throw new Error('never seen')
        },
      }),
      { constructor: Object.defineProperty(() => 1, 'name', { value: Symbol('x') }) },
      { constructor: Object.defineProperty(() => 1, 'name', { value: 'x'.repeat(1e5) }) },
      Array(2 ** 32 - 1),
    ]
    for (const value of [...values, ...odd]) expect(show(value).length).toBeLessThan(400)
    expect(show([[1, [2, [3, [4]]]]])).toBe('[[1, [2, […]]]]')
    expect(show([1, 2n, 'x', undefined])).toBe('[1, 2, "x", undefined]')
    expect(formatShape(Array(100).fill(3))).toBe('3×3×3×3×3×3×3×3×… (100 dimensions)')
  })
})

describe.runIf(unix)('what is no file', () => {
  const pipe = join(folder, 'pipe')
  beforeAll(() => {
    execFileSync('mkfifo', [pipe])
    mkdirSync(join(folder, 'pictures/7'), { recursive: true })
    symlinkSync(pipe, join(folder, 'pictures/7/a.png'))
  })

  test('a named pipe, a device: no reader waits for it', () => {
    const readers = ['loadOnnx(path)', 'loadIdx(path)', 'loadTorch(path)', 'readSafetensors(path)']
    const { output } = run(`
      const digits = DigitClassifier.load()
      for (const path of ${JSON.stringify([pipe, '/dev/zero', '/dev/tty'])}) {
        for (const read of [${readers.map((call) => `(path) => ${call}`)}, (path) => digits.classifyFile(path)]) {
          console.log(await told(() => read(path)))
        }
      }`)
    const lines = output.split('\n')
    expect(lines.length).toBe(15)
    for (const line of lines.slice(0, 5))
      expect(line).toBe(`ERR_IO ${pipe} cannot be read: it is a named pipe`)
    for (const line of lines.slice(5)) expect(line).toMatch(/^ERR_IO \/dev\/\w+ cannot be read: /)
  })

  test('external data of a model in a named pipe, a shard that is one', () => {
    const proto = modelProto({
      nodes: [{ op: 'Add', inputs: ['x', 'w'] }],
      inputs: { x: { shape: ['N', 2] } },
      initializers: { w: { shape: [2], data: [1, 2] } },
    })
    Object.assign(proto.graph!.initializer![0]!, {
      ...{ raw_data: undefined, float_data: undefined, data_location: 1 },
      external_data: [{ key: 'location', value: 'pipe' }],
    })
    const model = join(folder, 'pipe.onnx')
    writeFileSync(model, encode(proto))
    execFileSync('mkfifo', [join(folder, 'pipe.safetensors')])
    const index = join(folder, 'pipe.json')
    writeFileSync(index, JSON.stringify({ weight_map: { w: 'pipe.safetensors' } }))
    const { output } = run(`console.log(await told(() => loadOnnx(${JSON.stringify(model)})))
      console.log(await told(() => readSafetensors(${JSON.stringify(index)})))`)
    expect(output).toMatch(
      /^ERR_IO initializer "w": .*pipe cannot be read: it is a named pipe\nERR_IO .* named pipe$/,
    )
  })

  test('a folder of pictures takes no link to one', () => {
    const { output } = run(
      `console.log(await told(() => loadPictures(${JSON.stringify(join(folder, 'pictures'))})))`,
    )
    expect(output).toMatch(/^ERR_FORMAT .* has no pictures/)
  })
})

describe('files that change', () => {
  test('one that becomes shorter while it is read', () => {
    const path = join(folder, 'shrinks')
    writeFileSync(path, new Uint8Array(100))
    const reader = new PartReader(path)
    truncateSync(path, 50)
    expect(thrown(() => reader.read(0, 100))).toMatchObject({
      code: 'ERR_IO',
      message: `${path} cannot be read: it became shorter while it was read`,
    })
    reader.close()
  })

  test('one larger than memory', () => {
    const path = join(folder, 'huge')
    ftruncateSync(openSync(path, 'w'), 2 ** 43)
    expect(thrown(() => readWhole(path)).code).toBe('ERR_IO')
    expect(thrown(() => loadSafetensors(path)).code).toBe('ERR_IO')
    expect(thrown(() => loadIdx(path))).toMatchObject({ code: 'ERR_UNSUPPORTED' })
  })
})

describe('external data of a model', () => {
  /** A model of so many initializers that all lie in the same bytes. */
  function shared(count: number, bytes: number): string {
    const names = Array.from({ length: count }, (_, i) => `w${i}`)
    const proto = modelProto({
      nodes: names.map((name, i) => ({
        op: 'Add',
        inputs: [i === 0 ? 'x' : `y${i - 1}`, name],
        outputs: [`y${i}`],
      })),
      inputs: { x: { shape: ['N', bytes / 4] } },
      outputs: [`y${count - 1}`],
    })
    proto.graph!.initializer = names.map((name) => ({
      name,
      data_type: 1,
      dims: [bytes / 4],
      data_location: 1,
      external_data: [{ key: 'location', value: `${bytes}.bin` }],
    }))
    writeFileSync(join(folder, `${bytes}.bin`), new Uint8Array(bytes))
    const path = join(folder, `shared-${count}.onnx`)
    writeFileSync(path, encode(proto))
    return path
  }

  test('a thousand tensors of the same megabyte are refused before they fill memory', () => {
    const path = shared(1000, 2 ** 20)
    const { output, megabytes } = run(`console.log(await told(() => loadOnnx(${JSON.stringify(path)})))`)
    expect(output).toMatch(
      /^ERR_UNSUPPORTED initializer "w72": 1048576 bytes more are wanted of .*bin; the tensors of a model may take 64 MB and 8 times the size/,
    )
    expect(megabytes).toBeLessThan(300)
  })

  test('some sharing is right, and no file counts for the next model', () => {
    const path = shared(8, 2 ** 20)
    for (let i = 0; i < 20; i++) expect(loadOnnx(path).stateDict().size).toBe(8)
  })

  test('more than 64 dimensions', () => {
    const proto = modelProto({
      nodes: [{ op: 'Add', inputs: ['x', 'w'] }],
      inputs: { x: { shape: ['N', 2] } },
      initializers: { w: { shape: Array(65).fill(1), data: [1] } },
    })
    expect(thrown(() => loadOnnx(encode(proto)))).toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: 'initializer "w": it has 65 dimensions; at most 64 are read',
    })
  })
})

describe('safetensors', () => {
  const file = (header: string) => {
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    return Buffer.concat([length, Buffer.from(header)])
  }
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`

  test('a shape nested deeply, one of more than 64 dimensions', () => {
    const nested = file(`{"a":{"dtype":"F32","shape":${deep},"data_offsets":[0,4]}}`)
    expect(thrown(() => readSafetensors(nested))).toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining('the shape of "a" is [[[[…]]]]'),
    })
    const long = file(`{"a":{"dtype":"U8","shape":[${Array(65).fill(0)}],"data_offsets":[0,0]}}`)
    expect(thrown(() => readSafetensors(long)).code).toBe('ERR_FORMAT')
    for (const header of [
      `{"a":${deep}}`,
      `{"__metadata__":{"a":${deep}}}`,
      deep,
      `{"a":{"dtype":${deep}}}`,
    ]) {
      expect(thrown(() => readSafetensors(file(header))).code).toMatch(/ERR_FORMAT|ERR_DTYPE/)
    }
  })

  describe.runIf(unix)('shards', () => {
    const place = join(folder, 'shards/model')
    const elsewhere = join(folder, 'shards/elsewhere')
    const index = (name: string, map: unknown, metadata = '{}') => {
      writeFileSync(join(place, name), `{"metadata":${metadata},"weight_map":${JSON.stringify(map)}}`)
      return join(place, name)
    }
    beforeAll(() => {
      mkdirSync(place, { recursive: true })
      mkdirSync(join(elsewhere, 'blobs'), { recursive: true })
      const tensor = new Tensor(Float32Array.of(1), [1])
      saveSafetensors(join(elsewhere, 'secret.safetensors'), { one: tensor })
      saveSafetensors(join(elsewhere, 'blobs/1.safetensors'), { one: tensor })
      saveSafetensors(join(place, 'right.safetensors'), { one: tensor })
      symlinkSync(join(elsewhere, 'secret.safetensors'), join(place, 'link.safetensors'))
      symlinkSync(elsewhere, join(place, 'folder'))
      symlinkSync('right.safetensors', join(place, 'inside.safetensors'))
    })

    test('a link out of the folder is refused, one inside it followed', () => {
      for (const name of ['link.safetensors', 'folder/secret.safetensors']) {
        expect(thrown(() => readSafetensors(index('a.json', { one: name })))).toMatchObject({
          code: 'ERR_FORMAT',
          message: expect.stringContaining(`"${name}", which is not the name of a file below its folder`),
        })
      }
      expect(readSafetensors(index('a.json', { one: 'inside.safetensors' })).tensors.size).toBe(1)
    })

    test('an index that is a link itself, as in the cache of a hub: into its real folder', () => {
      const real = join(elsewhere, 'blobs/index')
      writeFileSync(real, JSON.stringify({ weight_map: { one: 'blob.safetensors' } }))
      symlinkSync(real, join(place, 'hub.json'))
      symlinkSync(join(elsewhere, 'blobs/1.safetensors'), join(place, 'blob.safetensors'))
      expect(readSafetensors(join(place, 'hub.json')).tensors.size).toBe(1)
      expect(thrown(() => readSafetensors(index('b.json', { one: 'blob.safetensors' }))).code).toBe(
        'ERR_FORMAT',
      )
    })

    test('metadata nested deeply are left out', () => {
      const path = index('c.json', { one: 'right.safetensors' }, `{"a":${deep},"total_size":4}`)
      expect([...readSafetensors(path).metadata]).toEqual([['total_size', '4']])
    })
  })
})

describe('gzip', () => {
  const megabyte = gzipSync(Buffer.alloc(1e6))
  /** In many parts, so that it is never unpacked here. */
  const bomb = (header: number[], megabytes: number) =>
    Buffer.concat([gzipSync(Buffer.from(header)), ...Array(megabytes).fill(megabyte)])

  test('what unpacks to more than its header says, or would to more than is read', () => {
    const path = join(folder, 'bomb.gz')
    writeFileSync(path, bomb([0, 0, 8, 1, 0, 0, 0, 9], 900))
    const { output, megabytes } = run(`console.log(await told(() => loadIdx(${JSON.stringify(path)})))`)
    expect(output).toBe(`ERR_FORMAT ${path} is a damaged gzip file: it holds more than its header says`)
    expect(megabytes).toBeLessThan(200)
    expect(thrown(() => loadIdx(bomb([0, 0, 8, 1, 0x40, 0, 0, 0], 2000))).message).toBe(
      'IDX bytes unpacks to 1073741832 bytes, 1073741824; at most 1073741824 are read',
    )
    expect(thrown(() => loadIdx(bomb([0, 0, 8, 1, 0x3f, 0, 0, 0], 1))).message).toMatch(/it is truncated/)
    expect(thrown(() => loadIdx(bomb([1, 2, 3, 4], 100))).message).toMatch(/is not an IDX file/)
  })

  test('a header behind a long name of the file that was packed', () => {
    const packed = gzipSync(Buffer.from([0, 0, 8, 1, 0, 0, 0, 2, 5, 6]))
    packed[3] = 8
    const named = (length: number) =>
      Buffer.concat([
        packed.subarray(0, 10),
        Buffer.alloc(length, 'x'),
        Buffer.from([0]),
        packed.subarray(10),
      ])
    for (const length of [0, 1000, 1020, 5000, 300_000]) {
      expect([...loadIdx(named(length)).data]).toEqual([5, 6])
    }
  })

  test('dimensions whose product overflows', () => {
    const header = [0, 0, 8, 64, ...Array(64).fill([255, 255, 255, 255]).flat()]
    expect(thrown(() => loadIdx(Buffer.from(header))).code).toBe('ERR_FORMAT')
    expect(thrown(() => loadIdx(gzipSync(Buffer.from(header)))).code).toBe('ERR_UNSUPPORTED')
    expect(thrown(() => loadIdx(Buffer.from([0, 0, 8, 255, ...Array(1020).fill(0)]))).code).toBe('ERR_FORMAT')
    const zero = Buffer.from([...header.slice(0, -4), 0, 0, 0, 0])
    expect(loadIdx(zero).data.length).toBe(0)
  })
})

describe('checkpoints', () => {
  const path = join(folder, 'checkpoint')
  const good = { step: 3, epoch: 1, runStart: 1, seed: 1, optimizer: 'sgd' }
  const partial = { steps: 1, images: 4, batchSize: 2, lossSum: 1, correct: 1, seen: 2 }
  const trainer = () =>
    new Trainer(new Sequential(new Linear(2, 2)), {
      optimizer: new SGD({ lr: 0.1 }),
      seed: 1,
      inputShape: [2],
    })
  const write = (progress: string) => {
    const linear = {
      '0.weight': new Tensor(new Float32Array(4), [2, 2]),
      '0.bias': new Tensor(new Float32Array(2), [2]),
    }
    saveSafetensors(path, linear, { 'kernelet.training': progress })
  }

  test('a right one', () => {
    write(JSON.stringify({ ...good, partial }))
    trainer().loadCheckpoint(path)
  })

  test.each([
    '[]',
    'null',
    '7',
    `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
    JSON.stringify({ ...good, optimizer: undefined }),
    JSON.stringify({ ...good, step: -1 }),
    JSON.stringify({ ...good, epoch: 2 ** 53 - 2 }),
    JSON.stringify({ ...good, runStart: 2 }),
    JSON.stringify({ ...good, partial: 1 }),
    JSON.stringify({ ...good, partial: { ...partial, batchSize: 0 } }),
    JSON.stringify({ ...good, partial: { ...partial, steps: 3 } }),
    JSON.stringify({ ...good, partial: { ...partial, seen: 5 } }),
    JSON.stringify({ ...good, partial }).replace('"lossSum":1', '"lossSum":1e999'),
    `{"optimizer":${'['.repeat(50_000)}${']'.repeat(50_000)},"step":0,"epoch":0,"runStart":0,"seed":0}`,
  ])('one that says %.60s', (progress) => {
    write(progress)
    expect(thrown(() => trainer().loadCheckpoint(path))).toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining('is a damaged checkpoint'),
    })
  })
})

describe('what is no path, no bytes and no dictionary', () => {
  const odd: unknown[] = [null, 7, '', {}, [['x']], Symbol('x'), Object.create(null), { toString: null }]

  test.each(odd.map((value) => [show(value), value]))('%s', async (_, value) => {
    const digits = DigitClassifier.load()
    const calls: (() => unknown)[] = [
      () => decodePicture(value as never),
      () => decodePictureAsync(value as never),
      () => digits.classifyFile(value as never),
      () => loadPictures(value as never),
      () => downloadMnist({ folder: value as never }),
      () => saveSafetensors(value as never, {}),
      () => loadMnist('x', value as never),
    ]
    if (value !== 7) calls.push(() => new Generator(1).uniform(value as never))
    if (value !== '')
      calls.push(
        () => loadMnist(value as never),
        () => loadIdx(value as never),
      )
    if (typeof value !== 'object' || value === null) calls.push(() => saveSafetensors('x', value as never))
    for (const call of calls) {
      const error: unknown = await Promise.resolve()
        .then(call)
        .catch((cause) => cause)
      expect(error, String(call)).toBeInstanceOf(KerneletError)
      expect((error as KerneletError).code, String(call)).toMatch(/^ERR_(ARGUMENT|IO)$/)
    }
  })

  test('names and classes that are none', async () => {
    expect(thrown(() => saveSafetensors('x', new Map([[1, 2]]) as never)).code).toBe('ERR_ARGUMENT')
    await expect(loadPictures(folder, { classes: 'ab' as never })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
    })
  })
})
