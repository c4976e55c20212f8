/** Bundles the playground into dist/playground/page, where lib/playground/page.ts serves it from. */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // pages lie beside each other, wherever the server puts them
  base: './',
  logLevel: 'warn',
  build: {
    outDir: '../dist/playground/page',
    emptyOutDir: true,
    target: 'es2023',
    // a font or a picture in the code would want data: in the page's policy
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
