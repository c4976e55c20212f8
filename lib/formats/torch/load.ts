/**
 * PyTorch's .pt and .pth files: a ZIP archive with a pickle of what was saved, and a file of bytes for each storage.
 * Nothing a file names is executed: tensors, storages and dictionaries are understood, all else is refused.
 */

import { elements, formatShape } from '../../tensor/shape.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { checkOptions } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import type { FileSource } from '../../util/source.ts'
import { bits, type Dtype, mostDimensions, type StoredTensor, toTensors, type WeightsFile } from '../dtype.ts'
import { readSource } from '../source.ts'
import { type PickleGlobal, Tuple, unpickle } from './pickle.ts'
import { Zip } from './zip.ts'

/** Options of `loadTorch` and `readTorch`. */
export interface TorchOptions {
  /** Of a checkpoint, a dictionary of several things, the one to read: `model_state_dict`. */
  key?: string | undefined
}

/**
 * Reads the weights in a file that `torch.save(model.state_dict(), path)` wrote (PyTorch 1.6 or newer). The numbers
 * are copied, and made float32 where they are not: rounded to the nearest.
 *
 * @param source the path of a .pt or .pth file, or its bytes
 * @returns tensors by name, for `loadStateDict`
 * @throws KerneletError `ERR_IO` when the file cannot be read; `ERR_FORMAT` when it is damaged or no such file;
 *   `ERR_UNSUPPORTED`, by name, for anything but tensors in dictionaries: whole modules, TorchScript, the format
 *   before 1.6; `ERR_ARGUMENT` for a checkpoint of several things, unless `key` says which; `ERR_DTYPE` for complex
 *   and quantized numbers; `ERR_SHAPE` for a dimension of 0
 * @example
 * // torch.save(model.state_dict(), 'weights.pt')
 * [...loadTorch('weights.pt').keys()][0] // → 'f.0.weight'
 */
export function loadTorch(source: FileSource, options: TorchOptions = {}): Map<string, Tensor> {
  return toTensors(read('loadTorch', source, options).tensors)
}

/**
 * Reads a .pt or .pth file without converting anything.
 *
 * @param source as for `loadTorch`
 * @returns the tensors, and as `metadata` the numbers and words that lie beside them in a checkpoint
 * @throws KerneletError as `loadTorch`
 * @example
 * // torch.save(model.state_dict(), 'weights.pt')
 * readTorch('weights.pt').tensors.get('f.0.weight').dtype // → 'F32'
 */
export function readTorch(source: FileSource, options: TorchOptions = {}): WeightsFile {
  return read('readTorch', source, options)
}

function read(who: string, source: FileSource, options: TorchOptions): WeightsFile {
  checkOptions(who, options, ['key'])
  const { bytes, name } = readSource(who, source, 'torch')
  return new Reader(bytes, name).read(options.key)
}

/** What a saved tensor says of itself: a view of a storage. */
class View {
  readonly storage: Storage
  readonly dtype: Dtype
  readonly offset: number
  readonly shape: number[]
  readonly strides: number[]

  constructor(storage: Storage, dtype: Dtype, offset: number, shape: number[], strides: number[]) {
    this.storage = storage
    this.dtype = dtype
    this.offset = offset
    this.shape = shape
    this.strides = strides
  }
}

/** Bytes of the archive; without a type where the tensor says it. */
class Storage {
  readonly bytes: Uint8Array
  readonly dtype: Dtype | undefined

  constructor(bytes: Uint8Array, dtype: Dtype | undefined) {
    this.bytes = bytes
    this.dtype = dtype
  }
}

/** The class of a storage, or a dtype: a name that stands for an element type. */
class TypeName implements PickleGlobal {
  readonly name: string
  readonly dtype: Dtype | undefined

  constructor(name: string, dtype: Dtype | undefined) {
    this.name = name
    this.dtype = dtype
  }
}

