import { h } from '../dom.ts'
import type { Page } from '../page.ts'

export const page: Page = {
  title: 'Train',
  mount(root) {
    root.append(h('h1', {}, 'Train'))
  },
}
