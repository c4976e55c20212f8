/** The description of the routes as a page, without scripts. */

interface Operation {
  summary?: string
  tags?: string[]
}
interface Document {
  info?: { title?: string; description?: string }
  paths?: Record<string, unknown>
}

export function page(document: object): string {
  const { info, paths } = document as Document
  const rows = Object.entries(paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Operation>).map(
      ([method, { summary = '', tags = [] }]) =>
        `<tr><td>${escaped(tags.join(', '))}</td><td><code>${method.toUpperCase()} ${escaped(path)}</code></td><td>${escaped(summary)}</td></tr>`,
    ),
  )
  return `<!doctype html>
<html lang="en">
<title>${escaped(info?.title ?? '')}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
td { padding: 0.2rem 1rem 0.2rem 0; vertical-align: top }
</style>
<h1>${escaped(info?.title ?? '')}</h1>
<p>${escaped(info?.description ?? '')} All of it: <a href="openapi.json">openapi.json</a>.</p>
<table>${rows.sort().join('\n')}</table>
</html>
`
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
