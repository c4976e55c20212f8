/** Grids of numbers: those one writes into, and those that are read. */
import type { Grid } from '../../lib/playground/notes/read.ts'
import { h } from '../dom.ts'

export type Place = readonly [row: number, column: number]

/** How a number is written. */
export type Format = (value: number) => string

export interface Names {
  /** `row 1, column 2` */
  place(row: number, column: number): string
}

/** The grid with its title below, as a figure. */
function framed(title: string, table: HTMLTableElement): HTMLElement {
  table.setAttribute('aria-label', title)
  return h('figure', { class: 'grid-frame' }, table, h('figcaption', {}, title))
}

/** How strongly a cell is coloured, by its part of the largest of the grid. */
function tint(cell: HTMLElement, value: number, largest: number): void {
  cell.classList.toggle('above', value > 0)
  cell.classList.toggle('below', value < 0)
  const part = largest > 0 ? Math.abs(value) / largest : 0
  cell.style.setProperty('--tint', `${Math.round(4 + 36 * part)}%`)
}

const largestOf = (rows: Grid): number => Math.max(0, ...rows.flat().map(Math.abs))

/**
 * A grid of fields, with rings of zeros around.
 *
 * @param changed told after `rows` has the new number
 */
export class EditableGrid {
  readonly element: HTMLElement
  readonly title: string
  readonly names: Names
  readonly changed: () => void
  readonly #table: HTMLTableElement
  #cells: HTMLTableCellElement[][] = []

  constructor(title: string, names: Names, changed: () => void) {
    this.title = title
    this.names = names
    this.changed = changed
    this.#table = h('table', { class: 'grid' })
    this.element = framed(title, this.#table)
  }

  show(rows: Grid, padding = 0): void {
    const [height, width] = [rows.length, rows[0]?.length ?? 0]
    this.#cells = Array.from({ length: height + 2 * padding }, (_, r) =>
      Array.from({ length: width + 2 * padding }, (_, c) => {
        const row = rows[r - padding]
        if (row?.[c - padding] === undefined) return h('td', { class: 'zero' }, '0')
        return this.#field(rows, row, r - padding, c - padding)
      }),
    )
    this.#table.replaceChildren(...this.#cells.map((cells) => h('tr', {}, ...cells)))
    this.#tint(rows)
  }

  #field(rows: Grid, row: number[], r: number, c: number): HTMLTableCellElement {
    const input = h('input', {
      type: 'number',
      step: 'any',
      value: row[c],
      'aria-label': `${this.title}, ${this.names.place(r + 1, c + 1)}`,
    })
    input.addEventListener('input', () => {
      const value = input.valueAsNumber
      const right = Number.isFinite(value) && Math.abs(value) <= 1e6
      input.setAttribute('aria-invalid', String(!right))
      if (!right) return
      row[c] = value
      this.#tint(rows)
      this.changed()
    })
    return h('td', {}, input)
  }

  #tint(rows: Grid): void {
    const largest = largestOf(rows)
    for (const cell of this.#cells.flat())
      tint(cell, cell.querySelector('input')?.valueAsNumber ?? 0, largest)
  }

  /** Frames a window. */
  mark([row, column]: Place, height: number, width: number): void {
    for (const [r, cells] of this.#cells.entries()) {
      for (const [c, cell] of cells.entries()) {
        cell.classList.toggle('marked', r >= row && r < row + height && c >= column && c < column + width)
      }
    }
  }
}

/** A grid of results. With `picked`, its cells are buttons: the arrow keys go from one to the next. */
export class ResultGrid {
  readonly element: HTMLElement
  readonly names: Names
  readonly format: Format
  readonly picked: ((place: Place) => void) | undefined
  readonly #table: HTMLTableElement
  #cells: HTMLTableCellElement[][] = []

  constructor(title: string, names: Names, format: Format, picked?: (place: Place) => void) {
    this.names = names
    this.format = format
    this.picked = picked
    this.#table = h('table', { class: 'grid' })
    this.element = framed(title, this.#table)
    this.#table.addEventListener('keydown', (event) => this.#move(event))
  }

  show(rows: Grid): void {
    const largest = largestOf(rows)
    const { picked } = this
    const focused = picked && this.#table.contains(document.activeElement) ? this.#at() : undefined
    this.#cells = rows.map((row, r) =>
      row.map((value, c) => {
        const cell = h('td', {}, picked ? this.#button(value, r, c, picked) : this.format(value))
        tint(cell, value, largest)
        return cell
      }),
    )
    this.#table.replaceChildren(...this.#cells.map((cells) => h('tr', {}, ...cells)))
    if (focused) this.#cells[focused[0]]?.[focused[1]]?.querySelector('button')?.focus()
  }

  #button(value: number, r: number, c: number, picked: (place: Place) => void): HTMLButtonElement {
    const text = this.format(value)
    const element = h(
      'button',
      {
        type: 'button',
        tabindex: r === 0 && c === 0 ? 0 : -1,
        'aria-pressed': 'false',
        'aria-label': `${this.names.place(r + 1, c + 1)}: ${text}`,
      },
      text,
    )
    const pick = (): void => picked([r, c])
    element.addEventListener('pointerenter', pick)
    element.addEventListener('focus', pick)
    element.addEventListener('click', pick)
    return element
  }

  #at(): Place {
    for (const [r, cells] of this.#cells.entries()) {
      const c = cells.findIndex((cell) => cell.contains(document.activeElement))
      if (c >= 0) return [r, c]
    }
    return [0, 0]
  }

  #move(event: KeyboardEvent): void {
    const steps: Record<string, Place> = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
    }
    const step = steps[event.key]
    if (!step) return
    const [r, c] = this.#at()
    const next = this.#cells[r + step[0]]?.[c + step[1]]?.querySelector('button')
    if (!next) return
    event.preventDefault()
    next.focus()
  }

  /** Shows which cell is looked at. */
  select([row, column]: Place): void {
    for (const [r, cells] of this.#cells.entries()) {
      for (const [c, cell] of cells.entries()) {
        const here = r === row && c === column
        cell.classList.toggle('selected', here)
        const inside = cell.querySelector('button')
        inside?.setAttribute('aria-pressed', String(here))
        if (inside) inside.tabIndex = here ? 0 : -1
      }
    }
  }

  /** Frames a window, and within it one cell. */
  mark([row, column]: Place, size: number, one: Place): void {
    for (const [r, cells] of this.#cells.entries()) {
      for (const [c, cell] of cells.entries()) {
        cell.classList.toggle('marked', r >= row && r < row + size && c >= column && c < column + size)
        cell.classList.toggle('selected', r === one[0] && c === one[1])
      }
    }
  }
}
