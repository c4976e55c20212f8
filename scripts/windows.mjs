/**
 * Windows on Linux: compiled by mingw, run by wine. The binaries of a release are Microsoft's compiler's and come from
 * .github/workflows/prebuild.yml; this one shows that the code is right on Windows, and its bits those of Linux.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { root, which } from './util.mjs'

const compiler = 'x86_64-w64-mingw32-g++-posix'
const wine64 = ['wine64', 'wine', '/usr/lib/wine/wine64'].find(which)
export const windowsAddon = join(root, 'build-windows/kernelet.node')

/** What is missing, in a sentence, or undefined. */
export function windowsNeeds() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'Windows is built on Linux on x64'
  if (!which(compiler)) return `${compiler} is not installed (Debian: apt install g++-mingw-w64-x86-64-posix)`
  if (!wine64) return 'wine is not installed (Debian: apt install wine64)'
  return undefined
}

/** The options of CMake for it: native tests and addon. */
export function windowsBuild() {
  const modules = join(root, 'node_modules')
  return [
    '-DCMAKE_SYSTEM_NAME=Windows',
    '-DCMAKE_SYSTEM_PROCESSOR=x86_64',
    `-DCMAKE_CXX_COMPILER=${compiler}`,
    `-DCMAKE_JS_INC=${modules}/node-api-headers/include;${modules}/node-addon-api`,
    `-DCMAKE_JS_NODELIB_DEF=${modules}/node-api-headers/def/node_api.def`,
  ]
}

/** How a program of Windows is started. What is its own lies in a build folder. */
export function wine(command) {
  const prefix = join(root, 'build-windows/wine')
  mkdirSync(prefix, { recursive: true })
  return {
    command: wine64,
    args: command,
    env: {
      WINEPREFIX: prefix,
      WINEDEBUG: '-all',
      // nothing of a desktop, .NET or a browser
      WINEDLLOVERRIDES: 'winemenubuilder.exe,mscoree,mshtml=',
      // Node looks for a Windows that wine does not say it is
      NODE_SKIP_PLATFORM_CHECK: '1',
    },
  }
}