const types = new Map(
  Object.entries({
    'torch.FloatStorage': 'F32',
    'torch.DoubleStorage': 'F64',
    'torch.HalfStorage': 'F16',
    'torch.BFloat16Storage': 'BF16',
    'torch.LongStorage': 'I64',
    'torch.IntStorage': 'I32',
    'torch.ShortStorage': 'I16',
    'torch.CharStorage': 'I8',
    'torch.ByteStorage': 'U8',
    'torch.BoolStorage': 'BOOL',
    'torch.storage.UntypedStorage': undefined,
    // with _rebuild_tensor_v3, for types that have no class of storage
    'torch.uint16': 'U16',
    'torch.uint32': 'U32',
    'torch.uint64': 'U64',
    'torch.float8_e4m3fn': 'F8_E4M3',
    'torch.float8_e5m2': 'F8_E5M2',
    'torch.float8_e4m3fnuz': 'F8_E4M3FNUZ',
    'torch.float8_e5m2fnuz': 'F8_E5M2FNUZ',
    'torch.float8_e8m0fnu': 'F8_E8M0',
  } as const).map(([name, dtype]) => [name, new TypeName(name, dtype)]),
)

/** Magic number of the format before PyTorch 1.6, as the pickle it is written in begins. */
const legacy = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46]

const advice = 'In Python save the weights alone: torch.save(model.state_dict(), "weights.pt")'

