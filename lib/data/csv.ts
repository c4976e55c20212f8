/** Labelled images in a table: a row an image, its label and its pixels, or its label and the file it is in. */
import { dirname, resolve } from 'node:path'
import { KerneletError } from '../util/errors.ts'
import { readWhole } from '../util/file.ts'
import { show } from '../util/show.ts'
import { checkFilePath, type FilePath } from '../util/source.ts'
import { pictureName } from '../vision/picture/names.ts'
import { Dataset, mostClasses } from './dataset.ts'
import { checkLoadOptions, type LoadPicturesOptions, loadLabelled, sortedNames } from './pictures.ts'

/** As `loadPictures`. */
const largest = 2 ** 30

/**
 * Reads a table of comma-separated values (RFC 4180; semicolons and tabs do too), with a line of headings or without.
 * A row is an image: two cells are a picture's file, by its path from the table's folder, and its label; more are a
 * label and the pixels, 0 black to 255 white, row by row, of a square image, grey or RGB. The label is the column that
 * is headed `label` or `class`, else the first, and beside a file whatever is no picture's name.
 *
 * @param options as for `loadPictures`; pixels are taken as they are
 * @throws KerneletError (by rejection) `ERR_FORMAT` for a table that is none of this, by line; otherwise as
 *   `loadPictures`
 * @example
 * writeFileSync('points.csv', 'label,p0,p1,p2,p3\nup,0,0,9,9\ndown,9,9,0,0\n')
 * const data = await loadCsv('points.csv')
 * data.shape // → [1, 2, 2]
 * data.classes // → ['down', 'up']
 */
export async function loadCsv(from: FilePath, options: LoadPicturesOptions = {}): Promise<Dataset> {
  const path = checkFilePath(from, 'loadCsv: file')
  checkLoadOptions('loadCsv', options)
  const bytes = readWhole(path, largest)
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    .toString('utf8')
    .replace(/^\uFEFF/, '')
  const rows = rowsOf(text, path)
  const first = rows.next()
  if (first.done) throw new KerneletError('ERR_FORMAT', `${path} is empty`)
  const hasHeading = isHeading(first.value.cells)
  const heading = hasHeading ? first.value.cells : []
  const rest = hasHeading ? rows : prepended(first.value, rows)
  if (first.value.cells.length === 2) {
    const files = [...filesIn(rest, heading, path)]
    const classes = options.classes ?? classesOf(files.map(({ label }) => label))
    return loadLabelled('loadCsv', files, path, { ...options, classes })
  }
  if (first.value.cells.length > 2) return pixelsIn(rest, heading, path, options.classes)
  throw new KerneletError(
    'ERR_FORMAT',
    `${path}: expected a label and a picture's file in a row, or a label and pixels, but line 1 is ` +
      show(first.value.cells.join()),
  )
}

interface Row {
  line: number
  cells: string[]
}

function* prepended<T>(first: T, rest: Iterable<T>): Generator<T> {
  yield first
  yield* rest
}

/** The rows with something in them. */
function* rowsOf(text: string, path: string): Generator<Row> {
  const heading = text.slice(0, text.search(/\r?\n|$/))
  const separator = [',', ';', '\t'].find((one) => heading.includes(one)) ?? ','
  for (let at = 0, line = 1; at < text.length; line++) {
    const end = text.indexOf('\n', at) < 0 ? text.length : text.indexOf('\n', at)
    const row = text.slice(at, end).replace(/\r$/, '')
    at = end + 1
    if (row.trim() === '') continue
    yield { line, cells: row.includes('"') ? quotedCells(row, separator, path, line) : row.split(separator) }
  }
}

/** Cells in quotes may have the separator in them, and a quote twice. */
function quotedCells(row: string, separator: string, path: string, line: number): string[] {
  const cells: string[] = []
  for (let at = 0; at <= row.length; at++) {
    let cell = ''
    while (row[at] === '"') {
      const close = row.indexOf('"', at + 1)
      if (close < 0) throw new KerneletError('ERR_FORMAT', `${path}: a quote in line ${line} is not closed`)
      cell += `${cell === '' ? '' : '"'}${row.slice(at + 1, close)}`
      at = close + 1
    }
    const end = row.indexOf(separator, at) < 0 ? row.length : row.indexOf(separator, at)
    cells.push(cell + row.slice(at, end))
    at = end
  }
  return cells
}

