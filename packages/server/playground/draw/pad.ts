/** Where one draws: by mouse, finger, pen and keyboard; a picture may lie below. */
import { h } from '../dom.ts'
import { onTheme } from '../theme.ts'
import { paintStrokes, type Stroke } from './strokes.ts'

/** Pixels along a side of what is sent. */
export const SIDE = 140
/** Of the pen, as a share of the side. */
const PEN = 0.065
/** How far a key moves the pen. */
const KEY = 1 / 28

/** What a network is asked about. */
export interface Snapshot {
  data: Uint8Array<ArrayBuffer>
  width: number
  height: number
}

/** Marked on the drawing, as shares of its side. */
export interface Mark {
  x: number
  y: number
  width: number
  height: number
}

export class Pad {
  readonly element: HTMLCanvasElement
  /** Whose drawing this is not: the first stroke takes its place. */
  #isExample = false
  #strokes: Stroke[] = []
  #before: { strokes: Stroke[]; picture: ImageBitmap | undefined }[] = []
  #picture: ImageBitmap | undefined
  #current: Stroke | undefined
  #cursor: { x: number; y: number; down: boolean } | undefined
  #mark: Mark | undefined
  #painting = false
  readonly #changed: (since: number) => void

  /** @param changed told when the drawing is another, and since when, in the time of events */
  constructor(label: string, describedBy: string, changed: (since: number) => void) {
    this.#changed = changed
    this.element = h('canvas', {
      class: 'pad',
      tabindex: 0,
      role: 'application',
      'aria-label': label,
      'aria-describedby': describedBy,
    })
    this.#listen()
    new ResizeObserver(() => this.#paint()).observe(this.element)
    onTheme(() => this.#paint())
  }

  get empty(): boolean {
    return this.#strokes.length === 0 && !this.#picture
  }

  get canUndo(): boolean {
    return this.#before.length > 0
  }

  get strokes(): readonly Stroke[] {
    return this.#strokes
  }

  /** Other strokes in place of all that is there. */
  show(strokes: Stroke[], isExample = false): void {
    if (!isExample) this.#remember()
    this.#strokes = strokes
    this.#picture = undefined
    this.#isExample = isExample
    this.#change(performance.now())
  }

  async showPicture(file: Blob): Promise<void> {
    const picture = await createImageBitmap(file)
    this.#remember()
    this.#strokes = []
    this.#picture = picture
    this.#isExample = false
    this.#change(performance.now())
  }

  clear(): void {
    if (!this.empty) this.show([])
  }

  undo(): void {
    const before = this.#before.pop()
    if (!before) return
    this.#strokes = before.strokes
    this.#picture = before.picture
    this.#isExample = false
    this.#current = undefined
    this.#change(performance.now())
  }

  /** Marks a part, or nothing. */
  mark(mark: Mark | undefined): void {
    this.#mark = mark
    this.#paint()
  }

  /** The drawing in bytes: ink in one channel, or a picture in three. */
  snapshot(): Snapshot {
    return snapshotOf(this.#strokes, this.#picture)
  }

  #remember(): void {
    this.#before.push({ strokes: this.#strokes, picture: this.#picture })
    if (this.#before.length > 200) this.#before.shift()
  }

  #change(since: number): void {
    this.#paint()
    this.#changed(since)
  }

  #begin(x: number, y: number, since: number): void {
    if (this.#isExample) {
      this.#strokes = []
      this.#isExample = false
    }
    this.#remember()
    this.#current = [x, y]
    this.#strokes = [...this.#strokes, this.#current]
    this.#change(since)
  }

  #listen(): void {
    const { element } = this
    const placeOf = (event: PointerEvent): [x: number, y: number] => {
      const { left, top, width, height } = element.getBoundingClientRect()
      return [(event.clientX - left) / width, (event.clientY - top) / height]
    }
    element.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return
      element.setPointerCapture(event.pointerId)
      this.#cursor = undefined
      this.#begin(...placeOf(event), event.timeStamp)
      event.preventDefault()
      element.focus({ preventScroll: true })
    })
    element.addEventListener('pointermove', (event) => {
      if (!this.#current || !element.hasPointerCapture(event.pointerId)) return
      // a pen tells of more places than there are frames
      const places = event.getCoalescedEvents?.() ?? []
      for (const place of places.length > 0 ? places : [event]) this.#current.push(...placeOf(place))
      this.#change(event.timeStamp)
    })
    for (const end of ['pointerup', 'pointercancel'] as const) {
      element.addEventListener(end, () => (this.#current = undefined))
    }
    element.addEventListener('keydown', (event) => this.#key(event))
    element.addEventListener('blur', () => {
      this.#cursor = undefined
      this.#paint()
    })
  }

  #key(event: KeyboardEvent): void {
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-KEY, 0],
      ArrowRight: [KEY, 0],
      ArrowUp: [0, -KEY],
      ArrowDown: [0, KEY],
    }
    const move = moves[event.key]
    const { key, timeStamp } = event
    const cursor = (this.#cursor ??= { x: 0.5, y: 0.25, down: false })
    if (move) {
      cursor.x = Math.min(1, Math.max(0, cursor.x + move[0]))
      cursor.y = Math.min(1, Math.max(0, cursor.y + move[1]))
      if (cursor.down) {
        this.#current?.push(cursor.x, cursor.y)
        this.#change(timeStamp)
      }
    } else if (key === ' ') {
      cursor.down = !cursor.down
      if (cursor.down) this.#begin(cursor.x, cursor.y, timeStamp)
      else this.#current = undefined
    } else if (key === 'Backspace' || (key === 'z' && (event.ctrlKey || event.metaKey))) this.undo()
    else if (key === 'Delete') this.clear()
    else return
    event.preventDefault()
    this.#paint()
  }

  /** With the next frame. */
  #paint(): void {
    if (this.#painting) return
    this.#painting = true
    requestAnimationFrame(() => {
      this.#painting = false
      this.#paintNow()
    })
  }

  #paintNow(): void {
    const { element } = this
    const size = Math.round(element.clientWidth * devicePixelRatio)
    if (size === 0) return
    if (element.width !== size) element.width = element.height = size
    const context = element.getContext('2d') as CanvasRenderingContext2D
    const style = getComputedStyle(element)
    context.clearRect(0, 0, size, size)
    if (this.#picture) {
      context.fillStyle = '#fff'
      context.fillRect(0, 0, size, size)
      placePicture(context, this.#picture, size)
    }
    context.strokeStyle = this.#picture ? '#000' : style.color
    context.globalAlpha = this.#isExample ? 0.55 : 1
    paintStrokes(context, this.#strokes, size, PEN * size)
    context.globalAlpha = 1
    context.strokeStyle = style.outlineColor
    context.lineWidth = 2 * devicePixelRatio
    if (this.#mark) {
      const { x, y, width, height } = this.#mark
      context.strokeRect(x * size, y * size, width * size, height * size)
    }
    if (this.#cursor) {
      const { x, y, down } = this.#cursor
      context.beginPath()
      context.arc(x * size, y * size, (PEN * size) / 2, 0, 2 * Math.PI)
      context.stroke()
      if (!down) return
      context.fillStyle = style.outlineColor
      context.fill()
    }
  }
}

let sent: CanvasRenderingContext2D | undefined

/** Strokes, over a picture or not, in bytes. */
export function snapshotOf(strokes: readonly Stroke[], picture?: ImageBitmap): Snapshot {
  if (!sent) {
    const canvas = h('canvas', { width: SIDE, height: SIDE })
    sent = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D
  }
  sent.fillStyle = picture ? '#fff' : '#000'
  sent.fillRect(0, 0, SIDE, SIDE)
  if (picture) placePicture(sent, picture, SIDE)
  sent.strokeStyle = picture ? '#000' : '#fff'
  paintStrokes(sent, strokes, SIDE, PEN * SIDE)
  const { data } = sent.getImageData(0, 0, SIDE, SIDE)
  const channels = picture ? 3 : 1
  const bytes = new Uint8Array(channels * SIDE * SIDE)
  for (let i = 0; i < SIDE * SIDE; i++) {
    for (let c = 0; c < channels; c++) bytes[channels * i + c] = data[4 * i + c] ?? 0
  }
  return { data: bytes, width: SIDE, height: SIDE }
}

/** The whole picture, in the middle. */
function placePicture(context: CanvasRenderingContext2D, picture: ImageBitmap, size: number): void {
  const scale = size / Math.max(picture.width, picture.height)
  const [width, height] = [picture.width * scale, picture.height * scale]
  context.drawImage(picture, (size - width) / 2, (size - height) / 2, width, height)
}
