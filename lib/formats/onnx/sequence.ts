/** Sequences of tensors, and an optional value that is not there: what flows from node to node beside tensors. */
import type { NdArray } from './array.ts'
import { type ElementType, float32 } from './element.ts'
import type { Value } from './value.ts'

/** To whoever asks for a shape or numbers it is an array of none; only operators of sequences get to see one. */
export class Sequence implements NdArray {
  readonly type: ElementType
  readonly shape: readonly number[] = [0]
  readonly values: Float32Array = new Float32Array()
  readonly items: readonly Value[]

  /** @param type of the elements of its tensors */
  constructor(type: ElementType, items: readonly Value[]) {
    this.type = type
    this.items = items
  }
}

/** An optional value that is not there. */
export class Nothing extends Sequence {
  constructor() {
    super(float32, [])
  }
}
