/** Fields with their labels. */
import { h } from '../dom.ts'

let count = 0

/** A choice. */
export function select<T extends string | number>(
  label: string,
  choices: readonly (readonly [value: T, text: string])[],
  value: T,
  changed: (value: T) => void,
): HTMLElement {
  const id = `field-${count++}`
  const element = h('select', { id })
  for (const [one, text] of choices)
    element.append(h('option', { value: one, selected: one === value }, text))
  element.addEventListener('change', () => {
    const choice = choices[element.selectedIndex]
    if (choice) changed(choice[0])
  })
  return h('div', { class: 'field' }, h('label', { for: id }, label), element)
}

/** A choice of an integer. */
export function integer(
  label: string,
  least: number,
  most: number,
  value: number,
  changed: (value: number) => void,
): HTMLElement {
  const choices = Array.from({ length: most - least + 1 }, (_, i) => [least + i, `${least + i}`] as const)
  return select(label, choices, value, changed)
}

/** A slider with its number beside it. */
export function slider(
  label: string,
  { least, most, step, value }: { least: number; most: number; step: number; value: number },
  format: (value: number) => string,
  changed: (value: number) => void,
): { element: HTMLElement; set(value: number): void } {
  const id = `field-${count++}`
  const input = h('input', { id, type: 'range', min: least, max: most, step, value })
  const output = h('output', { for: id, class: 'number' })
  const show = (now: number): void => {
    output.textContent = format(now)
    input.setAttribute('aria-valuetext', format(now))
  }
  input.addEventListener('input', () => {
    show(input.valueAsNumber)
    changed(input.valueAsNumber)
  })
  show(value)
  return {
    element: h('div', { class: 'slider' }, h('label', { for: id }, label), input, output),
    set(now) {
      input.value = String(now)
      show(now)
    },
  }
}

/** A place for what the server refuses, in its words. */
export function refusalLine(): { element: HTMLElement; show(refusal: string | undefined): void } {
  const element = h('p', { class: 'notice warm', role: 'status', hidden: true })
  return {
    element,
    show(refusal) {
      element.hidden = refusal === undefined
      element.textContent = refusal ?? ''
    },
  }
}
