/** Draw, and see what every step of a network makes of it. */
import './draw.css'
import { askJson } from '../api.ts'
import { button, h } from '../dom.ts'
import type { Page } from '../page.ts'
import { largestOf, pixelsOf } from './maps.ts'
import { openNetwork } from './network.ts'
import { NetworkView, type Pointed } from './network-view.ts'
import { type Mark, Pad, SIDE } from './pad.ts'
import type { Region } from './receptive-field.ts'
import { exampleOf } from './strokes.ts'
import type { Activations, Box, Network, Unclear } from './types.ts'
import { Watcher } from './watcher.ts'

const ORIGINAL = '@lenet5-1998'

export const page: Page = {
  title: 'Draw',
  async mount(root) {
    const models = await askJson<{ id: string; title: string }[]>('playground/models')
    const views = new Map<string, NetworkView>()
    const results = new Map<string, Activations | Unclear | undefined>()
    const spoken = h('p', { class: 'sr', 'aria-live': 'polite' })
    const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true })

    const watcher = new Watcher({
      networks: () => [...views.keys()],
      snapshot: () => (pad.empty ? undefined : pad.snapshot()),
      occlusion: () => heatShown.checked,
      show(shown) {
        problem.hidden = true
        for (const [id, activations] of shown) {
          results.set(id, activations)
          views.get(id)?.show(activations)
        }
        paintHeat()
        say()
      },
      failed(error) {
        problem.hidden = false
        problem.textContent = error instanceof Error ? error.message : String(error)
      },
    })

    const pad = new Pad('Drawing', 'pad-help', (since) => {
      undo.disabled = !pad.canUndo
      watcher.changed(since)
    })
    const undo = button('Undo', () => pad.undo(), { disabled: true })
    const clear = button('Clear', () => pad.clear())
    const file = h('input', { type: 'file', accept: 'image/*', id: 'picture', class: 'sr' })
    const examples = h(
      'div',
      { class: 'examples', role: 'group', 'aria-label': 'Examples' },
      ...Array.from({ length: 10 }, (_, digit) =>
        button(String(digit), () => pad.show(exampleOf(digit, Math.random)), {
          'aria-label': `Example of ${digit}`,
        }),
      ),
    )
    const heat = h('canvas', { class: 'heat', 'aria-hidden': 'true' })
    const heatShown = h('input', { type: 'checkbox', id: 'heat' })
    heatShown.addEventListener('change', () => watcher.changed())
    const choice = h(
      'select',
      { id: 'network' },
      ...models.map(({ id, title }) => h('option', { value: id }, title)),
    )
    const wished = new URLSearchParams(location.search).get('network')
    if (models.some(({ id }) => id === wished)) choice.value = wished ?? choice.value
    const beside = h('input', { type: 'checkbox', id: 'beside' })
    const networks = h('div', { class: 'networks' })
    const explanation = h(
      'section',
      { class: 'explain', 'aria-label': 'The value that is pointed at', tabindex: 0 },
      hint(),
    )

    root.append(
      h('h1', { class: 'sr' }, 'Draw a digit, and see what a network sees'),
      h(
        'div',
        { class: 'draw' },
        h(
          'div',
          { class: 'side' },
          h(
            'section',
            { class: 'card', 'aria-label': 'Drawing' },
            h('h2', {}, 'Draw a digit'),
            h('div', { class: 'paper' }, pad.element, heat),
            h(
              'div',
              { class: 'row' },
              undo,
              clear,
              h('label', { class: 'button', for: 'picture' }, 'Picture…'),
              file,
            ),
            examples,
            h('label', { class: 'check' }, heatShown, 'What mattered'),
            h(
              'p',
              { class: 'faint', id: 'pad-help' },
              'By mouse, finger or pen; with keys: arrows move the pen, space lowers and lifts it, Backspace undoes, Delete clears. A picture may be dropped or pasted.',
            ),
          ),
          legend(),
        ),
        h(
          'div',
          { class: 'main' },
          h(
            'div',
            { class: 'row choose' },
            h('label', { for: 'network' }, 'Network'),
            choice,
            h('label', { class: 'check' }, beside, 'beside LeNet-5 of 1998'),
          ),
          problem,
          networks,
          explanation,
        ),
      ),
      spoken,
    )

    const pointed: Pointed = (network, value) => {
      const activations = results.get(network.id)
      const known = value && activations?.status === 'ready'
      pad.mark(known ? markOf(network, activations, value.field) : undefined)
      explanation.classList.toggle('pointed', value !== undefined)
      explanation.replaceChildren(...(value?.explanation ?? [hint()]))
    }
    const paintHeat = (): void => {
      const first = results.get(choice.value)
      const network = views.get(choice.value)?.network
      heat.hidden = !(heatShown.checked && first?.status === 'ready' && first.heat && network)
      if (heat.hidden || first?.status !== 'ready' || !first.heat || !network) return
      const { side, values } = first.heat
      heat.width = heat.height = side
      heat.getContext('2d')?.putImageData(pixelsOf(values, side, side, largestOf(values), true), 0, 0)
      const [, height = 1, width = 1] = network.info.input.shape
      const whole = markOf(network, first, { top: 0, left: 0, bottom: height - 1, right: width - 1 })
      for (const [name, value] of [
        ['left', whole.x],
        ['top', whole.y],
        ['width', whole.width],
        ['height', whole.height],
      ] as const) {
        heat.style[name] = `${100 * value}%`
      }
    }
    let speaking: ReturnType<typeof setTimeout> | undefined
    const say = (): void => {
      clearTimeout(speaking)
      // when the hand rests
      speaking = setTimeout(
        () => (spoken.textContent = [...views.values()].map((view) => view.verdict).join('; ')),
        700,
      )
    }
    const open = async (): Promise<void> => {
      const wanted = [choice.value, ...(beside.checked && choice.value !== ORIGINAL ? [ORIGINAL] : [])]
      beside.disabled = choice.value === ORIGINAL
      for (const id of views.keys()) if (!wanted.includes(id)) views.delete(id)
      try {
        for (const id of wanted) {
          if (views.has(id)) continue
          const title = models.find((one) => one.id === id)?.title ?? id
          views.set(id, new NetworkView(await openNetwork(id, title), pointed))
        }
        problem.hidden = true
      } catch (error) {
        problem.hidden = false
        problem.textContent = error instanceof Error ? error.message : String(error)
      }
      networks.replaceChildren(...wanted.flatMap((id) => views.get(id)?.element ?? []))
      networks.classList.toggle('two', views.size > 1)
      for (const [id, view] of views) view.show(results.get(id))
      watcher.changed()
    }
    choice.addEventListener('change', open)
    beside.addEventListener('change', open)
    takePictures(pad, file, (error) => {
      problem.hidden = false
      problem.textContent = error
    })
    pad.show(exampleOf(3), true)
    await open()
  },
}

