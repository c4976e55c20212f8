/**
 * A system with musl on a machine with glibc: a folder that programs built for musl see as the root (where this runs as
 * root), with musl's own loader and C library and without a compiler. Node and Bun ask for a libstdc++, which Debian has
 * for glibc only: that one, with the few functions of glibc that it misses, and one that newer ones have.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { root, run, which } from './util.mjs'

/** What a libstdc++ of glibc takes from its C library and its loader that musl has under no such name. */
const missing = `
typedef unsigned long size_t; struct tm;
extern size_t strftime_l(char*, size_t, const char*, const struct tm*, void*);
extern void* memmove(void*, const void*, size_t);
extern void* malloc(size_t);
extern void free(void*);
size_t __strftime_l(char* to, size_t size, const char* format, const struct tm* time, void* locale) { return strftime_l(to, size, format, time, locale); }
char __libc_single_threaded = 0;
unsigned arc4random(void) { return 4; }
int _dl_find_object(void* address, void* result) { return -1; }
int __cxa_thread_atexit_impl(void (*function)(void*), void* object, void* module) { return 0; }
/* std::string::replace where the new text lies in the string itself: a function of its own since GCC 13 */
void _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE15_M_replace_coldEPcmPKcmm(
    void* self, char* at, size_t old, const char* from, size_t size, size_t rest) {
  char* text = malloc(size + 1);
  memmove(text, from, size);
  memmove(at + size, at + old, rest);
  memmove(at, text, size);
  free(text);
}
`

export const muslSystems = [
  {
    arch: 'x64',
    debian: 'amd64',
    loader: 'ld-musl-x86_64.so.1',
    library: 'libc.musl-x86_64.so.1',
    stub: 'ld-linux-x86-64.so.2',
    cc: 'cc',
    more: 'unsigned __cpu_model[4]; int __cpu_indicator_init(void) { return 0; }',
    emulator: [],
  },
  {
    arch: 'arm64',
    debian: 'arm64',
    loader: 'ld-musl-aarch64.so.1',
    library: 'libc.musl-aarch64.so.1',
    stub: 'ld-linux-aarch64.so.1',
    cc: 'aarch64-linux-gnu-gcc',
    more: 'extern unsigned long getauxval(unsigned long); unsigned long __getauxval(unsigned long type) { return getauxval(type); }',
    emulator: ['qemu-aarch64-static'],
  },
]

/** What is missing, in a sentence, or undefined. */
export function muslLacks({ arch, cc, emulator }) {
  if (!existsSync(join(root, `prebuilds/linux-${arch}/kernelet.node`)))
    return `prebuilds/ has no binary for linux-${arch}`
  for (const program of [cc, ...emulator])
    if (!which(program))
      return `${program} is not installed (Debian: ${cc === 'cc' ? 'gcc' : 'g++-aarch64-linux-gnu, qemu-user-static'})`
  if (!which('dpkg') || !which('apt-get')) return 'musl’s loader comes from Debian’s packages'
  return undefined
}

/** Debian's package for another architecture, unpacked into a folder; this machine's list of packages stays as it is. */
function unpackDebian(name, arch, folder) {
  const lists = join(folder, 'lists')
  mkdirSync(join(lists, 'partial'), { recursive: true })
  mkdirSync(join(folder, 'cache/archives/partial'), { recursive: true })
  const options = [
    `APT::Architecture=${arch}`,
    `APT::Architectures=${arch}`,
    `Dir::State::lists=${lists}`,
    `Dir::Cache=${join(folder, 'cache')}`,
  ].flatMap((option) => ['-o', option])
  run('apt-get', ['-qq', ...options, 'update'], { cwd: folder, quiet: true })
  run('apt-get', ['-qq', ...options, 'download', name], { cwd: folder, quiet: true })
  const file = readdirSync(folder).find((one) => one.endsWith('.deb'))
  run('dpkg', ['-x', file, '.'], { cwd: folder })
  rmSync(lists, { recursive: true })
}

/**
 * Makes the root in a folder. Gives `command(program, ...args)`, which is [command, args] of what starts a program of
 * its /bin, with every path among `args` one inside the root; and `chroot`: whether programs see the folder as the root.
 */
export function muslRoot({ debian, loader, library, stub, cc, more, emulator }, folder) {
  rmSync(folder, { recursive: true, force: true })
  const lib = join(folder, 'lib')
  for (const path of ['lib', 'bin', 'app', 'tmp', 'dev', 'proc'])
    mkdirSync(join(folder, path), { recursive: true })
  const here = join('/lib', loader)
  if (existsSync(here)) cpSync(realpathSync(here), join(lib, loader))
  else {
    const packages = join(folder, 'packages')
    mkdirSync(packages)
    unpackDebian('musl', debian, packages)
    const own = join(packages, 'lib', loader)
    const [place] = readdirSync(join(packages, 'lib')).filter((one) => one.endsWith('-linux-musl'))
    cpSync(place ? join(packages, 'lib', place, 'libc.so') : own, join(lib, loader))
    rmSync(packages, { recursive: true })
  }
  symlinkSync(loader, join(lib, library))
  for (const name of ['libstdc++.so.6', 'libgcc_s.so.1']) {
    const path = run(cc, [`-print-file-name=${name}`], { quiet: true }).trim()
    cpSync(realpathSync(path), join(lib, name))
  }
  const source = join(folder, 'missing.c')
  writeFileSync(source, missing + more)
  run(cc, ['-shared', '-fPIC', '-nostdlib', '-o', join(lib, stub), source])
  rmSync(source)
  const chroot = process.getuid() === 0
  const inside = chroot ? '' : folder
  if (chroot)
    for (const program of emulator) cpSync(realpathSync(which(program)), join(folder, 'bin', program))
  const command = (program, ...args) => {
    const [first, ...others] = [
      ...(chroot ? ['chroot', folder] : []),
      ...emulator.map((name) => (chroot ? `/bin/${name}` : name)),
      `${inside}/lib/${loader}`,
      ...['--library-path', `${inside}/lib`, '--preload', `${inside}/lib/${stub}`],
      `${inside}/bin/${program}`,
      ...args.map((arg) => (arg.startsWith('/') ? inside + arg : arg)),
    ]
    return [first, others]
  }
  return { chroot, command }
}
