import { readFileSync } from 'node:fs'
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

/** Draws as a finger or a pen does: events of the browser's own, by what debuggers speak to it. */
async function drawBy(page: Page, by: 'finger' | 'pen', points: [number, number][]): Promise<void> {
  const box = await page.locator('.pad').boundingBox()
  if (!box) throw new Error('There is nothing to draw on')
  const session = await page.context().newCDPSession(page)
  const places = points.flatMap(([x, y], k) => {
    const [fromX, fromY] = points[Math.max(0, k - 1)] as [number, number]
    return Array.from({ length: 8 }, (_, i) => ({
      x: box.x + box.width * (fromX + ((x - fromX) * (i + 1)) / 8),
      y: box.y + box.height * (fromY + ((y - fromY) * (i + 1)) / 8),
    }))
  })
  const last = places.length - 1
  for (const [k, { x, y }] of places.entries()) {
    if (by === 'finger') {
      const type = k === 0 ? 'touchStart' : 'touchMove'
      await session.send('Input.dispatchTouchEvent', { type, touchPoints: [{ x, y, id: 1 }] })
    } else {
      const type = k === 0 ? 'mousePressed' : k === last ? 'mouseReleased' : 'mouseMoved'
      await session.send('Input.dispatchMouseEvent', {
        ...{ type, x, y, button: 'left', buttons: k === last ? 0 : 1, clickCount: 1 },
        ...{ pointerType: 'pen', force: 0.5 },
      })
    }
  }
  if (by === 'finger') await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
  await session.detach()
}

/** Drops or pastes a file; whether the page took it. */
function give(
  page: Page,
  how: 'drop' | 'paste',
  what: { base64: string; type: string; text?: string },
): Promise<boolean> {
  return page.evaluate(`(() => {
    const { how, base64, type, text } = ${JSON.stringify({ how, ...what })}
    const data = new DataTransfer()
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    if (text === undefined) data.items.add(new File([bytes], 'given', { type }))
    else data.setData(type, text)
    const options = { bubbles: true, cancelable: true }
    const target = document.querySelector('.pad')
    if (how === 'paste') return !target.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: data }))
    const over = new DragEvent('dragover', { ...options, dataTransfer: data })
    target.dispatchEvent(over)
    target.dispatchEvent(new DragEvent('drop', { ...options, dataTransfer: data }))
    return over.defaultPrevented
  })()`)
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
      await page.locator('.verdict', { hasText: /^3 \d/ }).waitFor()
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
      await page.locator('.verdict', { hasText: 'Nothing to see yet' }).waitFor()
      await expectSound(page)
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.locator('.verdict', { hasText: /^8 / }).waitFor()
      await page
        .locator('#picture')
        .setInputFiles(join(root, 'examples/digits/3-blue-pen-on-yellow-paper.png'))
      await page.locator('.verdict', { hasText: /^3 / }).waitFor()
      await page.locator('#picture').setInputFiles(join(root, 'LICENSE'))
      await page.getByText('That is no picture that this browser can read.').waitFor()
    })

    test.each(['finger', 'pen'] as const)('by %s', async (by) => {
      const page = await openPage(address, '/', { hasTouch: true })
      await page.locator('.verdict', { hasText: /^3 / }).waitFor()
      const seen = page.evaluate(
        `new Promise((resolve) => document.querySelector('.pad').addEventListener('pointerdown', (event) => resolve(event.pointerType), { once: true }))`,
      )
      await drawBy(page, by, seven)
      expect(await seen).toBe(by === 'finger' ? 'touch' : 'pen')
      await page.locator('.verdict', { hasText: /^7 / }).waitFor()
      // the page did not scroll away under the finger
      expect(await page.evaluate('scrollY')).toBe(0)
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.locator('.verdict', { hasText: /^7 / }).waitFor({ state: 'detached' })
    })

    test('a picture dropped or pasted; text is let be', async () => {
      const page = await openPage(address)
      const blue = readFileSync(join(root, 'examples/digits/3-blue-pen-on-yellow-paper.png'), 'base64')
      const pencil = readFileSync(join(root, 'examples/digits/1-pencil.png'), 'base64')
      await page.getByRole('button', { name: 'Clear' }).click()
      expect(await give(page, 'drop', { base64: blue, type: 'image/png' })).toBe(true)
      await page.locator('.verdict', { hasText: /^3 / }).waitFor()
      expect(await give(page, 'paste', { base64: pencil, type: 'image/png' })).toBe(true)
      await page.locator('.verdict', { hasText: /^1 / }).waitFor()
      expect(await give(page, 'paste', { base64: '', type: 'text/plain', text: 'words' })).toBe(false)
      await page.locator('.verdict', { hasText: /^1 / }).waitFor()
      await give(page, 'drop', { base64: 'AAAA', type: 'image/png' })
      await page.getByText('That is no picture that this browser can read.').waitFor()
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.locator('.verdict', { hasText: /^3 / }).waitFor()
    })

    test('what mattered, by covering and by gradient', async () => {
      const page = await openPage(address)
      const way = page.getByLabel('Found by')
      const map = (): Promise<number[]> =>
        page.locator('.heat').evaluate((one) => {
          const canvas = one as unknown as {
            hidden: boolean
            width: number
            height: number
            getContext(kind: '2d'): { getImageData(...box: number[]): { data: Uint8ClampedArray } }
          }
          return canvas.hidden
            ? []
            : [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]
        })
      expect(await map()).toEqual([])
      await page.getByLabel('What mattered, by').check()
      await page.getByText('less sure without').waitFor()
      await expect.poll(map).toHaveLength(4 * 28 * 28)
      const covered = await map()
      await way.selectOption('gradient')
      await page.getByText('speaks for').waitFor()
      // none at first: the other one is on its way
      await expect
        .poll(async () => {
          const found = await map()
          return found.length === covered.length && found.some((byte, i) => byte !== covered[i])
        })
        .toBe(true)
      await expectSound(page)
      await page.getByLabel('What mattered, by').uncheck()
      await expect.poll(map).toEqual([])
      await page.getByText('speaks for').waitFor({ state: 'hidden' })
    })

    test('by keys', async () => {
      const page = await openPage(address)
      const pad = page.getByRole('application', { name: 'Drawing', exact: true })
      await pad.focus()
      for (const key of [' ', ...Array.from({ length: 15 }, () => 'ArrowDown'), ' '])
        await page.keyboard.press(key)
      await page.locator('.verdict', { hasText: /^1 / }).waitFor()
      await page.keyboard.press('Delete')
      await page.locator('.verdict', { hasText: 'Nothing to see yet' }).waitFor()
    })

    test('beside LeNet-5 of 1998, what mattered, a model of the server', async () => {
      const page = await openPage(address)
      await page.getByLabel('beside LeNet-5 of 1998').check()
      await page.getByLabel('What mattered, by').check()
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
      // not in a dozen digits, which no axis has the room for
      expect(await page.getByRole('status').innerText()).not.toMatch(/\d{6}/)
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
        .filter({ hasText: /Step \d+ / })
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
