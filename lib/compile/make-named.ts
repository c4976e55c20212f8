/** Makes a NamedModel, by code that is loaded with the first: few programs have models of several inputs. */
import { NamedModel } from './named-model.ts'

export function namedModel(...given: ConstructorParameters<typeof NamedModel>): NamedModel {
  return new NamedModel(...given)
}
