/** Light or dark: the system's choice until somebody chooses. */

const key = 'kernelet-theme'
const dark = matchMedia('(prefers-color-scheme: dark)')

/** Told when the colours of the page have changed: what draws on a canvas draws anew. */
export function onTheme(act: () => void): void {
  addEventListener('theme', act)
  dark.addEventListener('change', act)
}

export function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme
  return chosen === undefined ? dark.matches : chosen === 'dark'
}

export function drawThemeButton(button: HTMLButtonElement): void {
  const stored = localStorage.getItem(key)
  if (stored === 'dark' || stored === 'light') document.documentElement.dataset.theme = stored
  const show = (): void => {
    button.textContent = isDark() ? 'Light' : 'Dark'
    button.setAttribute('aria-label', isDark() ? 'Light colours' : 'Dark colours')
  }
  show()
  dark.addEventListener('change', show)
  button.addEventListener('click', () => {
    const next = isDark() ? 'light' : 'dark'
    document.documentElement.dataset.theme = next
    localStorage.setItem(key, next)
    show()
    dispatchEvent(new Event('theme'))
  })
}
