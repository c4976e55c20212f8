/** The native addon, found and loaded on first use. The only file that touches it; its types are in backend.ts. */
import { existsSync, readdirSync } from 'node:fs'
import { join, sep, toNamespacedPath } from 'node:path'
import { fileURLToPath } from 'node:url'
import { KerneletError } from '../util/errors.ts'
import { notAllowed, packageRoot, requireHere } from '../util/package-files.ts'

import type { NativeAddon } from './backend.ts'

const target = `${process.platform}-${process.arch}`

let loaded: NativeAddon | undefined

/**
 * The addon, loaded on first use. What its functions throw are KerneletErrors.
 *
 * @throws KerneletError `ERR_NATIVE_LOAD` when there is no binary for this platform or it does not load.
 */
export function native(): NativeAddon {
  loaded ??= loadAddon(fileURLToPath(packageRoot()))
  return loaded
}

/** Loads the addon of the package in `root`: build/Release first, then prebuilds (node-gyp-build's order). */
export function loadAddon(root: string): NativeAddon {
  const places = ['build/Release', 'build/Debug', `prebuilds/${target}`].map((folder) => join(root, folder))
  try {
    const addon = loadFrom(places) ?? searched(root)
    addon.initialize(KerneletError)
    return addon
  } catch (cause) {
    throw new KerneletError('ERR_NATIVE_LOAD', whyNot(cause, root, places), { cause })
  }
}

/** What to do, by what went wrong. */
function whyNot(cause: unknown, root: string, places: readonly string[]): string {
  const { code, message = String(cause) } = cause as NodeJS.ErrnoException
  const reason = message.trim().split('\n')[0]
  if (code === 'ERR_DLOPEN_DISABLED') {
    return `Node’s permission model lets kernelet load no native addon: run node with --allow-addons (${reason})`
  }
  if (code === 'ERR_ACCESS_DENIED') return `${notAllowed(root)} (${reason})`
  if (code === 'MODULE_NOT_FOUND' && message.includes('node-gyp-build')) {
    return `The package node-gyp-build, which kernelet depends on, is missing: install kernelet's dependencies (${reason})`
  }
  const installed = root.includes(`${sep}node_modules${sep}`)
  return (
    `The native addon of kernelet could not be loaded for ${target}${cLibrary()} (Node ${process.versions.node}): ${reason}. ` +
    `Tried ${places.join(', ')}. To build it from source run ` +
    `\`${installed ? 'npm explore kernelet -- npm run build:source' : 'npm run build'}\`` +
    `${installed ? '' : ` in ${root}`} (needs a C++17 compiler).`
  )
}

/** `, glibc 2.36` or `, musl` on Linux, where the runtime knows. A binary that does not load is often one of the other. */
function cLibrary(): string {
  if (process.platform !== 'linux') return ''
  // Node 20.13 and newer; the types are of older ones
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean }
  const before = report?.excludeNetwork
  try {
    // else a report asks for the names of all connections' ends
    report.excludeNetwork = true
    const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
    if (header === undefined) return ''
    return header.glibcVersionRuntime ? `, glibc ${header.glibcVersionRuntime}` : ', musl'
  } catch {
    return '' // a runtime that has no reports
  } finally {
    if (before !== undefined) report.excludeNetwork = before
  }
}

/** The addon where it mostly lies, without a search. Not where the environment tells node-gyp-build of another place. */
function loadFrom(places: readonly string[]): NativeAddon | undefined {
  const { PREBUILDS_ONLY, KERNELET_PREBUILD } = process.env
  if (PREBUILDS_ONLY || KERNELET_PREBUILD) return undefined
  const file = places.map((folder) => join(folder, 'kernelet.node')).find((path) => existsSync(path))
  if (file !== undefined) {
    const module = { exports: {} as NativeAddon }
    process.dlopen(module, toNamespacedPath(file))
    return module.exports
  }
  // where nothing may be read nothing is found
  for (const folder of process.permission ? places : []) readdirSync(folder)
  return undefined
}

/** By node-gyp-build, which looks everywhere and says what it misses: two milliseconds, a tenth of a start. */
function searched(root: string): NativeAddon {
  return (requireHere()('node-gyp-build') as (directory: string) => NativeAddon)(root)
}
