import { writeAtomically } from '../../formats/atomic-write.ts'
import { formatCount, formatTable } from '../../util/text-table.ts'
import { augmentSheet } from '../charts/augment-sheet.ts'
import { type Command, EXIT } from '../command.ts'
import { dataOption, rawOption, readData } from '../data.ts'
import { print, printJson } from '../terminal.ts'
import { integer, pictureName } from '../values.ts'

export const command: Command = {
  summary: 'show what a folder of training data holds, or get MNIST',
  usage: '[COMMAND] [options]',
  description: `Reads a folder of labelled images as train and eval do and says what is in it: how many images of each
class, their shape, and what cannot be used.`,
  options: {
    data: dataOption,
    raw: rawOption,
    sheet: {
      type: 'string',
      value: 'FILE',
      help: 'write a PNG: some images, each beside what train --augment makes of it',
    },
    seed: { type: 'string', value: 'N', help: 'of those variations; default 0' },
    json: { type: 'boolean', help: 'print a JSON object' },
  },
  examples: [
    ['kernelet data --data photos', 'how many pictures of each class photos/circle, photos/cross … have'],
    ['kernelet data --sheet varied.png', 'what training with --augment sees'],
    ['kernelet data mnist', 'download MNIST to data/mnist'],
  ],
  positionals: false,
  subcommands: { mnist: async () => (await import('../data-mnist.ts')).command },
  async run(values) {
    const sheet = pictureName(values, 'sheet', ['.png'])
    const parts: PartSummary[] = []
    for (const part of ['train', 'test'] as const) {
      const found = await readData(values, part)
      if (!found || (parts.length > 0 && !found.parted)) continue
      const { data, folder, kind, parted } = found
      if (sheet !== undefined && parts.length === 0) {
        writeAtomically(sheet, [augmentSheet(data, integer(values, 'seed', 0, 0))])
      }
      const counts = data.classes.map((name, label) => ({
        class: name,
        images: data.labels.filter((one) => one === label).length,
      }))
      parts.push({
        folder,
        kind,
        part: parted ? part : 'all',
        shape: data.shape,
        images: data.length,
        counts,
      })
    }
    if (values.json) {
      printJson(parts)
      return EXIT.ok
    }
    for (const { folder, kind, part, shape, images } of parts) {
      print(
        `${folder}: ${formatCount(images)} ${part === 'all' ? '' : `${part} `}images of ${shape.join('×')} (${kind})`,
      )
    }
    const classes = parts[0]?.counts.map(({ class: name }) => name) ?? []
    print(
      `\n${formatTable(
        [
          ['class', ...parts.map(({ part }) => part)],
          ...classes.map((name, i) => [
            name,
            ...parts.map(({ counts }) => formatCount(counts[i]?.images ?? 0)),
          ]),
        ],
        parts.map((_, i) => i + 1),
      )}`,
    )
    return EXIT.ok
  },
}

interface PartSummary {
  folder: string
  kind: string
  part: string
  shape: readonly number[]
  images: number
  counts: { class: string; images: number }[]
}
