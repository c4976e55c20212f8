/** What goes in and out, for the description of the routes and for answers. */
import * as Type from '../typebox.ts'

export const Failure = Type.Object({ error: Type.String() })

/** An answer, or why there is none. */
export function answers(ok: Type.TSchema): Record<string, Type.TSchema> {
  return { 200: ok, '4xx': Failure, '5xx': Failure }
}

export const Live = Type.Object({ live: Type.Boolean() })
export const Ready = Type.Object({ ready: Type.Boolean() })
export const ModelReady = Type.Object({ name: Type.String(), ready: Type.Boolean() })
export const Server = Type.Object({
  name: Type.String(),
  version: Type.String(),
  extensions: Type.Array(Type.String()),
})

export const Model = Type.Object({ model: Type.String() })
export const ModelVersion = Type.Object({ model: Type.String(), version: Type.String() })

const Tensor = Type.Object({
  name: Type.String(),
  datatype: Type.String(),
  shape: Type.Array(Type.Integer()),
})
export const Metadata = Type.Object({
  name: Type.String(),
  versions: Type.Array(Type.String()),
  platform: Type.String(),
  inputs: Type.Array(Tensor),
  outputs: Type.Array(Tensor),
})

const Parameters = Type.Optional(Type.Record(Type.String(), Type.Unknown()))
export const Infer = Type.Object({
  id: Type.Optional(Type.String()),
  parameters: Parameters,
  inputs: Type.Array(
    Type.Object({
      name: Type.String(),
      datatype: Type.String(),
      shape: Type.Array(Type.Integer()),
      parameters: Parameters,
      data: Type.Optional(Type.Array(Type.Unknown())),
    }),
  ),
  outputs: Type.Optional(Type.Array(Type.Object({ name: Type.String(), parameters: Parameters }))),
})

export const Index = Type.Array(
  Type.Object({ name: Type.String(), version: Type.String(), state: Type.String(), reason: Type.String() }),
)

export const Pictures = Type.Union([
  Type.Object({ image: Type.String({ description: 'base64' }) }),
  Type.Object({ images: Type.Array(Type.String({ description: 'base64' })) }),
])
