/** `kernelet data mnist`. */

import { type DownloadProgress, downloadMnist } from '../data/download.ts'
import { defaultFolder, mirrors } from '../data/places.ts'
import { type Command, EXIT } from './command.ts'
import { complain, print, showProgress, tell } from './terminal.ts'

export const command: Command = {
  summary: 'download MNIST',
  usage: '[options]',
  description: `Downloads the four files of MNIST (11 MB). Files that are there already and right are kept. What comes is
checked against the SHA-256 of MNIST's contents before it gets its name. Mirrors, tried in turn:
${mirrors.map((mirror) => `  ${mirror}`).join('\n')}`,
  options: {
    out: { type: 'string', short: 'o', value: 'DIR', help: `where to; default ${defaultFolder}` },
    mirror: { type: 'string', value: 'URL', help: 'another mirror: a folder with the .gz files' },
  },
  examples: [
    ['kernelet data mnist', `to ${defaultFolder}, where train and eval look for it`],
    ['kernelet data mnist --out mnist --mirror http://localhost:8000/mnist', 'from a mirror of your own'],
  ],
  positionals: false,
  async run(values) {
    const folder = await downloadMnist({
      folder: values.out as string | undefined,
      mirror: values.mirror as string | undefined,
      onProgress: report,
    })
    print(`MNIST is in ${folder}`)
    return EXIT.ok
  },
}

function report({ file, mirror, received, total, state, reason }: DownloadProgress): void {
  if (state === 'receiving') {
    showProgress(`${file}  ${megabytes(received)}${total === undefined ? '' : ` of ${megabytes(total)}`} MB`)
  } else if (state === 'failed') complain(`${mirror}: ${reason}`)
  else tell(`${file}  ${state === 'kept' ? 'is there already' : `${megabytes(received)} MB`}`)
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
