/** A server to be measured: `node server.mjs constant|constant-helmet|kernelet|onnxruntime|nothing PORT FILE [SETTINGS]`. */
import { serveHere } from '../dist/process.js'
import { settingsOf } from '../dist/settings.js'
import { serveConstant } from './constant.mjs'
import { openNothing } from './nothing.mjs'
import { openOnnxruntime } from './onnxruntime.mjs'

const [kind, port, file, settings = '{}'] = process.argv.slice(2)
if (kind.startsWith('constant')) await serveConstant(Number(port), kind === 'constant-helmet')
else {
  const open = { onnxruntime: openOnnxruntime, nothing: openNothing }[kind]
  const all = { port: Number(port), model: { lenet5: file }, logLevel: 'warn', ...JSON.parse(settings) }
  await serveHere(settingsOf(all), { open })
}
console.log('ready')
