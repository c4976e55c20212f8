/**
 * Code in Markdown, as programs that can be run.
 *
 * The blocks of one language that follow each other under a heading (`#` or `##`) are one program. What a block prints
 * is the block without a language (or `text`) that comes right after it; there `…` stands for anything. An HTML comment
 * before a block says how it is run:
 *
 *     <!-- run -->                     it runs, and nothing is compared
 *     <!-- start -->                   a server: it runs until the document ends; its port 8080 is a free one
 *     <!-- file: FROM as NAME -->      before: a file or folder of the repository lies in the working folder
 *     <!-- setup: SCRIPT ARGUMENTS --> before: a script of the repository is run there
 *     <!-- skip: REASON -->            it is shown only
 */

/** What is run of each language; blocks of others (json, dockerfile …) are shown only. */
export const languages = ['js', 'ts', 'sh', 'python'] as const
export type Language = (typeof languages)[number]

export interface Block {
  language: string
  code: string
  /** Of its fence, from 1. */
  line: number
  /** The comments before it, without the arrows. */
  marks: readonly string[]
  /** What it is said to print. */
  output: string | undefined
}

export interface Program {
  language: Language
  line: number
  blocks: Block[]
  /** Runs until the document ends. */
  starts: boolean
}

/** The code blocks of a document, section by section. */
export function sectionsOf(markdown: string): Block[][] {
  const sections: Block[][] = [[]]
  const lines = markdown.split('\n')
  let marks: string[] = []
  let last: Block | undefined
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!
    const [, fence, language = ''] = /^(`{3,})(\w*)/.exec(line) ?? []
    if (fence !== undefined) {
      const end = lines.indexOf(fence, i + 1)
      if (end < 0) throw new Error(`line ${i + 1}: the code block has no end`)
      const code = lines.slice(i + 1, end).join('\n')
      if (/^(text)?$/.test(language) && last && marks.length === 0) {
        last.output = code
        last = undefined
      } else {
        last = { language, code, line: i + 1, marks, output: undefined }
        sections.at(-1)!.push(last)
      }
      marks = []
      i = end
    } else if (/^##? /.test(line)) {
      sections.push([])
      marks = []
      last = undefined
    } else if (line.trim() !== '') {
      const mark = /^<!-- (.*) -->$/.exec(line)?.[1]
      if (mark === undefined) [marks, last] = [[], undefined]
      else marks.push(mark)
    }
  }
  return sections
}

/**
 * What is run of a document, in its order.
 *
 * @param all whether every block of a language that can be run is, but for those that are marked `skip`; else those
 *   that are marked, and JavaScript whose output is shown
 * @throws Error for a mark that does not exist
 */
export function programsOf(markdown: string, all: boolean): Program[] {
  const programs: Program[] = []
  for (const section of sectionsOf(markdown)) {
    let program: Program | undefined
    for (const block of section) {
      for (const mark of block.marks) {
        if (!/^(run|start|file: \S+ as \S+|setup: .+|skip: .+)$/.test(mark)) {
          throw new Error(`line ${block.line}: <!-- ${mark} --> is not one of tests/markdown.ts`)
        }
      }
      const language = languages.find((known) => known === block.language)
      if (language === undefined || !runs(block, all)) continue
      const starts = block.marks.includes('start')
      if (program === undefined || program.language !== language || starts || program.starts) {
        program = { language, line: block.line, blocks: [], starts }
        programs.push(program)
      }
      program.blocks.push(block)
    }
  }
  return programs
}

function runs({ language, marks, output }: Block, all: boolean): boolean {
  if (marks.some((mark) => mark.startsWith('skip: '))) return false
  return (
    all || marks.includes('run') || marks.includes('start') || (language === 'js' && output !== undefined)
  )
}

/** What the working folder has before a block runs: [path in the repository, name there]. */
export function filesOf({ marks }: Block): [from: string, name: string][] {
  return marks.flatMap((mark) => {
    const [, from, name] = /^file: (\S+) as (\S+)$/.exec(mark) ?? []
    return from !== undefined && name !== undefined ? [[from, name] as [string, string]] : []
  })
}

/** Scripts that are run in the working folder before a block: a path in the repository, and arguments. */
export function setupsOf({ marks }: Block): string[][] {
  return marks.flatMap((mark) =>
    mark.startsWith('setup: ') ? [mark.slice('setup: '.length).split(' ')] : [],
  )
}

/** A pattern of what a block may print: `…` is anything, space at the ends of lines nothing. */
export function pattern(output: string): RegExp {
  const parts = trimmed(output)
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^]*')}$`)
}

/** Text without the space at the ends of its lines and of itself. */
export function trimmed(text: string): string {
  return text.replace(/[ \t]+$/gm, '').trim()
}
