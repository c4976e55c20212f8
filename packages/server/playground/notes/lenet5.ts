/** Chapters 4 and 5: LeNet-5 of tutorials, line by line, and that of 1998. */
import type { LeNets, Network, Row } from '../../lib/playground/notes/lenet5.ts'
import { askJson } from '../api.ts'
import { h } from '../dom.ts'
import type { Surroundings } from './language.ts'
import type { State } from './state.ts'

/** Lines of code that are the same; the third is the row of the summary that the line makes. */
const lines: readonly (readonly [python: string, kernelet: string, row?: number])[] = [
  ['class LeNet5(nn.Module):', 'class LeNet5 extends Module {'],
  ['    def __init__(self, n_channels=1, n_classes=10):', '  constructor(nChannels = 1, nClasses = 10) {'],
  ['        super().__init__()', '    super()'],
  [
    '        self.conv1 = nn.Conv2d(n_channels, 6, 5)',
    '    this.conv1 = new Conv2d(nChannels, 6, { kernelSize: 5 })',
  ],
  ['        self.conv2 = nn.Conv2d(6, 16, 5)', '    this.conv2 = new Conv2d(6, 16, { kernelSize: 5 })'],
  ['        self.fc1 = nn.Linear(16 * 4 * 4, 120)', '    this.fc1 = new Linear(16 * 4 * 4, 120)'],
  ['        self.fc2 = nn.Linear(120, 84)', '    this.fc2 = new Linear(120, 84)'],
  ['        self.fc3 = nn.Linear(84, n_classes)', '    this.fc3 = new Linear(84, nClasses)'],
  ['', '  }'],
  ['    def forward(self, x):', '  forward(x) {'],
  ['        x = relu(self.conv1(x))', '    x = relu(this.conv1.forward(x))', 0],
  ['        x = max_pool2d(x, 2)', '    x = maxPool2d(x, 2)', 1],
  ['        x = relu(self.conv2(x))', '    x = relu(this.conv2.forward(x))', 2],
  ['        x = max_pool2d(x, 2)', '    x = maxPool2d(x, 2)', 3],
  ['        x = torch.flatten(x, 1)', '    x = flatten(x, 1)'],
  ['        x = relu(self.fc1(x))', '    x = relu(this.fc1.forward(x))', 4],
  ['        x = relu(self.fc2(x))', '    x = relu(this.fc2.forward(x))', 5],
  ['        return self.fc3(x)', '    return this.fc3.forward(x)', 6],
  ['', '  }'],
  ['', '}'],
]

let asked: Promise<LeNets> | undefined

/** Both chapters ask for the same. */
function lenets(): Promise<LeNets> {
  asked ??= askJson<LeNets>('./playground/notes/lenet5')
  return asked
}

/** Draws what depends on the answer, or says why there is none. */
function whenAnswered(section: HTMLElement, draw: (answer: LeNets) => void): void {
  lenets().then(draw, (error: unknown) => {
    asked = undefined
    section.append(
      h('p', { class: 'notice bad', role: 'alert' }, error instanceof Error ? error.message : `${error}`),
    )
  })
}

export function lenet5(section: HTMLElement, _state: State, { t, count }: Surroundings): () => void {
  const words = t.lenet5
  const outputs = lines.map(() => h('td', { class: 'number' }))
  const parameters = lines.map(() => h('td', { class: 'number' }))
  const rows = lines.map(([python, kernelet], i) =>
    h(
      'tr',
      {},
      h('td', {}, h('code', {}, python)),
      h('td', {}, h('code', {}, kernelet)),
      outputs[i],
      parameters[i],
    ),
  )
  const total = h('td', { class: 'number' })
  const head = (text: string, kind?: string): HTMLElement => h('th', { scope: 'col', class: kind }, text)
  section.append(
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': words.title },
      h(
        'table',
        { class: 'code' },
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            head(words.pytorch),
            head(words.kernelet),
            head(words.output, 'number'),
            head(words.parameters, 'number'),
          ),
        ),
        h('tbody', {}, ...rows),
        h('tfoot', {}, h('tr', {}, h('th', { scope: 'row', colspan: 3 }, words.total), total)),
      ),
    ),
  )
  whenAnswered(section, ({ tutorial }) => {
    for (const [i, [, , row]] of lines.entries()) {
      const made = row === undefined ? undefined : tutorial.rows[row]
      if (!made) continue
      const [output, held] = [outputs[i], parameters[i]]
      if (output) output.textContent = made.shape.join('×')
      if (held && made.parameters > 0) held.textContent = count(made.parameters)
    }
    total.textContent = count(tutorial.parameters)
  })
  return () => {}
}

