/** What becomes of an ONNX model here, found by trying. */
import { loadOnnx, type OnnxModel } from '../formats/onnx/load.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { SGD } from '../train/optimizers.ts'
import { Trainer } from '../train/trainer.ts'
import { KerneletError } from '../util/errors.ts'

/** Whether something can be done, or why not. */
interface Answer {
  readonly ok: boolean
  readonly reason?: string
}

export interface Verdict {
  readonly loads: Answer
  readonly compiles: Answer
  readonly trains: Answer
}

const yes: Answer = { ok: true }
const no = (reason: string): Answer => ({ ok: false, reason })

/** Sizes that a network is tried with where it leaves them open. */
const trials = [64, 224, 32]

export function verdictOf(file: string): Verdict {
  let model: OnnxModel
  try {
    model = loadOnnx(file)
    if (model.outputs.length > 1) model = loadOnnx(file, { output: model.outputs[0]?.name })
  } catch (error) {
    const unloaded = no('it does not load')
    return { loads: no(reasonOf(error)), compiles: unloaded, trains: unloaded }
  }
  const single = model.inputs.length === 1 && model.outputs.length === 1
  return {
    loads: yes,
    compiles: attempt(() => (single ? model.compile() : model.compileNamed()).dispose()),
    trains: single ? trains(model) : no('a Trainer takes a model of one input and one output'),
  }
}

function trains(model: OnnxModel): Answer {
  if (!model.parameters().some((one: Parameter) => one.requiresGrad)) return no('it has no weights to train')
  const shape = model.inputs[0]?.shape?.slice(1)
  if (!shape?.length) return no('its input has no shape')
  const answers = trials.map((size) =>
    attempt(() => {
      const inputShape = shape.map((one) => (typeof one === 'number' ? one : size))
      new Trainer(model, { optimizer: new SGD({ lr: 0.1 }), seed: 0, inputShape, loss: 'mse' }).dispose()
    }),
  )
  return answers.find(({ ok }) => ok) ?? (answers[0] as Answer)
}

function attempt(body: () => void): Answer {
  try {
    body()
    return yes
  } catch (error) {
    return no(reasonOf(error))
  }
}

/** @throws what is no KerneletError */
function reasonOf(error: unknown): string {
  if (error instanceof KerneletError) return error.message
  throw error
}
