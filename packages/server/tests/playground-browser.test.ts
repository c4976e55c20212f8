import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { executablePath, expectSound, listening, openPage } from './browser.ts'
import { folder, root, saveSmall, writeToken } from './helpers.ts'

if (executablePath === undefined) {
  console.warn('playground: no Chromium was found (KERNELET_CHROMIUM names one), its tests are skipped')
}

const files = folder()
let address = ''

/** Draws lines through points that are shares of the drawing's side. */
async function draw(page: Page, ...strokes: [number, number][][]): Promise<void> {
  const box = await page.locator('.pad').boundingBox()
  if (!box) throw new Error('There is nothing to draw on')
  for (const [first, ...rest] of strokes) {
    const at = ([x, y]: [number, number]): [number, number] => [box.x + x * box.width, box.y + y * box.height]
    await page.mouse.move(...at(first as [number, number]))
    await page.mouse.down()
    for (const point of rest) await page.mouse.move(...at(point), { steps: 8 })
    await page.mouse.up()
  }
}

const seven: [number, number][] = [
  [0.3, 0.2],
  [0.7, 0.2],
  [0.5, 0.55],
  [0.42, 0.85],
]

describe.skipIf(executablePath === undefined)('in a browser', () => {
  beforeAll(async () => {
    saveSmall(join(files, 'small.onnx'))
    address = await listening({ model: { small: join(files, 'small.onnx') } })
  })

  describe('drawing', () => {
    test('by pointer: the answer, all maps, and of what a value is made', async () => {
      const page = await openPage(address)
      await page.getByText(/^3 \d/).waitFor()
      await draw(page, seven)
      await page.locator('.verdict', { hasText: /^7 / }).waitFor()
      expect(await page.locator('.step').count()).toBe(13)
      const blank = await page.locator('.step > .scroll > canvas').evaluateAll(
        (canvases) =>
          (
            canvases as unknown as {
              getContext(kind: '2d'): { getImageData(...box: number[]): { data: Uint8ClampedArray } }
              width: number
              height: number
            }[]
          ).filter((canvas) => {
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
            return new Set(data).size < 5
          }).length,
      )
      expect(blank).toBe(0)

      const maps = page.getByRole('application', { name: /^conv1/ })
      await maps.click({ position: { x: 50, y: 50 } })
      const explanation = page.locator('.explain')
      await explanation.getByText('25 multiplications').waitFor()
      const formula = (await explanation.locator('p > code').last().innerText()).replaceAll('−', '-')
      const [, sum, sign, bias, value] =
        /^(.+) ([+-]) bias (.+) = (.+)$/.exec(formula.replace('+ bias -', '- bias ')) ?? []
      expect(Number(sum) + (sign === '-' ? -1 : 1) * Number(bias)).toBeCloseTo(Number(value), 2)
      // where the largest of a pool came from
      await page.getByRole('application', { name: /^maxPool2d_1/ }).press('Enter')
      await explanation.getByText(/The largest of 4, from row \d, column \d of relu_1/).waitFor()
      await expectSound(page)
    })

    test('undo, clear, examples, a picture', async () => {
      const page = await openPage(address)
      await page.getByRole('button', { name: 'Example of 8' }).click()
      await page.locator('.verdict', { hasText: /^8 / }).waitFor()
      await page.getByRole('button', { name: 'Clear' }).click()
      await page.getByText('Nothing to see yet').waitFor()
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.locator('.verdict', { hasText: /^8 / }).waitFor()
      await page
        .locator('#picture')
        .setInputFiles(join(root, 'examples/digits/3-blue-pen-on-yellow-paper.png'))
      await page.locator('.verdict', { hasText: /^3 / }).waitFor()
      await page.locator('#picture').setInputFiles(join(root, 'LICENSE'))
      await page.getByText('That is no picture that this browser can read.').waitFor()
    })

    test('by keys', async () => {
      const page = await openPage(address)
      const pad = page.getByRole('application', { name: 'Drawing', exact: true })
      await pad.focus()
      for (const key of [' ', ...Array.from({ length: 15 }, () => 'ArrowDown'), ' '])
        await page.keyboard.press(key)
      await page.locator('.verdict', { hasText: /^1 / }).waitFor()
      await page.keyboard.press('Delete')
      await page.getByText('Nothing to see yet').waitFor()
    })

    test('beside LeNet-5 of 1998, what mattered, a model of the server', async () => {
      const page = await openPage(address)
      await page.getByLabel('beside LeNet-5 of 1998').check()
      await page.getByLabel('What mattered').check()
      await draw(page, seven)
      await expect
        .poll(() => page.locator('.verdict').allInnerTexts())
        .toEqual([expect.stringMatching(/^7 /), expect.stringMatching(/^7 /)])
      await page.getByText('Connection table').click()
      expect(await page.locator('.connections .on').count()).toBe(60)
      await page.getByText('Filters (6 of 5×5)').first().click()
      await expect
        .poll(() => page.locator('.heat').evaluate((one) => (one as unknown as { width: number }).width))
        .toBe(28)
      await expectSound(page)
      await page.getByLabel('Network').selectOption('small')
      await page.getByRole('application', { name: /^conv/ }).first().waitFor()
      await page
        .getByText(/^small, served here$/)
        .nth(1)
        .waitFor()
    })
  })

  describe('training', () => {
    test('the vanishing gradient, and its cure', async () => {
      const page = await openPage(address, '/train')
      await page.getByRole('button', { name: 'Vanishing gradient' }).click()
      await page.getByRole('button', { name: 'Show it' }).click()
      await page.getByRole('status').filter({ hasText: 'Done.' }).waitFor()
      const gradients = page.getByRole('img', { name: /^Gradient norm/ })
      const norms = [...((await gradients.getAttribute('aria-label')) ?? '').matchAll(/: ([\d.e-]+)/g)].map(
        ([, one]) => Number(one),
      )
      expect(norms).toHaveLength(9)
      expect(norms[0]).toBeLessThan((norms[8] ?? 0) / 500)
      await page.getByRole('button', { name: 'Cure it: ReLU' }).click()
      await page
        .getByRole('status')
        .filter({ hasText: '100 % of what it learns from right. Done.' })
        .waitFor()
      await expectSound(page)
    })

    test('the exploding gradient', async () => {
      const page = await openPage(address, '/train')
      await page.getByRole('button', { name: 'Exploding gradient' }).click()
      await page.getByRole('button', { name: 'Show it' }).click()
      await page.getByText(/Training diverged at step/).waitFor()
      await page.getByRole('button', { name: 'Cure it' }).click()
      await page.getByRole('status').filter({ hasText: 'Done.' }).waitFor()
    })

    test('drawings: stopped, resumed, looked into; it ends with the page', async () => {
      const page = await openPage(address, '/train')
      await page.getByRole('button', { name: 'Add 10 of each digit' }).click()
      await page.getByText('100 drawings of 10 signs.').waitFor()
      await page.getByRole('button', { name: 'Train', exact: true }).click()
      await page
        .getByRole('status')
        .filter({ hasText: /Step \d{3} / })
        .waitFor()
      await page.getByRole('button', { name: 'Stop' }).click()
      const status = page.getByRole('status')
      await status.filter({ hasText: 'Stopped.' }).waitFor()
      const step = async (): Promise<number> => Number(/\d+/.exec(await status.innerText())?.[0])
      const stopped = await step()
      await page.waitForTimeout(300)
      await page.getByRole('button', { name: 'Resume' }).click()
      await expect.poll(step).toBeGreaterThan(stopped)
      // one run at a time
      const busy = await fetch(`${address}/playground/train?task=vanishing`, { method: 'POST' })
      expect([busy.status, await busy.json()]).toEqual([
        503,
        { error: expect.stringContaining('one run at a time') },
      ])
      await page.getByRole('button', { name: 'Stop' }).click()
      await page.getByRole('link', { name: 'Draw with this network' }).click()
      await page.locator('.verdict', { hasText: /^\d / }).waitFor()
      expect(await page.getByLabel('Network').inputValue()).toBe('@trained')
      await page.goto(`${address}/train`)
      await page.getByRole('button', { name: 'Vanishing gradient' }).click()
      await page.getByRole('button', { name: 'Show it' }).click()
      await page
        .getByRole('status')
        .filter({ hasText: /Step \d+ / })
        .waitFor()
      await page.close()
      await expect
        .poll(async () => {
          const controller = new AbortController()
          const url = `${address}/playground/train?task=vanishing`
          const { status } = await fetch(url, { method: 'POST', signal: controller.signal })
          controller.abort()
          return status
        })
        .toBe(200)
    })
  })

  test('the figures of the service', async () => {
    const page = await openPage(address, '/service')
    const infer = (): Promise<Response> =>
      fetch(`${address}/v2/models/small/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 1, 8, 8], data: new Array(64).fill(0.5) }],
        }),
      })
    await Promise.all(Array.from({ length: 20 }, infer))
    await page.getByRole('row', { name: /^small 20 0 0/ }).waitFor()
    await page.getByRole('img', { name: /^Answers a second. answered: (?!nothing)/ }).waitFor()
    await expectSound(page)
  })

  test.each(['light', 'dark'] as const)(
    'all pages in %s colours, and on a telephone',
    async (colorScheme) => {
      for (const path of ['/', '/train', '/service']) {
        const page = await openPage(address, path, {
          colorScheme,
          viewport: { width: 360, height: 740 },
          hasTouch: true,
          isMobile: true,
        })
        await expectSound(page)
        const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor')
        expect(ground).toBe(colorScheme === 'dark' ? 'rgb(16, 20, 21)' : 'rgb(247, 248, 248)')
        await page.getByRole('button', { name: /colours$/ }).click()
        expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).not.toBe(ground)
        await expectSound(page)
      }
    },
  )

  test('a server that wants a token asks for it', async () => {
    const guarded = await listening({ tokenFile: writeToken(join(files, 'token'), 'secret') })
    const page = await openPage(guarded, '/', {}, false)
    await page.getByLabel('Token', { exact: true }).fill('wrong')
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.getByText('That token was not accepted.').waitFor()
    await expectSound(page)
    await page.getByLabel('Token', { exact: true }).fill('secret')
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.locator('.verdict', { hasText: /^3 / }).waitFor()
  })
})