class Reader {
  readonly #bytes: Uint8Array
  readonly #name: string
  readonly #storages: Map<string, Storage> = new Map()
  readonly #globals: Map<string, PickleGlobal>
  #zip!: Zip
  #folder = ''
  #bigEndian = false
  /** Bytes that tensors may still take: views of one storage could make far more of them than the file has. */
  #room: number

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes
    this.#name = name
    this.#room = 2 ** 26 + 16 * bytes.length
    this.#globals = new Map<string, PickleGlobal>([
      ...types,
      ...this.#functions().map((one): [string, PickleGlobal] => [one.name, one]),
    ])
  }

  read(key: string | undefined): WeightsFile {
    this.#open()
    const saved = unpickle(this.#entry('data.pkl'), {
      find: (module, name) => this.#find(`${module}.${name}`),
      load: (id) => this.#storage(id),
      damaged: (reason) => this.#damaged(reason),
    })
    return this.#weights(saved, key)
  }

  #open(): void {
    const starts = (...bytes: number[]) => bytes.every((byte, i) => this.#bytes[i] === byte)
    if (starts(...legacy)) {
      throw this.#unsupported(
        'was written in the format before PyTorch 1.6. Save it again: torch.save(torch.load(path), path)',
      )
    }
    if (starts(0x80)) throw this.#unsupported(`is a bare pickle, not a file of torch.save. ${advice}`)
    if (!starts(0x50, 0x4b)) {
      throw new KerneletError('ERR_FORMAT', `${this.#name} is not a file of torch.save: it is no ZIP archive`)
    }
    this.#zip = new Zip(this.#bytes, this.#name)
    const names = this.#zip.names()
    const pickles = names.filter((name) => /^[^/]*\/data\.pkl$/.test(name))
    if (pickles.length !== 1) throw this.#damaged('it has no data.pkl, or several')
    this.#folder = pickles[0]!.slice(0, -'data.pkl'.length)
    if (names.includes(`${this.#folder}constants.pkl`)) {
      throw this.#unsupported(`is a TorchScript archive: a program. ${advice}`)
    }
    const order = this.#zip.read(`${this.#folder}byteorder`)
    this.#bigEndian = order !== undefined && new TextDecoder().decode(order) === 'big'
  }

  #entry(name: string): Uint8Array {
    const bytes = this.#zip.read(this.#folder + name)
    if (bytes === undefined) throw this.#damaged(`it has no ${show(name)}`)
    return bytes
  }

  #find(name: string): PickleGlobal {
    const found = this.#globals.get(name)
    if (found !== undefined) return found
    if (/^torch\.(\w+Storage|complex\w+|q\w+\d+)$/.test(name)) {
      throw new KerneletError('ERR_DTYPE', `${this.#name} has numbers of a type that is not read: ${name}`)
    }
    throw this.#unsupported(
      `holds a ${name.slice(0, 100).replace(/[^ -~]/g, '?')}, and only tensors in dictionaries are read: ` +
        `nothing in a file is executed. ${advice}`,
    )
  }

  /** All that a file may call. */
  #functions(): PickleGlobal[] {
    return [
      {
        name: 'collections.OrderedDict',
        call: (args) => {
          if (args.length > 0) throw this.#damaged('an OrderedDict is made of something')
          return new Map()
        },
      },
      {
        name: 'torch._utils._rebuild_tensor_v2',
        call: ([storage, offset, size, stride, , , metadata]) => {
          this.#plain(metadata)
          return this.#view(storage, undefined, offset, size, stride)
        },
      },
      {
        name: 'torch._utils._rebuild_tensor_v3',
        call: ([storage, offset, size, stride, , , dtype, metadata]) => {
          this.#plain(metadata)
          if (!(dtype instanceof TypeName)) throw this.#damaged('a tensor has no element type')
          return this.#view(storage, dtype.dtype, offset, size, stride)
        },
      },
      { name: 'torch._utils._rebuild_parameter', call: ([data]) => data },
    ]
  }

  /** Conjugated and negated views say so in a dictionary. */
  #plain(metadata: unknown): void {
    if (metadata instanceof Map && metadata.size > 0) {
      throw this.#unsupported(
        'holds a conjugated or negated view; make it a tensor of its own: x.resolve_neg()',
      )
    }
  }

  /** ('storage', class, key, location, elements): a file of the archive. */
  #storage(id: unknown): Storage {
    const [kind, type, key, , count] = id instanceof Tuple ? id.items : []
    if (kind !== 'storage' || typeof key !== 'string' || !isCount(count)) {
      throw this.#damaged('a storage is not described as one')
    }
    if (!(type instanceof TypeName)) throw this.#damaged(`storage ${show(key)} has no element type`)
    const bytes = this.#storages.get(key)?.bytes ?? this.#entry(`data/${key}`)
    const size = type.dtype === undefined ? 1 : bits[type.dtype] / 8
    if (count * size > bytes.length) {
      throw this.#damaged(`storage ${show(key)} should have ${count} elements but has ${bytes.length} bytes`)
    }
    const storage = new Storage(bytes.subarray(0, count * size), type.dtype)
    this.#storages.set(key, storage)
    return storage
  }

  #view(storage: unknown, type: Dtype | undefined, offset: unknown, size: unknown, stride: unknown): View {
    if (!(storage instanceof Storage)) throw this.#damaged('a tensor has no storage')
    const dtype = storage.dtype ?? type
    if (dtype === undefined) throw this.#damaged('a tensor has no element type')
    const shape = this.#counts(size)
    const strides = this.#counts(stride)
    if (!isCount(offset) || shape.length !== strides.length) {
      throw this.#damaged(
        `a tensor of shape ${show(shape)} has strides ${show(strides)}, offset ${show(offset)}`,
      )
    }
    const count = storage.bytes.length / (bits[dtype] / 8)
    const last = shape.reduce((sum, one, d) => sum + (one - 1) * (strides[d] as number), offset)
    if (!shape.includes(0) && last >= count) {
      throw this.#damaged(
        `a tensor ${formatShape(shape)} with strides ${show(strides)} reaches element ${last} of ${Math.floor(count)}`,
      )
    }
    return new View(storage, dtype, offset, shape, strides)
  }

  #counts(value: unknown): number[] {
    const counts = value instanceof Tuple ? value.items : undefined
    if (counts === undefined || counts.length > mostDimensions || !counts.every(isCount)) {
      throw this.#damaged(`a tensor has the sizes or strides ${show(counts ?? value)}`)
    }
    return [...counts]
  }

  /** The tensors of what was saved, or of its part called `key`. */
  #weights(saved: unknown, key: string | undefined): WeightsFile {
    if (!(saved instanceof Map)) {
      throw this.#unsupported(`holds ${kindOf(saved)} instead of a dictionary of tensors. ${advice}`)
    }
    const part = key === undefined ? saved : saved.get(key)
    const isDictionary = part instanceof Map && [...part].every(([name]) => typeof name === 'string')
    if (!isDictionary || ![...part.values()].every((one) => one instanceof View)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        key === undefined
          ? `${this.#name} is a checkpoint of several things. Say by its key which are the weights, such as ` +
              `${show(likelyKey(saved))}; it holds ${contents(saved)}`
          : `${this.#name}: ${show(key)} is not a dictionary of tensors. The file holds ${contents(saved)}`,
      )
    }
    const tensors = [...(part as Map<string, View>)].map(([name, view]): [string, StoredTensor] => [
      name,
      this.#stored(name, view),
    ])
    return { tensors: new Map(tensors), metadata: notes(saved) }
  }

  #stored(name: string, { storage, dtype, offset, shape, strides }: View): StoredTensor {
    const size = bits[dtype] / 8
    const count = elements(shape)
    this.#room -= count * Math.max(size, 4)
    if (!(this.#room >= 0)) {
      throw this.#damaged(
        `its tensors are far larger than the file: ${show(name)} has the shape ${formatShape(shape)}, ` +
          `strides ${show(strides)}`,
      )
    }
    const bytes = isRowMajor(shape, strides)
      ? storage.bytes.subarray(offset * size, (offset + count) * size)
      : gathered(storage.bytes, size, offset, shape, strides)
    return { dtype, shape, bytes: this.#bigEndian ? swapped(bytes, size) : bytes }
  }

  #unsupported(sentence: string): KerneletError {
    return new KerneletError('ERR_UNSUPPORTED', `${this.#name} ${sentence}`)
  }

  #damaged(reason: string): KerneletError {
    return new KerneletError('ERR_FORMAT', `${this.#name} is not a valid torch file: ${reason}`)
  }
}

