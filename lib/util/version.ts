/**
 * The version in package.json (a test compares them): a constant, so that importing reads no file.
 * @example /^\d+\.\d+\.\d+$/.test(version) // → true
 */
export const version: string = '0.1.0'
