/** The thread in which networks are looked into: what takes long there keeps no request waiting. */
import { parentPort } from 'node:worker_threads'
import { Network } from './network.ts'
import { answerWith, type FromMain, type Wanted } from './questions.ts'
import { openSource } from './sources.ts'

/** How many networks are kept open. */
const MOST = 4
const open = new Map<string, { stamp: string; network: Network }>()

function networkOf({ id, file, stamp }: Wanted): Network {
  const known = open.get(id)
  open.delete(id)
  if (known?.stamp === stamp) {
    // the one used last is closed last
    open.set(id, known)
    return known.network
  }
  known?.network.dispose()
  const network = new Network(openSource(id, file))
  open.set(id, { stamp, network })
  for (const [oldest, { network: old }] of open) {
    if (open.size <= MOST) break
    old.dispose()
    open.delete(oldest)
  }
  return network
}

parentPort?.on('message', (message: FromMain) => answerWith(message, networkOf))
