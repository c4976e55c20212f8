/** BMP of every depth, changed anywhere and in the header. */
import { integer, mutateBytes } from './mutate.mjs'

export const extension = 'bmp'

export function prepare(kernelet) {
  const seeds = [1, 2, 4, 8, 16, 24, 32].flatMap((depth) => [
    bmp(depth, 40, 0, 9),
    bmp(depth, 124, depth >= 16 && depth !== 24 ? 3 : 0, 30),
    ...(depth < 16 || depth === 24 ? [bmp(depth, 12, 0, 5)] : [bmp(depth, 40, 3, 5)]),
  ])
  return { kernelet, seeds, classifier: kernelet.DigitClassifier.load() }
}

function bmp(depth, header, packing, side) {
  const masks = packing === 3 ? (depth === 16 ? [0xf800, 0x7e0, 0x1f] : [0xff, 0xff00, 0xff0000]) : []
  const palette = depth <= 8 ? 2 ** depth * (header === 12 ? 3 : 4) : 0
  const behind = (header === 40 ? 4 * masks.length : 0) + palette
  const rowBytes = Math.ceil((side * depth) / 32) * 4
  const file = Buffer.alloc(14 + header + behind + rowBytes * side)
  file.write('BM', 0, 'latin1')
  file.writeUInt32LE(14 + header + behind, 10)
  file.writeUInt32LE(header, 14)
  if (header === 12)
    for (const [i, value] of [side, side, 1, depth].entries()) file.writeUInt16LE(value, 18 + 2 * i)
  else {
    file.writeInt32LE(side, 18)
    file.writeInt32LE(side, 22)
    file.writeUInt16LE(1, 26)
    file.writeUInt16LE(depth, 28)
    file.writeUInt32LE(packing, 30)
  }
  for (const [i, mask] of masks.entries()) file.writeUInt32LE(mask, 54 + 4 * i)
  for (let i = file.length - palette - rowBytes * side; i < file.length; i++) file[i] = (i * 37) & 255
  return file
}

export function make({ seeds }, random) {
  const seed = random.pick(seeds)
  if (random.oneIn(3)) return mutateBytes(random, seed, seeds)
  const changed = Buffer.from(seed)
  for (let left = random.between(1, 3); left > 0; left--) {
    const at = random.pick([10, 14, 18, 22, 26, 28, 30, 34, 46, 54, 58, 62, 66])
    if (at + 4 > changed.length) continue
    changed.writeUInt32LE(random.oneIn(2) ? integer(random) >>> 0 : random.below(40), at)
  }
  return changed
}

export function read({ kernelet, classifier }, bytes) {
  classifier.classify(kernelet.decodePicture(bytes))
}
