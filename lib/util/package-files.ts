/**
 * Where the package's own files lie. In dist/ modules share files, so that import.meta.url is not where one was
 * written: nothing else asks it for a neighbour.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { KerneletError } from './errors.ts'

/** This code's file. A bundle in CommonJS has none: then the working directory, from where packages are looked for. */
const here: string =
  (import.meta.url as string | undefined) ?? pathToFileURL(join(process.cwd(), 'bundle.js')).href

let root: URL | undefined

/**
 * The package's folder: the one above that is named so, or, for code that was bundled, the installed package.
 *
 * @throws KerneletError `ERR_NATIVE_LOAD` where there is neither
 */
export function packageRoot(): URL {
  root ??= above(here) ?? installed()
  return root
}

function above(file: string): URL | undefined {
  if (!file.startsWith('file:')) return undefined
  for (
    let folder = new URL('..', file), last = '';
    folder.pathname !== last;
    folder = new URL('..', folder)
  ) {
    // a bundler may bring the package.json alone
    if (isOurs(new URL('package.json', folder)) && existsSync(new URL('models', folder))) return folder
    last = folder.pathname
  }
  return undefined
}

function isOurs(manifest: URL): boolean {
  try {
    return /^\s*"name": "kernelet"/m.test(readFileSync(manifest, 'utf8'))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_ACCESS_DENIED') return false
    throw new KerneletError('ERR_NATIVE_LOAD', notAllowed(fileURLToPath(new URL('.', manifest))), { cause })
  }
}

/** What Node's permission model must allow, with the package in `folder`. */
export function notAllowed(folder: string): string {
  return `Node’s permission model keeps kernelet from its own files: run node with --allow-fs-read=${folder}*`
}

function installed(): URL {
  try {
    return new URL('.', pathToFileURL(createRequire(here).resolve('kernelet/package.json')))
  } catch (cause) {
    throw new KerneletError(
      'ERR_NATIVE_LOAD',
      `kernelet was bundled into ${here}, without its binary and weights. Mark it external, and install it beside ` +
        'the bundle: esbuild --external:kernelet; rollup, vite: external: ["kernelet"] (vite also ssr.external); ' +
        'webpack, ncc: externals: { kernelet: "module kernelet" } or "commonjs kernelet"; ' +
        'Next.js: serverExternalPackages: ["kernelet"]',
      { cause },
    )
  }
}

/** The path of a file of the package: `models/lenet5-mnist.safetensors`. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(path, packageRoot()))
}

/** '.ts' while lib/ itself runs, '.js' once it is built. */
export const extension: string = here.endsWith('.ts') ? '.ts' : '.js'

/**
 * A module that is loaded by its name or runs as a process of its own, by its path in lib/ without extension:
 * `bench/contender`. scripts/build-ts.mjs finds these calls: what they name keeps a file of its own in dist/.
 */
export function moduleUrl(path: string): URL {
  return new URL(`${extension === '.ts' ? 'lib' : 'dist'}/${path}${extension}`, packageRoot())
}

/** `require` as from this code's file. */
export function requireHere(): NodeJS.Require {
  return createRequire(here)
}
