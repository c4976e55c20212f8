/**
 * Operations: what there is to know of one, and the one list of them. A definition stands in its family's file of
 * `lib/ops`, beside the function and the layer; its shape rule, plan and gradient are C++, a file of `native/ops`.
 */
import type { NativeNode } from '../backend/backend.ts'
import { elements } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/**
 * One operation and its attributes, without a place in a graph. All shapes are per image; `axis` counts
 * their dimensions (for flatten: the first one that is merged).
 */
export interface Operation
  extends Omit<NativeNode, 'name' | 'inputs' | 'shape' | 'weight' | 'bias' | 'mean' | 'variance'> {
  weight?: Tensor | undefined
  bias?: Tensor | undefined
  mean?: Tensor | undefined
  variance?: Tensor | undefined
  /** batchNorm in training: counts the batches that its running statistics have seen. */
  batches?: Tensor | undefined
  /** 1: a convolution or pool of [channels, length]; default 2. */
  dims?: 1 | 2 | undefined
  /** reshape, slice: the output's shape; adaptive pools and resizing: its sides. */
  size?: readonly number[] | undefined
  /** pad: how many elements come after each dimension. */
  ends?: number[] | undefined
  /**
   * What a layer made of several operations says of this one, where it is not what follows from the operation: the
   * number of parameters, and of connections into each output value.
   */
  counts?: { parameters?: number; connections?: number } | undefined
}

/** What an operation can be told. */
export type Attributes = Omit<Operation, 'op'>

/** An operation that has been told what it needs. */
export type Told<Needs extends keyof Attributes> = Operation & {
  readonly [Name in Needs]-?: NonNullable<Attributes[Name]>
}

/** Where an operation stands, for its errors. */
export interface Place {
  /** `fc1` in a trace, nothing in eager mode. */
  readonly name: string
  /** Where an input comes from: `16×29×29 from pool2 flattened`. */
  readonly origin: (input: number) => string
}

/** A shape, of one image. */
type Shape = readonly number[]

type Forms = { readonly [Name in 'weight' | 'bias' | 'mean' | 'variance']?: readonly Shape[] }

export interface Definition<
  Needs extends keyof Attributes = never,
  Takes extends keyof Attributes = keyof Attributes,
> {
  /** As its layer is called, for an output of this shape; default: the operation's name. `add` has no layer. */
  readonly title?: string | ((operation: Operation, shape?: Shape) => string)
  /** How many; default 1. Infinity: any number from 1 on. */
  readonly inputs?: number
  /** Attributes it cannot do without, and those that it has besides. */
  readonly needs?: readonly Needs[]
  readonly takes?: readonly Takes[]
  /** What attributes are where a graph leaves them out: the core's values. */
  readonly defaults?: Pick<Attributes, Needs | Takes>
  /** Attributes that a graph may leave out since the shapes of output and input say them. */
  readonly derived?: (operation: Operation, input: Shape, shape: Shape) => Attributes
  /** Why attributes do not go with an input, where no rule of the core would say so. */
  readonly check?: (operation: Told<Needs>, input: Shape) => string | undefined
  /** The shapes that its tensors may have. */
  readonly forms?: (operation: Told<Needs>, input: Shape, shape: Shape) => Forms
  /** Its value is its input's, always or unless it is trained: nothing is computed. */
  readonly view?: 'always' | 'unless trained'
  /** How a sentence says that it was done: `flattened`. */
  readonly participle?: string
  /**
   * Dimensions of one image, where it works image by image and the core takes others too; elsewhere the batch of an
   * eager call is a dimension like any other.
   */
  readonly rank?: (operation: Operation) => number
  /** Dimension 0 of an image are the channels, whatever comes behind. */
  readonly byChannel?: true
  /**
   * The part of the output's shape that its inputs do not say, in its place; the shape rule is the core's. Default:
   * they say it all.
   */
  readonly own?: (operation: Told<Needs>, input: Shape) => number[]
  /** Why inputs that the core refused do not fit, as a sentence; undefined: the core's own will do. */
  readonly misfit?: (operation: Told<Needs>, inputs: readonly Shape[], place: Place) => string | undefined
  /**
   * Multiply-adds for an output of this shape, as most papers count them: every tap of every window, also those that
   * fall into the padding. Default: none, as of pools, activations and biases.
   */
  readonly macs?: (operation: Told<Needs>, shape: Shape) => number
  /** A unit stays a unit: it may stand between a layer and the ReLU that the layer's health is told by. */
  readonly keepsUnits?: true
  /** Its units can be 0 for all images: dead. */
  readonly rectifies?: true
  /** What it lets through of a gradient, where that is little. */
  readonly squashes?: string
}

/** Makes an operation of its attributes. */
export type Maker<Needs extends keyof Attributes, Takes extends keyof Attributes> = (
  attributes: Pick<Told<Needs>, Needs> & Pick<Attributes, Takes>,
) => Operation

/** Their functions take any operation of the name: makers and `checkNode` see to it that it was told what it needs. */
const definitions = new Map<string, Definition>()

/** Puts an operation on the list; returns what makes one for `apply`. */
export function operation<
  const Needs extends keyof Attributes = never,
  const Takes extends keyof Attributes = never,
>(op: string, definition: Definition<Needs, Takes>): Maker<Needs, Takes> {
  definitions.set(op, definition as unknown as Definition)
  return (attributes) => ({ op, ...attributes })
}

/** @throws KerneletError `ERR_ARGUMENT` for an operation that there is none of */
export function definitionOf(op: string): Definition {
  const definition = definitions.get(op)
  if (definition) return definition
  throw new KerneletError('ERR_ARGUMENT', `there is no operation ${show(op)}`)
}

/** Whether there is such an operation. */
export function isOperation(op: unknown): op is string {
  return typeof op === 'string' && definitions.has(op)
}

/** Names of all operations. */
export function operationNames(): string[] {
  return [...definitions.keys()]
}

/** As its layer is called: `Conv2d`; `add` and `concat` have no layer. */
export function title(operation: Operation, shape?: Shape): string {
  const { title: name = operation.op } = definitionOf(operation.op)
  return typeof name === 'string' ? name : name(operation, shape)
}

/** Is its value its input's, so that nothing is computed? */
export function isView({ op }: Operation): boolean {
  return definitionOf(op).view === 'always'
}

/** What a graph begins with. */
export const inputOf: Maker<never, never> = operation('input', { inputs: 0 })

/** The same for every image. */
export const constantOf: Maker<'weight', never> = operation('constant', {
  title: 'Constant',
  inputs: 0,
  needs: ['weight'],
  forms: ({ weight }, _, shape) => (elements(shape) === elements(weight.shape) ? {} : { weight: [shape] }),
})

export function isInput({ op }: Operation): boolean {
  return op === 'input'
}

export function isConstant({ op }: Operation): boolean {
  return op === 'constant'
}
