/** Draw, and see what every step of a network makes of it. */
import './draw.css'
import { askJson } from '../api.ts'
import { button, h } from '../dom.ts'
import type { Page } from '../page.ts'
import { Heat } from './heat.ts'
import { markOf } from './mark.ts'
import { openNetwork } from './network.ts'
import { NetworkView, type Pointed } from './network-view.ts'
import { Pad } from './pad.ts'
import { exampleOf } from './strokes.ts'
import type { Activations, Unclear } from './types.ts'
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
      heat: () => heat.kind,
      show(shown) {
        problem.hidden = true
        for (const [id, activations] of shown) {
          results.set(id, activations)
          views.get(id)?.show(activations)
        }
        showHeat()
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
    const heat = new Heat(() => {
      showHeat()
      watcher.changed()
    })
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
            h('div', { class: 'paper' }, pad.element, heat.canvas),
            h(
              'div',
              { class: 'row' },
              undo,
              clear,
              h('label', { class: 'button', for: 'picture' }, 'Picture…'),
              file,
            ),
            examples,
            heat.element,
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
      // from then on it keeps its height: one that came and went would cover what is pointed at, again and again
      if (value) explanation.classList.add('used')
      explanation.replaceChildren(...(value?.explanation ?? [hint()]))
    }
    const showHeat = (): void => heat.show(views.get(choice.value)?.network, results.get(choice.value))
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
  addEventListener('paste', (event) => {
    const picture = event.clipboardData?.files[0]
    if (picture) event.preventDefault()
    void take(picture)
  })
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
      'Every square is one number that the network computed, from top to bottom in the order of its steps; each step has a scale of its own.',
    ),
  )
}
