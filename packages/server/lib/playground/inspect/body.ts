/**
 * Numbers with a header: four bytes of its length, JSON filled up with blanks to a multiple of four, then float32 in
 * this machine's order, which is the page's too. `lengths` of the header says how many numbers each array has.
 */
export function body(head: object, arrays: readonly Float32Array[]): ArrayBuffer {
  const json = Buffer.from(JSON.stringify({ ...head, lengths: arrays.map(({ length }) => length) }))
  const start = 4 + 4 * Math.ceil(json.length / 4)
  const whole = new ArrayBuffer(start + 4 * arrays.reduce((sum, { length }) => sum + length, 0))
  new DataView(whole).setUint32(0, start - 4, true)
  new Uint8Array(whole, 4, start - 4).fill(0x20).set(json)
  let at = start
  for (const array of arrays) {
    new Float32Array(whole, at, array.length).set(array)
    at += 4 * array.length
  }
  return whole
}
