/** `kernelet bench …`: what it measures is in lib/bench. */
import { command as lenet5 } from '../bench/lenet5.ts'
import type { Command } from '../command.ts'

export const command: Command = {
  ...lenet5,
  usage: '[COMMAND] [options]',
  subcommands: {
    kernels: async () => (await import('../bench/kernels.ts')).command,
    layers: async () => (await import('../bench/layers.ts')).command,
    train: async () => (await import('../bench/train.ts')).command,
    models: async () => (await import('../bench/models.ts')).command,
    peers: async () => (await import('../bench/peers.ts')).command,
    compare: async () => (await import('../bench/compare.ts')).command,
  },
}
