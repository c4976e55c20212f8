/** Every state that a page can be in keeps nobody out, in both colours, at a desk and on a telephone. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { executablePath, expectSound, listening, openPage } from './browser.ts'
import { folder, root, saveSmall, writeToken } from './helpers.ts'

if (executablePath === undefined) {
  console.warn('states: no Chromium was found (KERNELET_CHROMIUM names one), its tests are skipped')
}

/** A folder for pictures of all states, to be looked at; default: none are taken. */
const pictures = process.env.KERNELET_SCREENSHOTS

const desk = { width: 1280, height: 900 }
const telephone = { width: 360, height: 740 }

/** Looks at a state in both colours: where pictures are taken in all four ways, else in two. */
async function expectSoundEverywhere(page: Page, state: string): Promise<void> {
  const ways = [
    ['light', desk],
    ['dark', telephone],
    ...(pictures === undefined
      ? []
      : ([
          ['light', telephone],
          ['dark', desk],
        ] as const)),
  ] as const
  for (const [colorScheme, viewport] of ways) {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize(viewport)
    await expectSound(page)
    if (pictures !== undefined) {
      mkdirSync(pictures, { recursive: true })
      const path = join(pictures, `${state}-${colorScheme}-${viewport.width}.png`)
      await page.screenshot({ path, fullPage: true })
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize(desk)
}

/** A line on the drawing, from and to shares of its side. */
async function line(page: Page, from: [number, number], to: [number, number]): Promise<void> {
  const box = await page.locator('.pad').boundingBox()
  if (!box) throw new Error('There is nothing to draw on')
  await page.mouse.move(box.x + from[0] * box.width, box.y + from[1] * box.height)
  await page.mouse.down()
  await page.mouse.move(box.x + to[0] * box.width, box.y + to[1] * box.height, { steps: 8 })
  await page.mouse.up()
}

describe.skipIf(executablePath === undefined)('states', () => {
  const files = folder()
  let address = ''
  beforeAll(async () => {
    saveSmall(join(files, 'small.onnx'))
    address = await listening({ model: { small: join(files, 'small.onnx') } })
  })

  test('of a drawing: read, empty, several signs, a picture that is none', async () => {
    const page = await openPage(address)
    await page.locator('.verdict', { hasText: /^3 / }).waitFor()
    await expectSoundEverywhere(page, 'draw')
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.locator('.verdict', { hasText: 'Nothing to see yet' }).waitFor()
    await expectSoundEverywhere(page, 'draw-empty')
    await line(page, [0.2, 0.2], [0.2, 0.8])
    await line(page, [0.8, 0.2], [0.8, 0.8])
    await page.locator('.verdict', { hasText: /several|more than one/i }).waitFor()
    await expectSoundEverywhere(page, 'draw-several')
    await page.locator('#picture').setInputFiles(join(root, 'LICENSE'))
    await page.getByText('That is no picture that this browser can read.').waitFor()
    await expectSoundEverywhere(page, 'draw-no-picture')
  })

  test('of what is shown: a value explained, what mattered, two networks, a model of ONNX', async () => {
    const page = await openPage(address)
    await page.locator('.verdict', { hasText: /^3 / }).waitFor()
    await page.getByRole('application', { name: /^conv1/ }).press('Enter')
    await page.getByText('25 multiplications').waitFor()
    await page.getByLabel('What mattered, by').check()
    await page.getByText('less sure without').waitFor()
    await expectSoundEverywhere(page, 'draw-explained')
    await page.getByLabel('beside LeNet-5 of 1998').check()
    await page.getByText('Connection table').click()
    await expect.poll(() => page.locator('.verdict', { hasText: /^3 / }).count()).toBe(2)
    await expectSoundEverywhere(page, 'draw-beside')
    await page.getByLabel('beside LeNet-5 of 1998').uncheck()
    await page.getByLabel('Network').selectOption('small')
    await page.getByRole('application', { name: /^conv/ }).first().waitFor()
    await expectSoundEverywhere(page, 'draw-onnx')
  })

  test('of a page whose server does not answer as it should', async () => {
    const page = await openPage(address)
    await page.locator('.verdict', { hasText: /^3 / }).waitFor()
    const error = 'too much to do'
    await page.route('**/playground/activations*', (route) => route.fulfill({ status: 503, json: { error } }))
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.getByRole('button', { name: 'Example of 8' }).click()
    await page.getByRole('alert').filter({ hasText: error }).waitFor()
    await expectSoundEverywhere(page, 'draw-fault')
  })

  test('of training: no drawings yet, under way, stopped, diverged', async () => {
    const page = await openPage(address, '/train')
    await page.getByText('Add drawings of two signs at least to begin.').waitFor()
    await expectSoundEverywhere(page, 'train-begin')
    await page.getByRole('button', { name: 'Add 10 of each digit' }).click()
    await page.getByText('100 drawings of 10 signs.').waitFor()
    await page.getByRole('button', { name: 'Train', exact: true }).click()
    const status = page.getByRole('status')
    await status.filter({ hasText: /Step \d+ / }).waitFor()
    await expectSoundEverywhere(page, 'train-running')
    // it may have come to its end meanwhile
    const stop = page.getByRole('button', { name: 'Stop' })
    if (await stop.isEnabled()) await stop.click()
    await status.filter({ hasText: /Stopped\.|Done\./ }).waitFor()
    await expectSoundEverywhere(page, 'train-stopped')
    await page.getByRole('button', { name: 'Exploding gradient' }).click()
    await page.getByRole('button', { name: 'Show it' }).click()
    await page.getByText(/Training diverged at step/).waitFor()
    await expectSoundEverywhere(page, 'train-diverged')
  })

  test('of the service, and of a form for the token', async () => {
    const service = await openPage(address, '/service')
    await service.getByRole('row', { name: /^small / }).waitFor()
    await expectSoundEverywhere(service, 'service')
    const guarded = await listening({ tokenFile: writeToken(join(files, 'token'), 'secret') })
    const page = await openPage(guarded, '/', {}, false)
    await page.getByLabel('Token', { exact: true }).waitFor()
    await expectSoundEverywhere(page, 'token')
    await page.getByLabel('Token', { exact: true }).fill('wrong')
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.getByText('That token was not accepted.').waitFor()
    await expectSoundEverywhere(page, 'token-wrong')
  })

  test.each(['en', 'es'])('of the notes (%s): as they come, and what does not fit', async (lang) => {
    const page = await openPage(address, `/notes?lang=${lang}`)
    await expect.poll(() => page.locator('#original td.sees').count()).toBe(60)
    await expect.poll(() => page.locator('#gradients dd').first().innerText()).not.toBe('')
    await expectSoundEverywhere(page, `notes-${lang}`)
    await page
      .locator('#convolution')
      .getByLabel(/^(Filter size|Tamaño del filtro)$/)
      .selectOption('5')
    await page.locator('#convolution .notice').filter({ hasText: 'Conv2d has a window of 5×5' }).waitFor()
    await expectSoundEverywhere(page, `notes-${lang}-misfit`)
  })
})