/** Whether `value` is an integer from 0 up that a double holds exactly. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true
  let stride = 1
  return shape
    .map((size, d): [number, number] => [size, strides[d] as number])
    .reverse()
    .every(([size, own]) => {
      const right = size === 1 || own === stride
      stride *= size
      return right
    })
}

/** Copies the elements of a view in row-major order. */
function gathered(
  source: Uint8Array,
  size: number,
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
): Uint8Array {
  const bytes = new Uint8Array(size * elements(shape))
  const index = shape.map(() => 0)
  let from = offset
  for (let to = 0; to < bytes.length; to += size) {
    for (let i = 0; i < size; i++) bytes[to + i] = source[from * size + i] as number
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d] = (index[d] as number) + 1
      from += strides[d] as number
      if ((index[d] as number) < (shape[d] as number)) break
      from -= (shape[d] as number) * (strides[d] as number)
      index[d] = 0
    }
  }
  return bytes
}

/** A copy with the bytes of every element the other way round. */
function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const result = new Uint8Array(bytes.length)
  for (let i = 0; i < bytes.length; i++) result[i] = bytes[i - (i % size) + (size - 1 - (i % size))] as number
  return result
}

/** Numbers, words and truths of a dictionary, as strings; keys too may be anything. */
function notes(saved: ReadonlyMap<unknown, unknown>): Map<string, string> {
  const isPlain = (one: unknown) => ['number', 'string', 'boolean'].includes(typeof one)
  const plain = [...saved].filter((entry) => entry.every(isPlain))
  return new Map(plain.map(([name, value]) => [String(name), String(value)]))
}

/** What a checkpoint holds, for an error message. */
function contents(saved: ReadonlyMap<unknown, unknown>): string {
  const parts = [...saved].slice(0, 12).map(([name, value]) => `${show(name)} (${kindOf(value)})`)
  return parts.join(', ') + (saved.size > parts.length ? ', …' : '')
}

/** The entry that weights are most likely in. */
function likelyKey(saved: ReadonlyMap<unknown, unknown>): string {
  const isWeights = (value: unknown) =>
    value instanceof Map && value.size > 0 && [...value.values()].every((one) => one instanceof View)
  for (const [name, value] of saved) if (typeof name === 'string' && isWeights(value)) return name
  return 'model_state_dict'
}

function kindOf(value: unknown): string {
  if (value instanceof Map) return 'a dictionary'
  if (value instanceof View) return `a tensor ${formatShape(value.shape)}`
  if (value instanceof Tuple) return 'a tuple'
  if (value instanceof Storage) return 'a storage'
  if (Array.isArray(value)) return 'a list'
  return show(value)
}
