/** Elements in one line. */

type Properties = Record<string, string | number | boolean | undefined>
export type Child = Node | string | undefined

/**
 * An element: properties that are functions of DOM go by addEventListener. `true` is an attribute without a value;
 * `undefined` and `false` are none.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue
    element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.filter((child) => child !== undefined))
  return element
}

/** A button that does something. */
export function button(label: string, act: () => void, properties: Properties = {}): HTMLButtonElement {
  const element = h('button', { type: 'button', ...properties }, label)
  element.addEventListener('click', act)
  return element
}

/** The colour that a custom property of the theme has now. */
export function colour(name: string): string {
  // light-dark() is resolved in a property that takes colours
  const probe = h('span', { hidden: true })
  probe.style.color = `var(${name})`
  document.body.append(probe)
  const value = getComputedStyle(probe).color
  probe.remove()
  return value
}
