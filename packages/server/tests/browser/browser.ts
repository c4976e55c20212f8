/** A browser for tests of the playground, where one is installed. */
import { existsSync } from 'node:fs'
import axe from 'axe-core'
import type { FastifyInstance } from 'fastify'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { atEnd } from '../helpers.ts'

const names = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Its path: `KERNELET_CHROMIUM`, or where Debian and others put it; undefined, with a word, where there is none. */
export const installed: string | undefined = find()

function find(): string | undefined {
  const path = [process.env.KERNELET_CHROMIUM ?? '', ...names].find((one) => one !== '' && existsSync(one))
  if (path === undefined) console.warn('skipped: chromium is not installed; KERNELET_CHROMIUM may name one')
  return path
}

let browser: Promise<Browser> | undefined

/** A page of its own, without the cookies and storage of others; what goes wrong in it fails the test. */
export async function open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
  browser ??= launch()
  const context = await (await browser).newContext(options)
  atEnd(() => context.close())
  const page = await context.newPage()
  page.on('pageerror', (error) => expect.fail(`The page threw ${error.stack ?? error.message}`))
  page.on('console', (message) => {
    if (message.type() === 'error') expect.fail(`The page's console: ${message.text()}`)
  })
  await page.goto(url)
  await page.waitForSelector('[data-ready]')
  return page
}

async function launch(): Promise<Browser> {
  if (installed === undefined) throw new Error('There is no browser')
  // without the sandbox, which root may not have
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  const started = await chromium.launch({ executablePath: installed, args })
  atEnd(() => started.close())
  return started
}

/** Where a server listens, as a browser finds it. */
export async function addressOf(app: FastifyInstance): Promise<string> {
  return app.listen({ port: 0, host: '127.0.0.1' })
}

/** Fails for what WCAG's rules, as axe-core knows them, forbid. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source)
  const found = await page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run()
    return violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join('\n  ')}`,
    )
  })
  expect(found).toEqual([])
}

/** Fails where something is wider than the window. */
export async function expectNoSideways(page: Page): Promise<void> {
  const [whole, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  expect(whole).toBeLessThanOrEqual(window ?? 0)
}
