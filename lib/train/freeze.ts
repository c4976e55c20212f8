/** Frozen layers: weights that training leaves as they are. */

import { Module } from '../nn/module.ts'
import { Parameter } from '../tensor/parameter.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/**
 * Freezes the weights of a module and of all below it, or one parameter: `requires_grad_(False)` of PyTorch.
 * Counts from the next step of any trainer; what an optimizer knows of the weights it keeps until they are unfrozen.
 * @example
 * const net = new LeNet5()
 * freeze(net.conv1)
 * net.conv1.weight.requiresGrad // → false
 */
export function freeze(part: Module | Parameter): void {
  setRequiresGrad('freeze', part, false)
}

/**
 * Undoes `freeze`.
 * @example
 * const net = new LeNet5()
 * freeze(net)
 * unfreeze(net.fc3)
 * net.parameters().filter((one) => one.requiresGrad).length // → 2
 */
export function unfreeze(part: Module | Parameter): void {
  setRequiresGrad('unfreeze', part, true)
}

function setRequiresGrad(who: string, part: Module | Parameter, value: boolean): void {
  if (!(part instanceof Module || part instanceof Parameter)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: expected a Module or Parameter but received ${show(part)}`,
    )
  }
  const parameters = part instanceof Module ? part.parameters() : [part]
  const other = parameters.findIndex((one) => !(one instanceof Parameter))
  if (other >= 0) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: parameters() must give Parameters but gave ${show(parameters[other])}`,
    )
  }
  for (const parameter of parameters) parameter.requiresGrad = value
}
