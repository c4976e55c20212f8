/** What `using` calls at the end of a block. */

/**
 * `Symbol.dispose`. The contexts that Node 20 makes (vitest's vmThreads, Jest) lack it: there it is the one that
 * esbuild's and vite's `using` look for.
 */
const symbol = Symbol.dispose ?? Symbol.for('Symbol.dispose')

/** Makes the objects of a class with dispose() fit for `using`. The class declares `[Symbol.dispose]`. */
export function disposable(made: { readonly prototype: { dispose(): void } }): void {
  Object.defineProperty(made.prototype, symbol, {
    value(this: { dispose(): void }): void {
      this.dispose()
    },
    writable: true,
    configurable: true,
  })
}
