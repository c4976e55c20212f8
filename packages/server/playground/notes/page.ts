/** CNNs from the notes, in English and Spanish: chapters in which every number can be changed. */
import './notes.css'
import { h } from '../dom.ts'
import type { Page } from '../page.ts'
import { convolution } from './convolution.ts'
import { gradients } from './gradients.ts'
import { firstLanguage, type Language, languages, type Surroundings, surroundings } from './language.ts'
import { lenet5, original } from './lenet5.ts'
import { neuron } from './neuron.ts'
import { pools } from './pools.ts'
import { sizes } from './sizes.ts'
import { firstState, type State } from './state.ts'

/** A chapter draws itself into its section; `again` is told to others when its numbers have changed. */
type Chapter = (section: HTMLElement, state: State, around: Surroundings, again: () => void) => () => void

const chapters: readonly (readonly [
  id: 'convolution' | 'sizes' | 'pools' | 'lenet5' | 'original' | 'neuron' | 'gradients',
  chapter: Chapter,
])[] = [
  ['convolution', convolution],
  ['sizes', sizes],
  ['pools', pools],
  ['lenet5', lenet5],
  ['original', original],
  ['neuron', neuron],
  ['gradients', gradients],
]

export const page: Page = {
  title: 'Notes',
  mount(root) {
    draw(root, firstState(), firstLanguage())
  },
}

function draw(root: HTMLElement, state: State, language: Language): void {
  const around = surroundings(language)
  const { t } = around
  root.lang = language
  document.title = `${t.title} · kernelet`
  const choose = h('div', { class: 'row', role: 'group', 'aria-label': t.language })
  for (const [one, name] of languages) {
    const chosen = h('button', { type: 'button', lang: one, 'aria-pressed': String(one === language) }, name)
    chosen.addEventListener('click', () => {
      if (one === language) return
      const address = new URL(location.href)
      address.searchParams.set('lang', one)
      history.replaceState(null, '', address)
      draw(root, state, one)
      root.querySelector<HTMLElement>(`button[lang=${one}]`)?.focus()
    })
    choose.append(chosen)
  }
  const list = h('ol')
  const drawn: (() => void)[] = []
  const again = (): void => {
    for (const change of drawn) change()
  }
  const sections = chapters.map(([id, chapter], i) => {
    list.append(h('li', {}, h('a', { href: `#${id}` }, t[id].title)))
    const section = h(
      'section',
      { class: 'card chapter', id, 'aria-labelledby': `${id}-title` },
      h('h2', { id: `${id}-title` }, `${i + 1}. ${t[id].title}`),
      h('p', { class: 'faint' }, t[id].text),
    )
    drawn.push(chapter(section, state, around, again))
    return section
  })
  const head = h('div', { class: 'notes-head' }, h('h1', {}, t.title), choose)
  const contents = h('nav', { class: 'contents', 'aria-label': t.chapters }, list)
  root.replaceChildren(head, h('p', { class: 'lead' }, t.lead), contents, ...sections)
  again()
}
