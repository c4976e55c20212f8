/**
 * Directions of imports, and sizes of files, in lib/ and native/:
 *
 *   no circle among files
 *   no import upwards: a file imports from its own floor or from lower ones; folders that share a floor import each
 *   other in one direction only
 *   no file over `most` lines
 *
 * The floors are tables below, from the ground up. Exceptions are listed there too, and are to go: one that no longer
 * holds is an error as well.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { die, root } from './util.mjs'

const most = 500

const native = {
  folder: 'native',
  files: /\.(cc|h|inc)$/,
  imports: /^\s*#\s*include\s+"([^"]+)"/gm,
  // beside the file, else below native/
  resolve: (from, name) => [join(dirname(from), name), join('native', name)],
  floors: [['base'], ['kernels'], ['graph'], ['ops'], ['plan', 'train'], ['bindings'], ['bench', 'tests']],
  floorOf: (file) => (file === 'native/addon.cc' || file.startsWith('native/compat/') ? 'bindings' : undefined),
  circles: [],
  large: {},
}

const lib = {
  folder: 'lib',
  files: /\.ts$/,
  imports: /(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g,
  resolve: (from, name) => [join(dirname(from), name.replace(/\.js$/, '.ts'))],
  floors: [], // any folder may import any other
  floorOf: () => undefined,
  circles: [
    [
      'lib/activations.ts',
      'lib/calibrate.ts',
      'lib/compile.ts',
      'lib/graph.ts',
      'lib/nn/module.ts',
      'lib/summary.ts',
    ],
    ['lib/io/onnx/save.ts', 'lib/io/onnx/writers.ts'],
  ],
  large: {},
  generated: ['lib/io/onnx/proto.ts'],
}

let wrong = 0
function fail(message) {
  console.log(`  FAIL ${message}`)
  wrong++
}

/** Every file, with the files it imports. */
function readTree({ folder, files, imports, resolve }) {
  const tree = new Map()
  for (const name of readdirSync(join(root, folder), { recursive: true }).sort()) {
    const file = join(folder, name).replaceAll('\\', '/')
    if (!files.test(file)) continue
    const text = readFileSync(join(root, file), 'utf8')
    const found = new Set()
    for (const [, target] of text.matchAll(imports)) {
      const path = resolve(file, target)
        .map((candidate) => normalize(candidate).replaceAll('\\', '/'))
        .find((candidate) => existsSync(join(root, candidate)))
      if (!path) fail(`${file} imports '${target}', which is not there`)
      else if (files.test(path)) found.add(path)
    }
    tree.set(file, { imports: [...found], lines: text.split('\n').length - 1 })
  }
  return tree
}

/** Strongly connected components of more than one node, after Tarjan. */
function circlesOf(nodes, next) {
  const index = new Map()
  const low = new Map()
  const stack = []
  const circles = []
  function visit(node) {
    index.set(node, index.size)
    low.set(node, index.get(node))
    stack.push(node)
    for (const other of next(node)) {
      if (!index.has(other)) visit(other)
      if (stack.includes(other)) low.set(node, Math.min(low.get(node), low.get(other)))
    }
    if (low.get(node) < index.get(node)) return
    const circle = stack.splice(stack.indexOf(node))
    if (circle.length > 1 || next(node).includes(node)) circles.push(circle.sort())
  }
  for (const node of nodes) if (!index.has(node)) visit(node)
  return circles
}

function checkTree(rules) {
  const tree = readTree(rules)
  const { folder, floors, floorOf, circles, large, generated = [] } = rules
  const known = circles.map((circle) => circle.join(' '))
  const found = circlesOf([...tree.keys()], (file) => tree.get(file)?.imports ?? [])
  for (const circle of found)
    if (!known.includes(circle.join(' '))) fail(`a circle of imports: ${circle.join(', ')}`)
  for (const circle of circles)
    if (!found.some((other) => other.join(' ') === circle.join(' ')))
      fail(`no such circle of imports any more: take it off the list: ${circle.join(', ')}`)

  const room = (file) => floorOf(file) ?? file.split('/')[1]
  const height = (file) => floors.findIndex((floor) => floor.includes(room(file)))
  const rooms = new Map(floors.flat().map((name) => [name, new Set()]))
  if (floors.length > 0) {
    for (const [file, { imports }] of tree) {
      if (height(file) < 0) fail(`${file}: no floor is declared for ${folder}/${room(file)}`)
      for (const target of imports) {
        if (height(target) > height(file)) fail(`${file} imports upwards: ${target}`)
        else if (room(target) !== room(file)) rooms.get(room(file))?.add(room(target))
      }
    }
    for (const circle of circlesOf([...rooms.keys()], (name) => [...rooms.get(name)]))
      fail(`folders of ${folder} import each other in both directions: ${circle.join(', ')}`)
  }

  for (const [file, { lines }] of tree) {
    if (generated.includes(file)) continue
    const limit = large[file] ?? most
    if (lines > limit) fail(`${file} has ${lines} lines, over ${limit}`)
    else if (file in large && lines <= most) fail(`${file} is no longer large: take it off the list`)
  }
  const arrows = [...tree.values()].reduce((sum, { imports }) => sum + imports.length, 0)
  console.log(`${folder}: ${tree.size} files, ${arrows} imports`)
}

checkTree(native)
checkTree(lib)
if (wrong > 0) die(`check-imports: ${wrong} finding(s)`)
