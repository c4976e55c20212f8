/** Commands whose programs are packages of their own. */
import { KerneletError } from '../util/errors.ts'

/** Such a package, undefined where it is not installed. */
export async function loadPackage<T>(name: string): Promise<T | undefined> {
  try {
    return (await import(name)) as T
  } catch (cause) {
    const { code, message = '' } = cause as { code?: string; message?: string }
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes(name)) return undefined
    throw new KerneletError('ERR_UNSUPPORTED', `${name} could not be loaded: ${message}`, { cause })
  }
}
