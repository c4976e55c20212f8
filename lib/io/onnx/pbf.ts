/** Protocol buffers, loaded with the first model rather than with kernelet. */
import { createRequire } from 'node:module'

export function pbf(): typeof import('pbf') {
  return createRequire(import.meta.url)('pbf') as typeof import('pbf')
}
