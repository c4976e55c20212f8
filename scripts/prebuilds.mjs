/**
 * Makes prebuilds/<platform>-<arch>/kernelet.node with prebuildify: for this machine, and on linux-x64 also for
 * linux-arm64 where aarch64-linux-gnu-g++ is installed; or for the ARCHs that are named. Works in build-prebuilds/, because node-gyp would
 * empty build/, where the development build lies.
 *
 * A binary for Linux serves glibc and musl. It asks for libstdc++ and libgcc_s, which every Node brings; the C library
 * it finds in the process, in glibc by the versions of its symbols, which musl does not heed, and names none: Bun
 * for musl refuses a library that names glibc's. Nothing in it depends on the layout of what differs between the two.
 */
import { cpSync, existsSync, mkdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { capture, die, jobs, manifest, requireToolchain, root, run, which } from './util.mjs'

requireToolchain()
const patchelf = which('patchelf')
if (process.platform === 'linux' && !patchelf) die('prebuilds: patchelf is not installed (Debian: patchelf)')
const stage = join(root, 'build-prebuilds')
rmSync(stage, { recursive: true, force: true })
mkdirSync(stage)
cpSync(join(root, 'binding.gyp'), join(stage, 'binding.gyp'))
cpSync(join(root, 'native'), join(stage, 'native'), { recursive: true })
const { name, version } = manifest
writeFileSync(join(stage, 'package.json'), JSON.stringify({ name, version, private: true }))

// node-gyp compiles file after file unless JOBS says otherwise
const env = { JOBS: jobs, PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env.PATH}` }
// Node's own headers, where they came with node: then node-gyp downloads nothing
const prefix = dirname(dirname(realpathSync(process.execPath)))
if (!process.env.npm_config_nodedir && existsSync(join(prefix, 'include/node/node_api.h')))
  env.npm_config_nodedir = prefix

// what kernelet.gypi is told: link-time optimisation, which is GCC's, and which tiers
const gcc = capture(process.env.CXX ?? 'c++', ['--version']).stdout.includes('Free Software Foundation')
const defines = ['kernelet_prebuilt=1', ...(gcc && process.platform === 'linux' ? ['kernelet_lto=1'] : [])]
env.GYP_DEFINES = [process.env.GYP_DEFINES ?? '', ...defines].join(' ').trim()

const targets = [{ arch: process.arch, env, options: [] }]
if (process.platform === 'linux' && process.arch === 'x64') {
  const cross = 'aarch64-linux-gnu'
  if (which(`${cross}-g++`))
    targets.push({
      arch: 'arm64',
      env: { ...env, CC: `${cross}-gcc`, CXX: `${cross}-g++`, AR: `${cross}-ar` },
      options: ['--strip-bin', `${cross}-strip`],
    })
  else console.log(`no linux-arm64 binary: ${cross}-g++ is not installed (Debian: g++-aarch64-linux-gnu)`)
}

const wanted = process.argv.slice(2)
for (const target of targets) {
  if (wanted.length > 0 && !wanted.includes(target.arch)) continue
  const folder = `prebuilds/${process.platform}-${target.arch}`
  run(
    process.execPath,
    [
      join(root, 'node_modules/prebuildify/bin.js'),
      '--napi',
      '--strip',
      '--arch',
      target.arch,
      ...target.options,
    ],
    { cwd: stage, env: target.env, quiet: true },
  )
  const made = join(stage, folder, 'kernelet.node')
  if (!existsSync(made)) die(`prebuildify did not make ${folder}/kernelet.node`)
  if (process.platform === 'linux') {
    run(patchelf, ['--remove-needed', 'libc.so.6', '--remove-needed', 'libm.so.6', made])
  }
  rmSync(join(root, folder), { recursive: true, force: true })
  mkdirSync(join(root, folder), { recursive: true })
  cpSync(made, join(root, folder, 'kernelet.node'))
  console.log(`${folder}/kernelet.node  ${statSync(made).size} bytes`)
}
