import { type Command, EXIT } from '../command.ts'
import { loadPackage } from '../other-package.ts'
import { complain } from '../terminal.ts'

/** The part of @kernelet/jobs that is used; it is a package of its own. */
interface Jobs {
  jobs(args: readonly string[]): Promise<number>
}

export const command: Command = {
  summary: 'pictures in bulk, on any number of machines (@kernelet/jobs)',
  usage: 'submit|work|status|cancel|retry [options]',
  description: 'This is a package of its own: npm i @kernelet/jobs. Then --help lists its commands.',
  options: {},
  examples: [
    ['kernelet jobs submit scans --out results', 'puts the pictures of a folder into the queue'],
    ['kernelet jobs work', 'takes them from there, on any machine'],
  ],
  positionals: false,
  async raw(args) {
    const jobs = await loadPackage<Jobs>('@kernelet/jobs')
    if (jobs) return jobs.jobs(args)
    complain('kernelet jobs is in a package of its own: npm i @kernelet/jobs')
    return EXIT.failed
  },
  run: () => EXIT.ok,
}
