/** What check-binary.mjs asks of libraries for macOS and Windows, read from the files: no tool of theirs is needed. */
import { readFileSync } from 'node:fs'

/**
 * @returns {{ system: string, arch: string, exports: string[], libraries: string[], oldest?: string, signed?: boolean }}
 * exports without the underscore that Mach-O puts before names; `oldest` macOS; whether macOS finds a signature, without
 * which it starts nothing on arm64
 */
export function inspect(file) {
  const bytes = readFileSync(file)
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return machO(bytes)
  if (bytes.toString('latin1', 0, 2) === 'MZ') return portableExecutable(bytes)
  throw new Error(`${file} is neither Mach-O of 64 bits nor for Windows`)
}

function text(bytes, at) {
  return bytes.toString('latin1', at, bytes.indexOf(0, at))
}

function machO(bytes) {
  const found = {
    system: 'darwin',
    arch: { 16777223: 'x64', 16777228: 'arm64' }[bytes.readUInt32LE(4)] ?? 'unknown',
    exports: [],
    libraries: [],
    signed: false,
  }
  const version = (at) => `${bytes.readUInt16LE(at + 2)}.${bytes[at + 1]}`
  for (let i = 0, at = 32; i < bytes.readUInt32LE(16); i++, at += bytes.readUInt32LE(at + 4)) {
    const command = bytes.readUInt32LE(at) & 0x7fffffff
    if (command === 0x0c || command === 0x18) {
      // a library, or one that may be absent
      found.libraries.push(text(bytes, at + bytes.readUInt32LE(at + 8)))
    } else if (command === 0x32) found.oldest = version(at + 12)
    else if (command === 0x24) found.oldest = version(at + 8)
    else if (command === 0x1d) found.signed = true
    else if (command === 0x02) {
      const [symbols, count, strings] = [8, 12, 16].map((offset) => bytes.readUInt32LE(at + offset))
      for (let symbol = symbols; symbol < symbols + 16 * count; symbol += 16) {
        const type = bytes[symbol + 4]
        const isDebugging = (type & 0xe0) !== 0
        const isShown = (type & 0x01) !== 0 && (type & 0x10) === 0
        const isDefined = (type & 0x0e) !== 0
        if (!isDebugging && isShown && isDefined)
          found.exports.push(text(bytes, strings + bytes.readUInt32LE(symbol)).replace(/^_/, ''))
      }
    }
  }
  return found
}

function portableExecutable(bytes) {
  const header = bytes.readUInt32LE(0x3c)
  const optional = header + 24
  const sections = optional + bytes.readUInt16LE(header + 20)
  /** Where in the file is what will lie at this address? */
  const place = (address) => {
    for (let i = 0; i < bytes.readUInt16LE(header + 6); i++) {
      const section = sections + 40 * i
      const [size, begin, stored, offset] = [8, 12, 16, 20].map((one) => bytes.readUInt32LE(section + one))
      if (address >= begin && address < begin + Math.max(size, stored)) return address - begin + offset
    }
    throw new Error(`no section has address ${address}`)
  }
  const table = (number) => bytes.readUInt32LE(optional + 112 + 8 * number)
  const libraries = []
  // imports; those that are looked for when they are first called
  for (const [number, length, name] of [
    [1, 20, 12],
    [13, 32, 4],
  ]) {
    if (table(number) === 0) continue
    for (let at = place(table(number)); bytes.readUInt32LE(at + name) !== 0; at += length)
      libraries.push(text(bytes, place(bytes.readUInt32LE(at + name))))
  }
  const exports = []
  if (table(0) !== 0) {
    const at = place(table(0))
    const names = place(bytes.readUInt32LE(at + 32))
    for (let i = 0; i < bytes.readUInt32LE(at + 24); i++)
      exports.push(text(bytes, place(bytes.readUInt32LE(names + 4 * i))))
  }
  const arch = { 34404: 'x64', 43620: 'arm64' }[bytes.readUInt16LE(header + 4)] ?? 'unknown'
  return { system: 'win32', arch, exports, libraries }
}