/** Words above the columns: no number among them, and no picture. */
function isHeading(cells: readonly string[]): boolean {
  return (
    cells.every((one) => one.trim() === '' || Number.isNaN(Number(one))) &&
    !cells.some((one) => pictureName.test(one))
  )
}

/** The column that is headed as the label's; undefined where none is. */
function labelColumn(heading: readonly string[]): number | undefined {
  const found = heading.findIndex((one) => /^\s*(?:label|class|target|y)s?\s*$/i.test(one))
  return found < 0 ? undefined : found
}

function* filesIn(
  rows: Iterable<Row>,
  heading: readonly string[],
  path: string,
): Generator<{ path: string; label: string }> {
  const known = labelColumn(heading)
  for (const { line, cells } of rows) {
    const column = known ?? (pictureName.test(cells[0] ?? '') ? 1 : 0)
    const [label = '', file = ''] = [cells[column], cells[1 - column]].map((cell) => cell?.trim())
    if (cells.length !== 2 || label === '' || file === '')
      throw misfit(path, line, "a picture's file and its label")
    yield { path: resolve(dirname(path), file), label }
  }
}

function pixelsIn(
  rows: Iterable<Row>,
  heading: readonly string[],
  path: string,
  given: LoadPicturesOptions['classes'],
): Dataset {
  const column = labelColumn(heading) ?? 0
  const labels: string[] = []
  const images: Uint8Array[] = []
  let shape: [number, number, number] | undefined
  for (const { line, cells } of rows) {
    const [label = ''] = cells.splice(column, 1)
    shape ??= shapeOf(cells.length, path)
    if (cells.length !== shape[0] * shape[1] * shape[2]) {
      throw misfit(path, line, `a label and ${shape[0] * shape[1] * shape[2]} pixels`)
    }
    const image = new Uint8Array(cells.length)
    for (const [i, cell] of cells.entries()) {
      const level = cell.trim() === '' ? Number.NaN : Number(cell)
      if (!(level >= 0 && level <= 255)) throw misfit(path, line, `levels from 0 to 255, not ${show(cell)}`)
      image[i] = Math.round(level)
    }
    if (label.trim() === '') throw misfit(path, line, 'a label')
    labels.push(label.trim())
    images.push(image)
  }
  if (!shape) throw new KerneletError('ERR_FORMAT', `${path} has a heading and nothing else`)
  const classes = given === undefined ? classesOf(labels) : [...given]
  const size = shape[0] * shape[1] * shape[2]
  const pixels = new Uint8Array(images.length * size)
  for (const [i, image] of images.entries()) pixels.set(planes(image, shape), i * size)
  return new Dataset({
    images: pixels,
    labels: labels.map((one) => indexIn(classes, one, path)),
    shape,
    classes,
  })
}

/** A square, grey or of three colours. */
function shapeOf(values: number, path: string): [number, number, number] {
  for (const channels of [1, 3]) {
    const side = Math.sqrt(values / channels)
    if (Number.isInteger(side)) return [channels, side, side]
  }
  throw new KerneletError(
    'ERR_FORMAT',
    `${path}: expected the pixels of a square image, grey or RGB, in a row, but there are ${values}`,
  )
}

/** Colours pixel by pixel as a plane each. */
function planes(image: Uint8Array, [channels, height, width]: readonly [number, number, number]): Uint8Array {
  if (channels === 1) return image
  const size = height * width
  return image.map((_, i) => image[(i % size) * channels + Math.floor(i / size)] ?? 0)
}

/** '0', '1', … as far as the labels go, where all are such numbers; else their names, sorted. */
export function classesOf(labels: readonly string[]): string[] {
  const names = sortedNames(new Set(labels))
  const highest = Number(names.at(-1))
  if (
    names.every((name) => /^\d{1,7}$/.test(name) && String(Number(name)) === name) &&
    highest < mostClasses
  ) {
    return Array.from({ length: highest + 1 }, (_, i) => String(i))
  }
  return names
}

function indexIn(classes: readonly string[], label: string, path: string): number {
  const index = classes.indexOf(label)
  if (index >= 0) return index
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${path}: the label ${show(label)} is none of the classes ${classes.join(', ')}`,
  )
}

function misfit(path: string, line: number, expected: string): KerneletError {
  return new KerneletError('ERR_FORMAT', `${path}: expected ${expected} in line ${line}`)
}
