/**
 * Keeps the house in order: in lib and native no file imports one of a floor above its own, no two files import each
 * other in a circle, and no file is longer than can be read at once. Part of `npm run lint`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { root } from './util.mjs'

/** Folders of lib from the ground up, and what belongs in each: the first line of CONTRIBUTING's map. */
const lib = [
  'util', // knows nothing of kernelet
  'tensor', // values: Tensor, Parameter, shapes, random numbers
  'backend', // the one seam to machine code
  'graph', // operations, traced or run; summaries
  'compile', // a graph as a plan that runs
  'nn', // Module, Sequential, initial values
  'ops', // functions and layers
  'formats', // safetensors, PyTorch's files, ONNX
  'models', // LeNet-5
  'vision', // pictures, digits
  'data', // labelled images
  'train', // Trainer
  'index.ts', // public names
  'bench', // measuring
  'cli', // the command line
]
/** Folders of native; those of one row import each other in one direction only. native/README.md says what is in each. */
const native = [
  'base', // memory, errors, shapes, CPUs, threads
  'kernels', // the arithmetic, and which tier of it runs
  'graph', // what is to be computed
  'ops', // an operation: its shape, its step of a plan, its step of training
  ['plan', 'train'], // programs, made by passes
  ['compat', 'bindings'], // Node-API
  'addon.cc',
  ['bench', 'tests', 'fuzz'],
]

/** Folders of the server, likewise. */
const server = [
  ['errors.ts', 'typebox.ts'], // refusals, schemas
  'protocol', // the Open Inference Protocol's tensors, calls and answers
  'models', // files as engines, batches, the registry
  ['settings.ts', 'histogram.ts', 'metrics.ts', 'pictures.ts'],
  ['tokens.ts', 'tracing.ts', 'security.ts'],
  'core.ts', // all of it without a protocol
  'playground', // the page at /, and what it asks
  'http', // routes
  'grpc',
  'server.ts', // the routes as a plugin
  'process.ts', // a process that serves
  'cluster', // several
  'serve.ts', // the program
  'client.ts',
  'index.ts', // public names
]

/** Files of the playground's page, likewise. */
const page = [
  ['dom.ts', 'page.ts'],
  ['theme.ts', 'api.ts'],
  'chart.ts',
  'draw',
  ['train', 'service', 'notes'],
  'main.ts',
  'vite.config.ts',
]

/** Folders of the jobs, likewise. */
const jobs = [
  'errors.ts', // whose fault it is
  'spec.ts', // a job as plain data
  'store', // where its files lie
  ['redis.ts', 'board.ts', 'http.ts', 'progress.ts', 'settings.ts'],
  'sources.ts', // pictures, wherever they lie
  'manifest.ts',
  'model.ts',
  'chunk.ts', // rows become a part
  'merge.ts', // parts become the result
  'flow.ts', // all of these in the queue
  ['submit.ts', 'worker.ts'],
  'control.ts',
  'jobs.ts', // the program
  'index.ts', // public names
]

const trees = [
  {
    folder: 'packages/server/playground',
    floors: page,
    files: /\.ts$/,
    imports: /(?:\bfrom|\bimport|\bimport\()\s*['"](\.[^'"]+\.ts)['"]/g,
  },
  {
    folder: 'packages/jobs/lib',
    floors: jobs,
    files: /\.ts$/,
    imports: /(?:\bfrom|\bimport|\bimport\()\s*['"](\.[^'"]+)['"]/g,
  },
  {
    folder: 'packages/server/lib',
    floors: server,
    files: /\.ts$/,
    imports: /(?:\bfrom|\bimport|\bimport\()\s*['"](\.[^'"]+)['"]/g,
  },
  {
    folder: 'lib',
    floors: lib,
    files: /\.ts$/,
    imports: /(?:\bfrom|\bimport|\bimport\()\s*['"](\.[^'"]+)['"]/g,
  },
  { folder: 'native', floors: native, files: /\.(cc|h|inc)$/, imports: /^\s*#include "([^"]+)"/gm },
]

const most = 500
/** Made by a program. */
const generated = new Set(['lib/formats/onnx/proto.ts', 'lib/formats/onnx/proto-write.ts'])

const problems = trees.flatMap(check)
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1
else console.log('imports go downwards, without circles; files are of a length to be read')

function check({ folder, floors, files, imports }) {
  const base = join(root, folder)
  const paths = readdirSync(base, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => files.test(path))
  const texts = new Map(paths.map((path) => [path, readFileSync(join(base, path), 'utf8')]))
  const edges = new Map(
    [...texts].map(([path, text]) => [
      path,
      [...text.matchAll(imports)].map(([, name]) => target(path, name)),
    ]),
  )

  // Beside the file, else below the folder.
  function target(path, name) {
    const beside = relative(base, resolve(base, dirname(path), name)).replaceAll('\\', '/')
    return texts.has(beside) || !texts.has(name) ? beside : name
  }

  const roomOf = (path) => path.split('/')[0]
  const floorOf = (path) => floors.findIndex((floor) => [floor].flat().includes(roomOf(path)))
  const lost = paths
    .filter((path) => floorOf(path) < 0)
    .map((path) => `${folder}/${path}: in no known folder`)
  const upwards = [...edges].flatMap(([path, all]) =>
    all
      .filter((other) => texts.has(other) && floorOf(other) > floorOf(path))
      .map((other) => `${folder}/${path} imports ${folder}/${other}, which is on a floor above it`),
  )
  // Rooms of one floor: arrows both ways between them.
  const arrows = new Map(paths.map((path) => [roomOf(path), new Set()]))
  for (const [path, all] of edges)
    for (const other of all)
      if (texts.has(other) && roomOf(other) !== roomOf(path)) arrows.get(roomOf(path)).add(roomOf(other))
  const mutual = circlesOf([...arrows.keys()], (name) => [...arrows.get(name)]).map(
    (rooms) => `${folder}: ${rooms.join(', ')} import each other in both directions`,
  )
  const round = circlesOf(paths, (path) => edges.get(path).filter((other) => texts.has(other)))
    .map((circle) =>
      circle
        .map((path) => `${folder}/${path}`)
        .sort()
        .join(' '),
    )
    .map((circle) => `a circle of imports: ${circle}`)
  const tooLong = [...texts]
    .map(([path, text]) => [`${folder}/${path}`, text.split('\n').length - 1])
    .filter(([path, lines]) => lines > most && !generated.has(path))
    .map(([path, lines]) => `${path} has ${lines} lines, more than ${most}: cut it where its ideas part`)
  return [...lost, ...upwards, ...mutual, ...round, ...tooLong]
}

/** Groups of files that reach each other (Tarjan 1972). */
function circlesOf(nodes, next) {
  const [order, low, stack, found] = [new Map(), new Map(), [], []]
  const visit = (node) => {
    order.set(node, order.size)
    low.set(node, order.get(node))
    stack.push(node)
    for (const other of next(node)) {
      if (!order.has(other)) visit(other)
      if (stack.includes(other)) low.set(node, Math.min(low.get(node), low.get(other)))
    }
    if (low.get(node) !== order.get(node)) return
    const circle = stack.splice(stack.indexOf(node))
    if (circle.length > 1) found.push(circle)
  }
  for (const node of nodes) if (!order.has(node)) visit(node)
  return found
}