/** A file that is chosen, dropped or pasted. */
function takePictures(pad: Pad, input: HTMLInputElement, failed: (why: string) => void): void {
  const take = async (picture: Blob | null | undefined): Promise<void> => {
    if (!picture) return
    try {
      await pad.showPicture(picture)
    } catch {
      failed('That is no picture that this browser can read.')
    }
  }
  input.addEventListener('change', () => {
    void take(input.files?.[0])
    input.value = ''
  })
  addEventListener('dragover', (event) => event.preventDefault())
  addEventListener('drop', (event) => {
    event.preventDefault()
    void take(event.dataTransfer?.files[0])
  })
  addEventListener('paste', (event) => void take(event.clipboardData?.files[0]))
}

/** A part of the input as a part of the drawing. */
function markOf({ info }: Network, { boxes, values }: Activations, field: Region): Mark {
  const [, height = 1, width = 1] = info.input.shape
  const [box] = boxes
  const image = values[0]
  const mark = (scale: number, x: number, y: number): Mark => ({
    x: x + field.left * scale,
    y: y + field.top * scale,
    width: (field.right - field.left + 1) * scale,
    height: (field.bottom - field.top + 1) * scale,
  })
  if (info.input.fit !== 'digit' || !box || !image) return mark(1 / width, 0, 0)
  // the ink's longer side was brought to 20 pixels
  const { x, y } = box as Box
  const scale = Math.max(box.width, box.height) / 20 / SIDE
  const ground = Math.min(...image)
  let [left, top] = [width, height]
  for (const [i, value] of image.entries()) {
    if (value - ground < 0.1) continue
    left = Math.min(left, i % width)
    top = Math.min(top, Math.floor(i / width))
  }
  return mark(scale, x / SIDE - left * scale, y / SIDE - top * scale)
}

function hint(): HTMLElement {
  return h(
    'p',
    { class: 'faint' },
    'Point at a value of any map: here is what it was computed from, and the drawing shows its receptive field. A click keeps it; with keys, arrows go from value to value and Page Down to the next map.',
  )
}

function legend(): HTMLElement {
  return h(
    'section',
    { class: 'card legend', 'aria-label': 'Legend' },
    h('h2', {}, 'How to read the maps'),
    h('div', { class: 'scale', 'aria-hidden': 'true' }),
    h(
      'div',
      { class: 'row ends faint' },
      h('span', {}, 'negative'),
      h('span', {}, '0'),
      h('span', {}, 'positive'),
    ),
    h(
      'p',
      { class: 'faint' },
      'Every square is one number that the network computed, from top to bottom in the order of its steps; each step has a scale of its own. “What mattered” covers the drawing place by place: where the network becomes less sure of its answer, it is coloured.',
    ),
  )
}
