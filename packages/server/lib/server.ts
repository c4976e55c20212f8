/** createServer: kernelet's routes for those who have a server. */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { type Control, Core } from './core.ts'
import { routes } from './http/plugin.ts'
import type { Open } from './models/open.ts'
import type { Trains } from './playground/train/training.ts'
import { type ServerOptions, type Settings, settingsOf } from './settings.ts'
import { Tokens } from './tokens.ts'
import { loadTracing } from './tracing.ts'

/** Milliseconds between looks at files, with `watch`. */
const WATCH = 1000

/** A server's routes with what they stand on. */
export interface Parts {
  core: Core
  plugin: FastifyPluginAsync
}

/**
 * The routes as a plugin of Fastify 5: `app.register(createServer({ model: { net: 'net.onnx' } }))`. Models are opened
 * when it is registered, and freed when the server is closed. Settings that are about the process and its sockets
 * (host, port, workers …) are the application's own.
 *
 * @throws SettingsError for wrong options; KerneletError, when the plugin is registered, for models that cannot be
 *   opened
 */
export function createServer(options: ServerOptions = {}): FastifyPluginAsync {
  return partsOf(settingsOf(options)).plugin
}

/** What stands around the routes. */
export interface Surroundings {
  /** Of several processes; default: of this one. */
  control?: Control
  /** Opens models; default: kernelet. */
  open?: Open | undefined
  /** Models that are not to be loaded. */
  except?: readonly string[]
  /** Whether there are no other routes. */
  alone?: boolean
  /** What trains for the playground, in another process. */
  training?: Trains
}

/** @internal */
export function partsOf(
  settings: Settings,
  { control, open, except, alone = false, training }: Surroundings = {},
): Parts {
  const core = new Core(settings, control, open)
  const tokens = settings.tokenFile === undefined ? undefined : Tokens.read(settings.tokenFile)
  const plugin = async (app: FastifyInstance): Promise<void> => {
    core.log = app.log
    await core.open(except)
    const watching = settings.watch ? watch(core) : undefined
    app.addHook('onClose', async () => {
      watching?.()
      await core.registry.drained()
      core.registry.dispose()
    })
    await app.register(routes(core, tokens, await loadTracing(), alone, training))
  }
  return { core, plugin }
}

/** Looks at the models' files until it is called. */
function watch(core: Core): () => void {
  let timer: NodeJS.Timeout
  const look = (): void => {
    timer = setTimeout(
      () =>
        core
          .reloadChanged()
          .catch(() => undefined)
          .finally(look),
      WATCH,
    ).unref()
  }
  look()
  return () => clearTimeout(timer)
}
