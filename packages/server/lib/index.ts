export {
  type ClientOptions,
  InferenceClient,
  InferenceError,
  type InferInput,
  type InferOutput,
  type InferResult,
} from './client.ts'
export { serve } from './serve.ts'
export { createServer } from './server.ts'
export { type ServerOptions, type Settings, SettingsError } from './settings.ts'
