// Frames as they come; what cannot be kept up with is left out, so that an answer is never old.
// Run: node camera.js [FFMPEG ARGUMENTS for the input], such as -f v4l2 -i /dev/video0, or -re -i film.mp4;
// or frames of another program, grey 160×120 one after another: … | node camera.js -
import { spawn } from 'node:child_process'
import { DigitClassifier } from 'kernelet'

const [width, height] = [160, 120]
const size = width * height
const digits = DigitClassifier.load()
const args = process.argv.slice(2)
const input =
  args[0] === '-' ? process.stdin : ffmpeg(args.length > 0 ? args : ['-f', 'v4l2', '-i', '/dev/video0'])

let [frames, left, answered] = [0, 0, 0]
let working = false
let last = ''
for await (const frame of framesOf(input)) {
  frames++
  if (working) {
    left++
    continue
  }
  working = true
  digits
    .classifyAsync({ data: frame, width, height, channels: 1 })
    .then(({ status, digit, confidence }) => {
      answered++
      const line = status === 'digit' ? `${digit}  ${(100 * confidence).toFixed(1)} %` : status
      if (line.split(' ')[0] !== last) console.log(`frame ${frames}: ${line}`)
      last = line.split(' ')[0]
    })
    .finally(() => (working = false))
}
while (working) await new Promise((resolve) => setTimeout(resolve, 5))
console.log(`${frames} frames, ${answered} answered, ${left} left out`)
digits.dispose()

function ffmpeg(from) {
  const to = ['-vf', `scale=${width}:${height}`, '-pix_fmt', 'gray', '-f', 'rawvideo', '-']
  const child = spawn('ffmpeg', ['-loglevel', 'error', ...from, ...to], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.on('error', ({ message }) => {
    console.error(`ffmpeg cannot be started: ${message}`)
    process.exit(1)
  })
  return child.stdout
}

/** Whole frames out of a stream of bytes, each in memory of its own: a later one does not change it. */
async function* framesOf(stream) {
  let frame = new Uint8Array(size)
  let filled = 0
  for await (const chunk of stream) {
    for (let done = 0; done < chunk.length; ) {
      const part = chunk.subarray(done, done + size - filled)
      frame.set(part, filled)
      filled += part.length
      done += part.length
      if (filled < size) continue
      yield frame
      frame = new Uint8Array(size)
      filled = 0
    }
    // answers have their turn between two chunks
    await new Promise((resolve) => setImmediate(resolve))
  }
}
