/** Which maps each map sees: table I of LeCun et al. 1998. */
import { h } from '../dom.ts'

export function connectionTable(table: readonly (readonly number[])[]): HTMLElement {
  const inputs = Math.max(...table.flat()) + 1
  const row = (input: number): HTMLTableRowElement =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, String(input)),
      ...table.map((seen) => {
        const connected = seen.includes(input)
        return h(
          'td',
          { class: connected ? 'on' : '' },
          h('span', { class: 'sr' }, connected ? 'connected' : 'not'),
        )
      }),
    )
  const connections = table.reduce((sum, seen) => sum + seen.length, 0)
  return h(
    'details',
    { class: 'table' },
    h('summary', {}, `Connection table (${connections} of ${inputs * table.length} connected)`),
    h(
      'p',
      { class: 'faint' },
      'Each column is a map that is made, each row a map it may see. That not all see all breaks the symmetry, and saves multiplications.',
    ),
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Connection table' },
      h(
        'table',
        { class: 'connections' },
        h(
          'thead',
          {},
          h('tr', {}, h('td', {}), ...table.map((_, map) => h('th', { scope: 'col' }, String(map)))),
        ),
        h('tbody', {}, ...Array.from({ length: inputs }, (_, input) => row(input))),
      ),
    ),
  )
}
