/**
 * The documents as a static site: `npm run docs` builds docs/.vitepress/dist, `npm run docs -- dev` shows changes at
 * once. Its tools are a package of their own: `npm --prefix docs ci --ignore-scripts`.
 *
 * All Markdown that people read is copied to docs/.site in the folders that it has here, so that its links lead where
 * they lead here; links to sources become their names. TypeDoc adds reference/. VitePress refuses dead links.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize, posix } from 'node:path'
import { capture, die, root, run } from './util.mjs'

const tools = join(root, 'docs/node_modules')
if (!existsSync(tools)) die('npm run docs: first npm --prefix docs ci --ignore-scripts')
const site = join(root, 'docs/.site')
const bin = (name, file) => join(tools, name, file)

const tracked = capture(
  'git',
  ['ls-files', '-co', '--exclude-standard', '*.md', 'docs/*.png', 'docs/*.svg'],
  {
    cwd: root,
  },
)
  .stdout.trim()
  .split('\n')
  .filter((file) => existsSync(join(root, file)) && !/^(\.github|tests|docs\/node_modules)\//.test(file))
const pages = new Set(tracked)

rmSync(site, { recursive: true, force: true })
for (const file of tracked) {
  mkdirSync(dirname(join(site, file)), { recursive: true })
  if (file.endsWith('.md'))
    writeFileSync(join(site, file), linked(file, readFileSync(join(root, file), 'utf8')))
  else cpSync(join(root, file), join(site, file))
}

/** Links to what is a page here stay, to a folder lead to its README, and to sources are their names. */
function linked(file, text) {
  const parts = text.split(/(^(?:`{3,})[\s\S]*?^`{3,}$|`[^`\n]*`)/m)
  return parts
    .map((part, i) => (i % 2 === 1 ? part : part.replace(/(!?)\[([^\]]*)\]\(([^)\s]+)\)/g, link)))
    .join('')

  function link(whole, picture, title, target) {
    if (/^[a-z]+:|^#/.test(target)) return whole
    const [path, hash] = target.split('#')
    const there = posix.normalize(posix.join(posix.dirname(file), decodeURI(path))).replace(/\/$/, '')
    if (pages.has(there)) return whole
    const readme = posix.join(there, 'README.md')
    if (pages.has(readme) && existsSync(join(root, there)) && statSync(join(root, there)).isDirectory()) {
      return `[${title}](${posix.join(path, 'README.md')}${hash ? `#${hash}` : ''})`
    }
    return picture ? whole : `${title === '' ? there : title}`
  }
}

run(process.execPath, [
  bin('typedoc', 'bin/typedoc'),
  ...['--options', join(root, 'docs/typedoc.json')],
  ...['--out', normalize(join(site, 'reference'))],
])
const [command = 'build', ...rest] = process.argv.slice(2)
run(process.execPath, [bin('vitepress', 'bin/vitepress.js'), command, join(root, 'docs'), ...rest])
