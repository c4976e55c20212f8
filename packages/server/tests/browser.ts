/** A real browser for tests, where there is one. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { serveHere } from '../lib/process.ts'
import { type ServerOptions, settingsOf } from '../lib/settings.ts'
import { atEnd } from './helpers.ts'

/** Chromium as Debian and others install it, or what KERNELET_CHROMIUM names. */
export const executablePath: string | undefined = [
  process.env.KERNELET_CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
].find((path) => path !== undefined && existsSync(path))

/** Milliseconds that the browser has for what is waited for: a limit for what hangs. */
const PATIENCE = 120_000

let browser: Promise<Browser> | undefined

function launched(): Promise<Browser> {
  browser ??= chromium
    .launch({
      ...(executablePath !== undefined && { executablePath }),
      args: ['--no-sandbox'],
      timeout: PATIENCE,
    })
    .then((one) => {
      atEnd(() => one.close())
      return one
    })
  return browser
}

/** A server that listens, and its address. */
export async function listening(options: ServerOptions = {}): Promise<string> {
  const serving = await serveHere(settingsOf({ port: 0, logLevel: 'silent', grace: 1000, ...options }))
  atEnd(() => serving.drain())
  return serving.address
}

/** What the browser had to complain about on a page: errors, and refusals of the page's policy. */
const complaints = new WeakMap<Page, string[]>()

/** A page, drawn and ready. */
export async function openPage(
  address: string,
  path = '/',
  options: BrowserContextOptions = {},
  ready = true,
): Promise<Page> {
  const context = await (await launched()).newContext({ viewport: { width: 1280, height: 900 }, ...options })
  atEnd(() => context.close())
  context.setDefaultTimeout(PATIENCE)
  const page = await context.newPage()
  const heard: string[] = []
  complaints.set(page, heard)
  page.on('pageerror', (error) => heard.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' && !/status of (401|503)/.test(message.text())) heard.push(message.text())
  })
  await page.goto(address + path)
  if (ready) await page.waitForSelector('html[data-ready]')
  return page
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Nobody is kept out, nothing hangs over the edge, and the browser has nothing to complain about. */
export async function expectSound(page: Page): Promise<void> {
  await page.evaluate(axe)
  const violations = await page.evaluate(async () => {
    const { violations } = await (
      globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
      }
    ).axe.run()
    return violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`,
    )
  })
  expect(violations).toEqual([])
  const wide = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
  expect(wide).toBeLessThanOrEqual(0)
  expect(complaints.get(page)).toEqual([])
}