/** Maps of S2. */
const SEEN = 6

export function original(section: HTMLElement, _state: State, around: Surroundings): () => void {
  const { t } = around
  const words = t.original
  whenAnswered(section, (answer) => {
    section.append(
      h(
        'div',
        { class: 'two' },
        layersTable(answer.original, around),
        h(
          'div',
          { class: 'work' },
          h('h3', {}, words.table),
          h('p', { class: 'faint' }, words.tableText),
          ...connectionTable(answer.table, around),
        ),
      ),
    )
  })
  return () => {}
}

function layersTable({ rows, parameters, connections }: Network, { t, count }: Surroundings): HTMLElement {
  const words = t.original
  const numbers = (row: Pick<Row, 'parameters' | 'connections'>): HTMLElement[] => [
    h('td', { class: 'number' }, count(row.parameters)),
    h('td', { class: 'number' }, count(row.connections)),
  ]
  const heads = [words.layer, words.output, words.parameters, words.connections]
  return h(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': words.title },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ...heads.map((text, i) => h('th', { scope: 'col', class: i > 0 ? 'number' : undefined }, text)),
        ),
      ),
      h(
        'tbody',
        {},
        ...rows.map((row) =>
          h(
            'tr',
            {},
            h('th', { scope: 'row' }, row.name === 'output' ? words.output : row.name.toUpperCase()),
            h('td', { class: 'number' }, row.shape.join('×')),
            ...numbers(row),
          ),
        ),
      ),
      h(
        'tfoot',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'row', colspan: 2 }, t.lenet5.total),
          ...numbers({ parameters, connections }),
        ),
      ),
    ),
  )
}

function connectionTable(table: number[][], { t, list }: Surroundings): HTMLElement[] {
  const words = t.original
  const said = h('p', { 'aria-live': 'polite' })
  const cells = Array.from({ length: SEEN }, (_, s2) =>
    table.map((seen) => {
      const sees = seen.includes(s2)
      return h(
        'td',
        { class: sees ? 'sees' : undefined },
        h('span', { 'aria-hidden': 'true' }, sees ? '×' : ''),
        h('span', { class: 'sr' }, sees ? words.yes : words.no),
      )
    }),
  )
  const choose = (map: number): void => {
    said.textContent = words.sees(map, list(table[map] ?? []))
    for (const row of cells) {
      for (const [i, cell] of row.entries()) cell.classList.toggle('chosen', i === map)
    }
    for (const [i, one] of heads.entries()) one.setAttribute('aria-pressed', String(i === map))
  }
  const heads = table.map((_, map) => {
    const head = h(
      'button',
      { type: 'button', 'aria-pressed': 'false', 'aria-label': words.map(map) },
      `${map}`,
    )
    for (const event of ['pointerenter', 'focus', 'click']) head.addEventListener(event, () => choose(map))
    return head
  })
  const element = h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'connections', 'aria-label': words.table },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('td', { class: 'faint' }, 'S2 \\ C3'),
          ...heads.map((head) => h('th', { scope: 'col' }, head)),
        ),
      ),
      h('tbody', {}, ...cells.map((row, s2) => h('tr', {}, h('th', { scope: 'row' }, `${s2}`), ...row))),
    ),
  )
  choose(0)
  return [element, said]
}
