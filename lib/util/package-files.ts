/**
 * Where the package's own files lie. In dist/ modules share files, so that import.meta.url is not where one was
 * written: nothing else asks it for a neighbour.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

let root: URL | undefined

/** The package's folder: the nearest one above with a package.json. */
export function packageRoot(): URL {
  if (root) return root
  let folder = new URL('..', import.meta.url)
  while (!existsSync(new URL('package.json', folder)) && folder.pathname !== '/')
    folder = new URL('..', folder)
  root = folder
  return root
}

/** The path of a file of the package: `models/lenet5-mnist.safetensors`. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(path, packageRoot()))
}

/** '.ts' while lib/ itself runs, '.js' once it is built. */
export const extension: string = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/**
 * A module that is loaded by its name or runs as a process of its own, by its path in lib/ without extension:
 * `bench/contender`. scripts/build-ts.mjs finds these calls: what they name keeps a file of its own in dist/.
 */
export function moduleUrl(path: string): URL {
  return new URL(`${extension === '.ts' ? 'lib' : 'dist'}/${path}${extension}`, packageRoot())
}
