/**
 * For the scripts of this folder: a file that is not there or an option that there is not ends them with a sentence
 * and an exit code (2 for how they were called, else 1). Mistakes of the scripts themselves keep their stack.
 */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

const script = basename(process.argv[1] ?? '')

process.on('uncaughtException', (error) => {
  const code = typeof error?.code === 'string' ? error.code : ''
  const options = code.startsWith('ERR_PARSE_ARGS')
  // Node's own complaints about arguments have codes too, and are mistakes
  if (code === '' || (error instanceof TypeError && !options)) console.error(error)
  else console.error(`${script}: ${error.message}`)
  process.exit(options ? 2 : 1)
})

/** Ends the script. */
export function fail(message, status = 1) {
  console.error(`${script}: ${message}`)
  process.exit(status)
}

/** Says how the script is called, and ends it. */
export function usage(line) {
  console.error(line)
  process.exit(2)
}

export function readJson(file) {
  let text
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    fail(`${file} cannot be read: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    fail(`${file} is no JSON: ${error.message}`)
  }
}

/** What `kernelet bench … --out FILE` wrote. */
export function readReport(file) {
  const report = readJson(file)
  if (report?.context?.kernelet !== undefined && Array.isArray(report.benchmarks)) return report
  return fail(`${file} is not a report of kernelet bench --out`)
}
