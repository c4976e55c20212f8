/** Which code of a document is run, and what it may print. */
import { describe, expect, test } from 'vitest'
import { filesOf, pattern, programsOf, setupsOf } from './markdown.ts'

const document = `# Title
\`\`\`js
shown()
\`\`\`

\`\`\`js
console.log(1)
\`\`\`
\`\`\`
1
\`\`\`
Text between a block and

\`\`\`
what it does not print
\`\`\`

## Section
<!-- file: examples/digits as pictures -->
<!-- setup: scripts/write-hand.mjs hand 2 -->
<!-- run -->
\`\`\`sh
ls pictures
\`\`\`
<!-- start -->
\`\`\`sh
serve
\`\`\`
<!-- skip: needs a GPU -->
\`\`\`js
gpu()
\`\`\`
\`\`\`json
{}
\`\`\`
`

describe('programs of a document', () => {
  test('what is marked, and JavaScript whose output is shown', () => {
    const programs = programsOf(document, false)
    expect(programs.map(({ language, line, starts }) => [language, line, starts])).toEqual([
      ['js', 6, false],
      ['sh', 22, false],
      ['sh', 26, true],
    ])
    expect(programs[0]!.blocks.map(({ output }) => output)).toEqual(['1'])
    const blocks = programs.flatMap((program) => program.blocks)
    expect(blocks.flatMap(filesOf)).toEqual([['examples/digits', 'pictures']])
    expect(blocks.flatMap(setupsOf)).toEqual([['scripts/write-hand.mjs', 'hand', '2']])
  })

  test('all, but what is marked as skipped; blocks that follow each other are one program', () => {
    const programs = programsOf(document, true)
    expect(programs.map(({ language, blocks }) => [language, blocks.length])).toEqual([
      ['js', 2],
      ['sh', 1],
      ['sh', 1],
    ])
  })

  test('a mark that does not exist, a block without an end', () => {
    expect(() => programsOf('<!-- runs -->\n```js\n```\n', false)).toThrow('line 2: <!-- runs -->')
    expect(() => programsOf('```js\n', false)).toThrow('line 1: the code block has no end')
  })
})

test('… is anything, all else is itself', () => {
  expect(pattern('a.b\ntook … ms').test('a.b\ntook 3\n4 ms')).toBe(true)
  expect(pattern('a.b').test('acb')).toBe(false)
  expect(pattern('a').test('a\nb')).toBe(false)
})
