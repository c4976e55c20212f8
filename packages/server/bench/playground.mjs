/**
 * The playground's figures, in Chromium against a server on this machine: bytes to load, time to first use, from a
 * stroke to all maps on the screen, frames while drawing, and what all that does to the server's event loop:
 *
 *     node packages/server/bench/playground.mjs [SECONDS]
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

/** Milliseconds between two looks of Node at its event loop, which it counts as delay. */
const RESOLUTION = 10

const seconds = Number(process.argv[2] ?? 10)
const port = 18_080
const address = `http://127.0.0.1:${port}`
const kernelet = fileURLToPath(new URL('../../../bin/kernelet.js', import.meta.url))
const server = spawn(process.execPath, [kernelet, 'serve', '--port', String(port), '--log-level', 'error'], {
  stdio: ['ignore', 'inherit', 'inherit'],
})
const executablePath = process.env.KERNELET_CHROMIUM ?? '/usr/bin/chromium'
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
try {
  await ready()
  await load()
  await draw()
} finally {
  await browser.close()
  server.kill()
}

async function ready() {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await fetch(`${address}/v2/health/ready`).catch(() => undefined)
    if (answer?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('The server did not become ready')
}

/** Bytes of all pages as they come over the wire, and the time from nothing to a drawing with its maps. */
async function load() {
  for (const path of ['/', '/train', '/service']) {
    const times = []
    let bytes = 0
    for (let round = 0; round < 5; round++) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
      const page = await context.newPage()
      await page.goto(address + path)
      await page.waitForSelector('html[data-ready]')
      if (path === '/') await page.waitForSelector('.verdict strong')
      times.push(await page.evaluate(() => performance.now()))
      bytes = await page.evaluate(() =>
        [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
          .filter(({ name }) => !name.includes('/playground/') && !name.endsWith('/metrics'))
          .reduce((sum, { transferSize }) => sum + transferSize, 0),
      )
      await context.close()
    }
    const time = quantile(times, 0.5)
    console.log(`${path}: ${(bytes / 1000).toFixed(1)} kB, ${time.toFixed(0)} ms to first use`)
  }
}

async function draw() {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  await page.goto(address)
  await page.waitForSelector('.verdict strong')
  const box = await page.locator('.pad').boundingBox()
  for (const [what, every] of [
    ['', undefined],
    [', worst second', 1000],
  ]) {
    const lag = await startLag(every)
    await page.waitForTimeout(3000)
    console.log(`delay of the server's event loop, nobody draws, p99${what}: ${(await lag()).toFixed(1)} ms`)
  }
  await page.evaluate(() => {
    performance.clearMeasures()
    window.frames_ = []
    const frame = (now) => {
      window.frames_.push(now)
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
  })
  const lag = await startLag()
  await scribble(page, box)
  const whole = await lag()
  const { measures, frames } = await page.evaluate(() => ({
    measures: performance.getEntriesByName('stroke-to-maps').map(({ duration }) => duration),
    frames: window.frames_,
  }))
  const gaps = frames.slice(1).map((at, k) => at - frames[k])
  console.log(
    `from a stroke to all maps: p50 ${quantile(measures, 0.5).toFixed(1)} ms, p95 ${quantile(measures, 0.95).toFixed(1)} ms, ` +
      `p99 ${quantile(measures, 0.99).toFixed(1)} ms (${measures.length} drawings)`,
  )
  console.log(
    `frames while drawing: ${((1000 * gaps.length) / (frames.at(-1) - frames[0])).toFixed(1)} a second, ` +
      `${((100 * gaps.filter((gap) => gap > 25).length) / gaps.length).toFixed(1)} % late`,
  )
  const bySecond = await startLag(1000)
  await scribble(page, box)
  console.log(
    `delay of the server's event loop meanwhile, p99: ${whole.toFixed(1)} ms; of the worst second ${(await bySecond()).toFixed(1)} ms`,
  )
}

/** Draws rings. */
async function scribble(page, box) {
  const end = performance.now() + 1000 * seconds
  let turn = 0
  while (performance.now() < end) {
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.mouse.move(box.x + 0.3 * box.width, box.y + 0.3 * box.height)
    await page.mouse.down()
    for (let k = 0; k < 60; k++) {
      const angle = (k / 60) * 2 * Math.PI + turn
      await page.mouse.move(
        box.x + box.width * (0.5 + 0.28 * Math.cos(angle)),
        box.y + box.height * (0.5 + 0.33 * Math.sin(angle)),
      )
    }
    await page.mouse.up()
    turn++
  }
}

/**
 * The p99 of the event loop's delay until the function that comes is called, in milliseconds; or the largest of those of
 * all stretches of `every` milliseconds. The metrics begin anew with every look, and a look takes a millisecond or two
 * itself, which counts among the hundred that a second has.
 */
async function startLag(every) {
  let most = 0
  const look = async () => {
    const text = await (await fetch(`${address}/metrics`)).text()
    const seconds = Number(/^nodejs_eventloop_lag_p99_seconds (\S+)/m.exec(text)?.[1])
    most = Math.max(most, 1000 * seconds - RESOLUTION)
  }
  await look()
  most = 0
  const timer = every === undefined ? undefined : setInterval(look, every)
  return async () => {
    clearInterval(timer)
    if (every === undefined) await look()
    return most
  }
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}
