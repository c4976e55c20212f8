/** Checks the format of native/ with clang-format, or with --write puts it right. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { capture, die, root, run, which } from './util.mjs'

const write = process.argv.includes('--write')
const program = process.env.CLANG_FORMAT ?? 'clang-format'
if (!which(program)) {
  console.log('clang-format is not installed (Debian: apt install clang-format): native/ stays unchecked')
  process.exit(0)
}
const files = readdirSync(join(root, 'native'), { recursive: true })
  .filter((file) => /\.(cc|h)$/.test(file))
  .map((file) => join('native', file))
  .sort()
if (files.length === 0) die('clang-format: native/ holds no source')
run(program, write ? ['-i', ...files] : ['--dry-run', '-Werror', ...files])
console.log(
  `${files.length} files ${write ? 'formatted' : 'checked'} with ${capture(program, ['--version']).stdout.trim()}`,
)
