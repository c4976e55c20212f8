/** Turns of the event loop until something is done, whatever else the machine is busy with. */
export async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let [turns, done] = [0, false]
  const again = (): void => {
    if (done) return
    turns++
    setImmediate(again)
  }
  setImmediate(again)
  try {
    await work
  } finally {
    done = true
  }
  return turns
}
