/**
 * Runs static programs on an emulated PC whose CPU has AVX-512 (bochs, Skylake-X), under Debian's kernel.
 * Slow, about a hundredth of this machine, but these are the compiler's own AVX-512 instructions, which neither
 * a CPU without them nor qemu can run.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { capture, die, run, which } from './util.mjs'

const firmware = {
  bios: '/usr/share/bochs/BIOS-bochs-latest',
  vga: '/usr/share/bochs/VGABIOS-lgpl-latest',
  isolinux: '/usr/lib/ISOLINUX/isolinux.bin',
  ldlinux: '/usr/lib/syslinux/modules/bios/ldlinux.c32',
}
const packages = 'bochs bochsbios vgabios bochs-term isolinux syslinux-common genisoimage cpio'

/** What is missing, as a sentence, or undefined. */
export function missing() {
  const programs = ['bochs', 'genisoimage', 'cpio', 'gzip', 'script', 'apt-get', 'dpkg']
  const absent = [
    ...programs.filter((name) => !which(name)),
    ...Object.values(firmware).filter((file) => !existsSync(file)),
  ]
  return absent.length > 0
    ? `${absent.join(', ')} not installed (Debian: apt install ${packages})`
    : undefined
}

/** Debian's kernel for virtual machines, unpacked under `folder`: /boot/vmlinuz-… */
function kernel(folder) {
  const boot = join(folder, 'kernel/boot')
  const find = () => existsSync(boot) && readdirSync(boot).find((file) => file.startsWith('vmlinuz'))
  if (!find()) {
    const name = /linux-image-\d\S*/.exec(
      capture('apt-cache', ['depends', 'linux-image-cloud-amd64']).stdout,
    )?.[0]
    if (!name) return undefined
    if (capture('apt-get', ['download', '-qq', name], { cwd: folder }).status !== 0) return undefined
    const archive = readdirSync(folder).find((file) => file.endsWith('.deb'))
    run('dpkg', ['-x', archive, 'kernel'], { cwd: folder })
  }
  return join(boot, find())
}

/**
 * Boots `init`, which runs `commands`: arrays of a program here and its arguments. Returns for each the wait
 * status and what it printed, or undefined where no kernel is to be had.
 */
export function boot(folder, init, commands, timeoutSeconds) {
  mkdirSync(folder, { recursive: true })
  const vmlinuz = kernel(folder)
  if (!vmlinuz) return undefined
  for (const name of ['root', 'cd']) {
    rmSync(join(folder, name), { recursive: true, force: true })
    mkdirSync(join(folder, name))
  }
  copyFileSync(init, join(folder, 'root/init'))
  const lines = commands.map(([program, ...options]) => {
    copyFileSync(program, join(folder, 'root', basename(program)))
    return [`/${basename(program)}`, ...options].join(' ')
  })
  writeFileSync(join(folder, 'root/commands'), `${lines.join('\n')}\n`)
  run('strip', ['init', ...commands.map(([program]) => basename(program))], { cwd: join(folder, 'root') })
  // /dev/console is in the kernel's own first file system
  run('sh', ['-c', 'find . | cpio -o -H newc --quiet | gzip -1 > ../cd/initrd.gz'], {
    cwd: join(folder, 'root'),
  })
  copyFileSync(vmlinuz, join(folder, 'cd/vmlinuz'))
  copyFileSync(firmware.isolinux, join(folder, 'cd/isolinux.bin'))
  copyFileSync(firmware.ldlinux, join(folder, 'cd/ldlinux.c32'))
  // without XSAVES (323) and XSAVEC (321): bochs 2.7 gives a size for them that Linux distrusts, and it would
  // switch AVX off altogether
  const append =
    'console=ttyS0 quiet clearcpuid=323,321 mitigations=off nosmp tsc=reliable lpj=1000000 no_timer_check'
  const menu = 'DEFAULT l\nPROMPT 0\nLABEL l\n  KERNEL vmlinuz\n  APPEND initrd=initrd.gz '
  writeFileSync(join(folder, 'cd/isolinux.cfg'), `${menu}${append} random.trust_cpu=on\n`)
  const image = ['-quiet', '-o', 'cd.iso', '-b', 'isolinux.bin', '-c', 'boot.cat', '-no-emul-boot']
  run('genisoimage', [...image, '-boot-load-size', '4', '-boot-info-table', 'cd'], {
    cwd: folder,
    quiet: true,
  })
  // sound by the dummy driver: with ALSA and no sound card, Debian's bochs aborts in its mixer's thread
  writeFileSync(
    join(folder, 'bochsrc'),
    `config_interface: textconfig
display_library: term
cpu: model=corei7_skylake_x, count=1, ips=200000000, reset_on_triple_fault=0
memory: guest=512, host=512
romimage: file=${firmware.bios}
vgaromimage: file=${firmware.vga}
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=cd.iso, status=inserted
boot: cdrom
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
com1: enabled=1, mode=file, dev=serial.log
clock: sync=none
panic: action=fatal
log: bochs.log
`,
  )
  // Debian's bochs is the one with the debugger, which waits to be told to go; and it wants a terminal
  writeFileSync(join(folder, 'go'), 'c\n')
  rmSync(join(folder, 'serial.log'), { force: true })
  const bochs = [
    '--foreground',
    String(timeoutSeconds),
    'script',
    '-qec',
    'bochs -q -f bochsrc -rc go',
    'terminal.log',
  ]
  const { status } = capture('timeout', bochs, { cwd: folder, env: { ...process.env, TERM: 'xterm' } })
  const serial = existsSync(join(folder, 'serial.log'))
    ? readFileSync(join(folder, 'serial.log'), 'utf8')
    : ''
  if (!serial.includes('AVX-512: yes')) {
    const terminal = readFileSync(join(folder, 'terminal.log'), 'utf8').slice(-1000)
    die(`bochs: no AVX-512 in the emulated machine (exit code ${status})\n${serial || terminal}`)
  }
  const results = [...serial.replaceAll('\r', '').matchAll(/^BEGIN\n([\s\S]*?)^END (\d+)/gm)]
  if (results.length < commands.length)
    die(`bochs: the tests did not end within ${timeoutSeconds} s\n${serial.slice(-2000)}`)
  return results.map((result) => ({ status: Number(result[2]), output: result[1] }))
}
