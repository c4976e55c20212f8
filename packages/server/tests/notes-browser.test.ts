/** The notes in a browser: every number follows from what is typed. */
import type { Page } from 'playwright-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { executablePath, expectSound, listening, openPage } from './browser.ts'

if (executablePath === undefined) {
  console.warn('notes: no Chromium was found (KERNELET_CHROMIUM names one), its tests are skipped')
}

/** What a grid shows, row by row, by the name under it. */
async function grid(page: Page, chapter: string, name: string): Promise<string[]> {
  return page
    .locator(`#${chapter} table[aria-label="${name}"] tr`)
    .evaluateAll((rows) =>
      rows.map((row) =>
        [...row.children].map((cell) => cell.querySelector('input')?.value ?? cell.textContent).join(' '),
      ),
    )
}

describe.skipIf(executablePath === undefined)('the notes', () => {
  let address = ''
  beforeAll(async () => {
    address = await listening()
  })

  test('a convolution, window by window, with numbers of one’s own', async () => {
    const page = await openPage(address, '/notes', { locale: 'en-GB' })
    const chapter = page.locator('#convolution')
    const map = () => grid(page, 'convolution', 'Feature map')
    await expect.poll(map).toEqual(['2 3', '0 −1'])
    const sum = chapter.locator('.sum')
    expect(await sum.innerText()).toContain('1·1 + 2·0 + 0·(−1) + 0·1 + 3·0 + 1·(−1) + 2·1 + 1·0 + 0·(−1)')
    expect(await sum.locator('strong').innerText()).toBe('2')
    expect(await chapter.locator('.marked').count()).toBe(9)

    await chapter.getByRole('button', { name: 'Next window' }).click()
    expect(await sum.locator('strong').innerText()).toBe('3')
    expect(await chapter.innerText()).toContain('2nd of 4 windows')
    await chapter.getByRole('button', { name: 'row 1, column 2: 3' }).focus()
    await page.keyboard.press('ArrowDown')
    expect(await sum.locator('strong').innerText()).toBe('−1')

    await chapter.getByLabel('Image, row 1, column 1', { exact: true }).fill('2.5')
    await expect.poll(map).toEqual(['3.5 3', '0 −1'])
    await chapter.getByLabel('Image, row 1, column 1', { exact: true }).fill('1')
    await chapter.getByLabel('Padding').selectOption('1')
    await expect.poll(map).toEqual(['−5 0 4 1', '−6 2 3 1', '−4 0 −1 3', '−1 1 −4 2'])
    expect(await chapter.innerText()).toContain('⌊(4 + 2·1 − 3) / 1⌋ + 1 = 4')
    await chapter.getByLabel('Stride').selectOption('2')
    await expect.poll(map).toEqual(['−5 4', '−4 −1'])
  })

  test('what does not fit is said in kernelet’s words', async () => {
    const page = await openPage(address, '/notes', { locale: 'en-GB' })
    await page.locator('#convolution').getByLabel('Filter size').selectOption('5')
    await expect
      .poll(() => page.locator('#convolution .notice').innerText())
      .toContain('Conv2d has a window of 5×5, larger than the 4×4 image')
    await page.locator('#sizes').getByLabel('Layer 1: size k').fill('64')
    await page.locator('#sizes').getByLabel('Image: height').fill('40')
    await expect
      .poll(() => page.locator('#sizes .notice').innerText())
      .toContain('Conv2d has a window of 64×64, larger than the 40×128 image')
  })

  test('sizes through a network', async () => {
    const page = await openPage(address, '/notes', { locale: 'en-GB' })
    const chapter = page.locator('#sizes')
    const outputs = () => chapter.locator('tbody td.number:nth-of-type(6)').allInnerTexts()
    await expect.poll(outputs).toEqual(['6×124×124', '6×62×62', '16×58×58', '16×29×29', '13456'])
    expect(await chapter.innerText()).toContain('2,872 parameters, 14,992,800 multiplications')
    await chapter.getByRole('button', { name: 'LeNet-5' }).click()
    await expect.poll(async () => (await outputs()).at(-1)).toBe('10')
    expect(await chapter.innerText()).toContain('44,426 parameters')
    await chapter.getByRole('button', { name: 'Remove layer 12' }).click()
    await expect.poll(async () => (await outputs()).length).toBe(11)
    await chapter.getByRole('button', { name: 'Add a layer' }).click()
    await expect.poll(() => chapter.locator('.notice').innerText()).toContain('Conv2d expects')
  })

  test('ReLU, pools, and their order', async () => {
    const page = await openPage(address, '/notes', { locale: 'en-GB' })
    await expect.poll(() => grid(page, 'pools', 'ReLU, then max pool')).toEqual(['2 4', '1 3'])
    expect(await grid(page, 'pools', 'ReLU, then mean pool')).toEqual(['0.5 2.25', '0.25 1.25'])
    expect(await grid(page, 'pools', 'mean pool, then ReLU')).toEqual(['0 2.25', '0 0'])
    expect(await page.locator('#pools .verdict').allInnerTexts()).toEqual(['= the same', '≠ not the same'])
    await page.locator('#pools').getByRole('button', { name: 'row 2, column 2: 3' }).hover()
    expect(await page.locator('#pools').innerText()).toContain('it stands in row 3, column 4')
  })

  test('LeNet-5 of 1998: its figures and its connection table', async () => {
    const page = await openPage(address, '/notes', { locale: 'en-GB' })
    const chapter = page.locator('#original')
    await expect.poll(() => chapter.innerText()).toContain('340,908')
    expect(await chapter.innerText()).toContain('60,000')
    expect(await chapter.locator('td.sees').count()).toBe(60)
    await chapter.getByRole('button', { name: 'C3, map 3' }).focus()
    expect(await chapter.innerText()).toContain('Map 3 of C3 sees the maps 3, 4 and 5 of S2.')
    expect(await page.locator('#lenet5 tfoot').innerText()).toContain('44,426')
  })

  test('a neuron learns step by step; gradients vanish and explode', async () => {
    const page = await openPage(address, '/notes', { locale: 'en-GB' })
    const output = page.locator('#neuron dd').first()
    await expect.poll(() => output.innerText()).toBe('0.37754')
    await page.locator('#neuron').getByRole('button', { name: 'One step downhill' }).click()
    await expect.poll(() => output.innerText()).toBe('0.54605')
    await page.locator('#neuron').getByLabel('input x2').fill('0')
    await expect.poll(() => page.locator('#neuron .sum strong').innerText()).toBe('2.6245')

    const chapter = page.locator('#gradients')
    await expect.poll(() => chapter.innerText()).toContain('6.1·10⁻⁵')
    expect(await chapter.locator('.notice[aria-live]').innerText()).toContain('It vanishes')
    await chapter.getByLabel('activation f').selectOption('relu')
    await chapter.getByLabel('sum z').fill('1')
    await chapter.getByLabel('weight w').fill('3')
    await expect.poll(() => chapter.innerText()).toContain('It explodes')
    await chapter.getByLabel('sum z').fill('-1')
    await expect.poll(() => chapter.innerText()).toContain('Nothing comes through')
  })

  test('in Spanish by the browser, the address or the switch; numbers stay', async () => {
    const page = await openPage(address, '/notes', { locale: 'es-ES' })
    expect(await page.locator('h1').innerText()).toBe('Las CNN de los apuntes')
    expect(await page.locator('main').getAttribute('lang')).toBe('es')
    await page.getByLabel('Imagen, fila 1, columna 1').fill('9.5')
    await expect.poll(() => grid(page, 'convolution', 'Mapa de características')).toEqual(['10,5 3', '0 −1'])
    await page.getByRole('button', { name: 'English' }).click()
    expect(await page.locator('h1').innerText()).toBe('CNNs from the notes')
    await expect.poll(() => grid(page, 'convolution', 'Feature map')).toEqual(['10.5 3', '0 −1'])
    const other = await openPage(address, '/notes?lang=es', { locale: 'en-GB' })
    expect(await other.locator('h1').innerText()).toBe('Las CNN de los apuntes')
  })

  test.each([
    ['light', 1280, 'en-GB'],
    ['dark', 1280, 'es-ES'],
    ['light', 390, 'es-ES'],
    ['dark', 390, 'en-GB'],
  ] as const)(
    'accessible, and no wider than the window: %s, %i pixels, %s',
    async (colorScheme, width, locale) => {
      const page = await openPage(address, '/notes', {
        colorScheme,
        locale,
        viewport: { width, height: 800 },
      })
      await expect.poll(() => page.locator('#original td.sees').count()).toBe(60)
      await expect.poll(() => page.locator('#gradients dd').first().innerText()).not.toBe('')
      await expectSound(page)
    },
  )
})
