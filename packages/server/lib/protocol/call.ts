/** An inference call of the Open Inference Protocol, whatever it came by, and its answer. */
import type { Datatype, NumberType, Values } from './datatypes.ts'

/** What a model says of an input or output. */
export interface TensorInfo {
  readonly name: string
  readonly datatype: Datatype
  /** −1 where any size goes: the batch. */
  readonly shape: readonly number[]
}

/** An input as it came; its bytes are as many as shape and type take. */
export interface InputTensor {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  /** Little-endian numbers; empty for BYTES. */
  readonly bytes: Uint8Array
  /** Of BYTES. */
  readonly strings?: readonly Uint8Array[] | undefined
}

/** An output that was asked for. */
export interface WantedOutput {
  readonly name: string
  /** As binary data, or in JSON. */
  readonly binary: boolean
  /** So many of the highest classes instead of the scores; 0: the scores. */
  readonly classification: number
}

export interface InferCall {
  readonly id: string | undefined
  readonly inputs: readonly InputTensor[]
  /** undefined: all. */
  readonly outputs: readonly WantedOutput[] | undefined
  /** Whether outputs that do not say are binary. */
  readonly binary: boolean
  /** Milliseconds that the caller waits; undefined: as the server says. */
  readonly timeout: number | undefined
}

/** An output of a model. */
export interface OutputTensor {
  readonly name: string
  readonly datatype: NumberType
  readonly shape: readonly number[]
  readonly values: Values
}

/** An output of an answer: numbers, or strings of bytes. */
export type AnswerTensor =
  | (OutputTensor & { readonly binary: boolean })
  | {
      readonly name: string
      readonly datatype: 'BYTES'
      readonly shape: readonly number[]
      readonly strings: readonly Uint8Array[]
      readonly binary: boolean
    }
