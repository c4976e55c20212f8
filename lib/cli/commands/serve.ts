import { type Command, EXIT } from '../command.ts'
import { loadPackage } from '../other-package.ts'
import { complain } from '../terminal.ts'

/** The part of @kernelet/server that is used; it is a package of its own. */
interface Server {
  serve(args: readonly string[]): Promise<number>
}

export const command: Command = {
  summary: 'put digits, or models of your own, behind HTTP and gRPC (@kernelet/server)',
  usage: '[options]',
  description: 'The server is a package of its own: npm i @kernelet/server. Then --help lists its options.',
  options: {},
  examples: [
    ['kernelet serve', 'the shipped digits at http://127.0.0.1:8080/v1/digits'],
    ['kernelet serve --model net=net.onnx', 'a model in the Open Inference Protocol (v2)'],
  ],
  positionals: false,
  async raw(args) {
    const server = await loadPackage<Server>('@kernelet/server')
    if (server) return server.serve(args)
    complain('kernelet serve is in a package of its own: npm i @kernelet/server')
    return EXIT.failed
  },
  run: () => EXIT.ok,
}
