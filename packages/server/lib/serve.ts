/** The program behind `kernelet serve`. */

import { serveWorkers } from './cluster/primary.ts'
import { messageOf } from './errors.ts'
import { serveHere } from './process.ts'
import { help, isLocal, readSettings, type Settings, SettingsError } from './settings.ts'

/**
 * Serves until SIGTERM or SIGINT.
 *
 * @param args the command line behind `serve`
 * @returns the exit code: 0 ended as asked and every request answered, 1 could not serve, or some were cut off, 2
 *   wrong settings
 */
export async function serve(args: readonly string[]): Promise<number> {
  try {
    const settings = readSettings(args, process.env)
    if (settings) return await run(settings)
    process.stdout.write(`${help()}\n`)
    return 0
  } catch (error) {
    if (error instanceof SettingsError) {
      process.stderr.write(`kernelet: serve: ${error.message} (see kernelet serve --help)\n`)
      return 2
    }
    process.stderr.write(`kernelet: ${messageOf(error)}\n`)
    return 1
  }
}

async function run(settings: Settings): Promise<number> {
  const serving = settings.workers > 1 ? await serveWorkers(settings) : await serveHere(settings)
  const { address, grpcPort, log } = serving
  if (settings.tokenFile === undefined && !isLocal(settings)) {
    log.warn(`anybody who reaches ${settings.host} may use this server: --token-file asks for a token`)
  }
  // heard from before anybody is told that there is something to end
  const asked = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve())
  })
  log.info({ address, ...(grpcPort !== undefined && { grpcPort }), workers: settings.workers }, 'serving')
  await asked
  log.info('draining')
  const whole = await serving.drain()
  log.info(whole ? 'all requests answered' : 'requests were cut off: --grace was over')
  return whole ? 0 : 1
}
