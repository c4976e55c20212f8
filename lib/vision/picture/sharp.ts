/** The part of the optional package sharp that is used; its types are not there where it is not installed. */

export type Sharp = (
  bytes: Uint8Array,
  options: { limitInputPixels: number | false; density?: number },
) => SharpPicture

export interface SharpPicture {
  metadata(): Promise<{ width?: number; height?: number; orientation?: number }>
  rotate(): SharpPicture
  resize(width: number, height: number, options: { fit: 'fill'; kernel: 'linear' }): SharpPicture
  toColourspace(space: 'srgb'): SharpPicture
  flatten(options: { background: string }): SharpPicture
  png(): SharpPicture
  raw(options: { depth: 'uchar' }): SharpPicture
  toBuffer(): Promise<Buffer>
  toBuffer(options: { resolveWithObject: true }): Promise<{
    data: Buffer
    info: { width: number; height: number; channels: number }
  }>
}

/**
 * Rejects where it is not installed, which `isAbsent` tells from one that is broken.
 *
 * @param packageName a variable: bundlers follow an import of a name, and fail where it is not installed
 */
export async function loadSharp(packageName = 'sharp'): Promise<Sharp> {
  return ((await import(packageName)) as { default: Sharp }).default
}

/** Whether the package is not there, rather than broken. */
export function isAbsent(cause: unknown): boolean {
  const { code, message } = cause as NodeJS.ErrnoException
  return /MODULE_NOT_FOUND$/.test(String(code)) && /(package|module) '(.*[\\/])?sharp'/i.test(message)
}
