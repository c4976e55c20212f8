// Pictures by fetch, tensors by InferenceClient: node packages/server/examples/fetch.mjs [URL]
import { readFile } from 'node:fs/promises'
import { InferenceClient } from '@kernelet/server/client'

const url = process.argv[2] ?? 'http://127.0.0.1:8080'
const picture = await readFile(new URL('../../../examples/digits/5-dotted-pen.png', import.meta.url))

const form = new FormData()
form.append('a', new Blob([picture]), 'five.png')
form.append('b', new Blob(['no picture']), 'text.png')
const response = await fetch(`${url}/v1/digits`, { method: 'POST', body: form })
for (const { digit, confidence, error } of (await response.json()).results) {
  console.log(error ?? `${digit} (${(100 * confidence).toFixed(1)} %)`)
}

const client = new InferenceClient(url)
const { outputs } = await client.infer('digits', { shape: [2, 1, 28, 28], data: new Uint8Array(2 * 784) })
for (const { name, shape, data } of outputs) console.log(name, shape, data)
