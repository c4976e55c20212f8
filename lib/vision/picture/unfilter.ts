/** Undoing the filters of PNG's rows (PNG specification, section 9). */

/**
 * Undoes the filter of a row in place: a byte is stored as its difference from what its neighbours let expect.
 *
 * @param filter 0 to 4
 * @param at where the row's first byte lies, `rowBytes` of them
 * @param above how many bytes before the row above lies; 0: there is none, which counts as zeros
 * @param left bytes from a byte to the one on its left
 */
export function unfilter(
  raw: Uint8Array,
  filter: number,
  at: number,
  rowBytes: number,
  above: number,
  left: number,
): void {
  const end = at + rowBytes
  // Without a row above, up is nothing, and whichever of left, 0 and 0 is nearest to left is left.
  if (filter === 1 || (filter === 4 && above === 0)) fromLeft(raw, at + left, end, left)
  else if (filter === 2) fromAbove(raw, at, end, above)
  else if (filter === 3) fromMean(raw, at, end, above, left)
  else if (filter === 4 && left === 3) fromNearest3(raw, at, end, above)
  else if (filter === 4 && left === 4) fromNearest4(raw, at, end, above)
  else if (filter === 4) fromNearest(raw, at, end, above, left)
}

function fromLeft(raw: Uint8Array, from: number, end: number, left: number): void {
  for (let i = from; i < end; i++) raw[i] = raw[i]! + raw[i - left]!
}

function fromAbove(raw: Uint8Array, at: number, end: number, above: number): void {
  if (above > 0) for (let i = at; i < end; i++) raw[i] = raw[i]! + raw[i - above]!
}

function fromMean(raw: Uint8Array, at: number, end: number, above: number, left: number): void {
  for (let i = at; i < end; i++) {
    const before = i < at + left ? 0 : raw[i - left]!
    raw[i] = raw[i]! + ((before + (above > 0 ? raw[i - above]! : 0)) >> 1)
  }
}

/**
 * Whichever of left, above and above left is nearest to left + above − above left, the first of equals. Without
 * branches: which it is changes from byte to byte, and no processor guesses that.
 */
function nearest(a: number, b: number, c: number): number {
  const ofA = b - c
  const ofB = a - c
  const ofC = ofA + ofB
  const toA = (ofA ^ (ofA >> 31)) - (ofA >> 31)
  const toB = (ofB ^ (ofB >> 31)) - (ofB >> 31)
  const toC = (ofC ^ (ofC >> 31)) - (ofC >> 31)
  const ifB = (toB - toA) >> 31
  const aOrB = a ^ ((a ^ b) & ifB)
  const ifC = (toC - (toA ^ ((toA ^ toB) & ifB))) >> 31
  return aOrB ^ ((aOrB ^ c) & ifC)
}

function fromNearest(raw: Uint8Array, at: number, end: number, above: number, left: number): void {
  for (let channel = 0; channel < left; channel++) {
    let a = 0
    let c = 0
    for (let i = at + channel; i < end; i += left) {
      const b = raw[i - above]!
      a = (raw[i]! + nearest(a, b, c)) & 255
      raw[i] = a
      c = b
    }
  }
}

/** RGB and RGBA, of which most pictures are: the channels side by side, as none waits for another. */
function fromNearest3(raw: Uint8Array, at: number, end: number, above: number): void {
  let [a0, a1, a2, c0, c1, c2] = [0, 0, 0, 0, 0, 0]
  for (let i = at; i < end; i += 3) {
    const b0 = raw[i - above]!
    const b1 = raw[i - above + 1]!
    const b2 = raw[i - above + 2]!
    a0 = (raw[i]! + nearest(a0, b0, c0)) & 255
    a1 = (raw[i + 1]! + nearest(a1, b1, c1)) & 255
    a2 = (raw[i + 2]! + nearest(a2, b2, c2)) & 255
    raw[i] = a0
    raw[i + 1] = a1
    raw[i + 2] = a2
    c0 = b0
    c1 = b1
    c2 = b2
  }
}

function fromNearest4(raw: Uint8Array, at: number, end: number, above: number): void {
  let [a0, a1, a2, a3, c0, c1, c2, c3] = [0, 0, 0, 0, 0, 0, 0, 0]
  for (let i = at; i < end; i += 4) {
    const b0 = raw[i - above]!
    const b1 = raw[i - above + 1]!
    const b2 = raw[i - above + 2]!
    const b3 = raw[i - above + 3]!
    a0 = (raw[i]! + nearest(a0, b0, c0)) & 255
    a1 = (raw[i + 1]! + nearest(a1, b1, c1)) & 255
    a2 = (raw[i + 2]! + nearest(a2, b2, c2)) & 255
    a3 = (raw[i + 3]! + nearest(a3, b3, c3)) & 255
    raw[i] = a0
    raw[i + 1] = a1
    raw[i + 2] = a2
    raw[i + 3] = a3
    c0 = b0
    c1 = b1
    c2 = b2
    c3 = b3
  }
}
