import { h } from '../dom.ts'
import type { Page } from '../page.ts'

export const page: Page = {
  title: 'Service',
  mount(root) {
    root.append(h('h1', {}, 'Service'))
  },
}
