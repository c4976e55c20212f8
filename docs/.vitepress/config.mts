import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitepress'

const site = join(import.meta.dirname, '../.site')

interface Item {
  text: string
  link?: string
  items?: Item[]
  collapsed?: boolean
}

/** The pages of a folder by their first heading; its README first. */
function pagesOf(folder: string): Item[] {
  return readdirSync(join(site, folder))
    .filter((file) => file.endsWith('.md') && file !== 'README.md')
    .sort()
    .map((file) => {
      const [, heading = file] = /^# (.*)$/m.exec(readFileSync(join(site, folder, file), 'utf8')) ?? []
      return { text: heading, link: `/${folder}/${file.replace('.md', '')}` }
    })
}

const reference = JSON.parse(readFileSync(join(site, 'reference/typedoc-sidebar.json'), 'utf8')) as Item[]
const page = (text: string, link: string): Item => ({ text, link })

export default defineConfig({
  title: 'kernelet',
  description: 'Convolutional networks in Node.js',
  srcDir: '.site',
  outDir: '.vitepress/dist',
  cleanUrls: false,
  lastUpdated: false,
  rewrites: (id) => id.replace(/(^|\/)README\.md$/, '$1index.md'),
  vite: { build: { chunkSizeWarningLimit: 4000 } },
  themeConfig: {
    outline: [2, 3],
    search: { provider: 'local' },
    nav: [
      page('Guides', '/docs/guides/'),
      page('Command line', '/docs/command-line'),
      page('Reference', '/reference/'),
      page('Changes', '/CHANGELOG'),
    ],
    sidebar: {
      '/reference/': [
        page('All of it', '/reference/'),
        ...reference.map((one) => ({ ...one, collapsed: true })),
      ],
      '/': [
        page('What it is', '/'),
        { text: 'Guides', items: pagesOf('docs/guides') },
        { text: 'Documents', items: pagesOf('docs') },
        {
          text: 'Around it',
          items: [
            page('Server', '/packages/server/'),
            page('Measurements', '/bench/RESULTS'),
            page('How it is measured', '/bench/'),
            page('Architecture', '/ARCHITECTURE'),
            page('Native core', '/native/'),
            page('Contributing', '/CONTRIBUTING'),
            page('Upgrading', '/UPGRADING'),
            page('Security', '/SECURITY'),
            page('Changes', '/CHANGELOG'),
          ],
        },
      ],
    },
  },
})
