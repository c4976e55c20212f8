/** The frame around all pages: which page it is, navigation, theme. */
import './styles.css'
import { h } from './dom.ts'
import type { Page } from './page.ts'
import { drawThemeButton } from './theme.ts'

/** The pages in the order of the navigation: the address, and what people call it. */
const order = [
  ['draw', 'Draw'],
  ['train', 'Train'],
  ['notes', 'Notes'],
  ['service', 'Service'],
] as const

const modules = import.meta.glob<{ page: Page }>('./*/page.ts')
const here = location.pathname.split('/').at(-1) || 'draw'

const navigation = document.querySelector('#pages')
for (const [name, label] of order) {
  if (!modules[`./${name}/page.ts`]) continue
  const link = h('a', { href: name === 'draw' ? './' : `./${name}` }, label)
  if (name === here) link.setAttribute('aria-current', 'page')
  navigation?.append(link)
}

const theme = document.querySelector<HTMLButtonElement>('#theme')
if (theme) drawThemeButton(theme)

const root = document.querySelector<HTMLElement>('#page')
if (root) {
  try {
    const load = modules[`./${here}/page.ts`]
    if (!load) throw new Error(`There is no page ${here}`)
    const { page } = await load()
    document.title = `${page.title} · kernelet`
    await page.mount(root)
  } catch (error) {
    root.append(
      h('p', { class: 'notice bad', role: 'alert' }, error instanceof Error ? error.message : String(error)),
    )
  }
  document.documentElement.dataset.ready = ''
}
