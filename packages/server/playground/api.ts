/** Requests to the server; where it wants a token, the visitor is asked for it once. */
import { button, h } from './dom.ts'

const key = 'kernelet-token'

/** A refusal of the server: its own sentence. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/**
 * Asks a route.
 *
 * @param path below the playground's address: `playground/models`
 * @throws Refusal for an answer that is none; TypeError where the server cannot be reached
 */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  for (;;) {
    const headers = new Headers(init.headers)
    const token = sessionStorage.getItem(key)
    if (token !== null) headers.set('authorization', `Bearer ${token}`)
    const response = await fetch(path, { ...init, headers })
    if (response.ok) return response
    if (response.status === 401) {
      await askToken(token !== null)
      continue
    }
    throw new Refusal(response.status, await reasonOf(response))
  }
}

export async function askJson<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await ask(path, init)).json()) as T
}

/** Sends numbers or pictures as they lie in memory. */
export function binary(body: BufferSource, signal?: AbortSignal): RequestInit {
  return {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/octet-stream' },
    signal: signal ?? null,
  }
}

async function reasonOf(response: Response): Promise<string> {
  const text = await response.text()
  try {
    const { error } = JSON.parse(text) as { error?: unknown }
    if (typeof error === 'string') return error
  } catch {
    // not JSON: something between this page and the server answered
  }
  return `The server answered ${response.status}`
}

let asking: Promise<void> | undefined

/** Shows the form for the token; resolves when one was given. */
function askToken(wrong: boolean): Promise<void> {
  asking ??= new Promise<void>((resolve) => {
    const input = h('input', { type: 'password', id: 'token', autocomplete: 'off', required: true })
    const form = h(
      'form',
      { method: 'dialog', class: 'token' },
      h('h2', { id: 'token-title' }, 'This server wants a token'),
      h(
        'p',
        {},
        wrong ? 'That token was not accepted. ' : '',
        'Whoever runs the server has it; it is kept until this tab is closed.',
      ),
      h('label', { for: 'token' }, 'Token'),
      input,
      button('Go on', () => form.requestSubmit(), { class: 'primary' }),
    )
    const dialog = h('dialog', { 'aria-labelledby': 'token-title' }, form)
    dialog.addEventListener('cancel', (event) => event.preventDefault())
    form.addEventListener('submit', () => {
      sessionStorage.setItem(key, input.value.trim())
      dialog.remove()
      asking = undefined
      resolve()
    })
    document.body.append(dialog)
    dialog.showModal()
  })
  return asking
}
