/** The documents: their links lead somewhere, and their lists are whole. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from './helpers.ts'

const read = (file: string) => readFileSync(join(root, file), 'utf8')
const tracked = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  .filter((file) => existsSync(join(root, file)))
const documents = tracked.filter((file) => file.endsWith('.md') && !file.startsWith('.github/'))
const sources = tracked.filter((file) => /^(lib|packages\/\w+\/lib)\/.*\.ts$/.test(file)).map(read)

/** As GitHub, npm and VitePress name a heading. */
function anchor(heading: string): string {
  return heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

const withoutCode = (text: string) => text.replace(/^(`{3,})[\s\S]*?^\1$/gm, '').replace(/`[^`\n]*`/g, '')

describe('links', () => {
  test.each(documents)('%s', (document) => {
    const dead: string[] = []
    for (const [, target = ''] of withoutCode(read(document)).matchAll(
      /\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g,
    )) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = '', hash] = target.split('#')
      const file = path === '' ? document : join(dirname(document), decodeURI(path))
      if (!existsSync(join(root, file))) dead.push(target)
      else if (hash && statSync(join(root, file)).isFile()) {
        const headings = [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading))
        if (!headings.includes(decodeURI(hash))) dead.push(target)
      }
    }
    expect(dead).toEqual([])
  })

  test('a heading with a link and signs', () => {
    expect(anchor('[C++](x.md): `a_b` & more')).toBe('c-a_b--more')
  })
})

/** First cells of a document's tables, their code only. */
const rows = (document: string) => [...read(document).matchAll(/^\| `([^`]+)`/gm)].map(([, cell]) => cell)

test('docs/errors.md has every code once, and no other', () => {
  const union = /export type KerneletErrorCode =([\s\S]*?)\n\n/.exec(read('lib/util/errors.ts'))?.[1] ?? ''
  const codes = [...union.matchAll(/'(ERR_\w+)'/g)].map(([, code]) => code)
  expect(codes.length).toBeGreaterThan(10)
  expect(rows('docs/errors.md')).toEqual(codes)
  const thrown = new Set(
    sources.flatMap((text) => [...text.matchAll(/KerneletError\(\s*'(ERR_\w+)'/g)].map(([, c]) => c)),
  )
  expect([...thrown].filter((code) => !codes.includes(code))).toEqual([])
})

test('docs/environment.md has every variable that is read, and no other', () => {
  const native = tracked.filter((file) => /^native\/(?!tests|bench|fuzz).*\.(cc|h)$/.test(file)).map(read)
  const found = new Set([
    ...sources.flatMap((text) => [...text.matchAll(/process\.env\.([A-Z0-9_]+)/g)].map(([, name]) => name)),
    ...sources.flatMap((text) =>
      [...text.matchAll(/const \{([^}]*)\} = process\.env/g)].flatMap(([, names]) =>
        names!.trim().split(/,\s*/),
      ),
    ),
    ...native.flatMap((text) => [...text.matchAll(/getenv\("(\w+)"\)/g)].map(([, name]) => name)),
    // by Node itself
    'NO_COLOR',
    'KERNELET_SERVE_…',
  ])
  expect(rows('docs/environment.md').sort()).toEqual([...found].sort())
})

test('docs/history.md shows bench/history', () => {
  const { stdout } = spawnSync(process.execPath, ['bin/kernelet.js', 'bench', 'compare', 'bench/history'], {
    cwd: root,
    encoding: 'utf8',
  })
  expect(stdout).not.toBe('')
  expect(read('docs/history.md')).toContain(stdout.trimEnd())
})

test('every report of bench/history is of a version, and none is missing from the page', () => {
  for (const file of readdirSync(join(root, 'bench/history'))) {
    expect(file).toMatch(/^\d+\.\d+\.\d+-[\w-]+\.json$/)
    expect(read('docs/history.md')).toContain(file.replace('.json', ''))
  }
})

describe('a package is published only where npm can resolve the links of its README', () => {
  test.each(['package.json', 'packages/server/package.json', 'packages/jobs/package.json'])('%s', (file) => {
    expect(JSON.parse(read(file)).scripts.prepublishOnly).toContain('check-address.mjs')
  })

  test('without an address it is refused, and with that of another folder', () => {
    const folder = mkdtempSync(join(root, 'build-address-'))
    const url = 'git+https://example.org/kernelet.git'
    const check = (repository?: object) => {
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'p', repository }))
      const script = join(root, 'scripts/check-address.mjs')
      const { status, stderr } = spawnSync(process.execPath, [script], { cwd: folder, encoding: 'utf8' })
      return { status, stderr }
    }
    try {
      const refused = {
        status: 1,
        stderr: expect.stringContaining(`with "directory": "${basename(folder)}"`),
      }
      expect(check()).toEqual(refused)
      expect(check({ url })).toEqual(refused)
      expect(check({ url, directory: 'packages/other' })).toEqual(refused)
      expect(check({ url, directory: basename(folder) })).toEqual({ status: 0, stderr: '' })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

test('the first change of CONTRIBUTING.md breaks the tests that it has one look at', () => {
  const guide = read('CONTRIBUTING.md')
  const [, tests = ''] = /npx vitest run (tests\/\S+) --watch/.exec(guide) ?? []
  const [, source = '', name = '', number = ''] =
    /Open `(\S+)`, find `(\w+)` and turn its (\d+) into/.exec(guide) ?? []
  const [, body = ''] =
    new RegExp(`^export function ${name}\\b.*\\n([\\s\\S]*?)^}`, 'm').exec(read(source)) ?? []
  expect(body).toContain(number)
  expect(read(tests)).toMatch(new RegExp(`'${name}', ${name}, .*\\b${number}\\b`))
})
