/** deploy/: manifests against their schemas, what they say of each other, and their command lines as they stand. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { LeNet5, manualSeed, saveOnnx } from 'kernelet'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { freePort } from '../../../tests/free-port.ts'
import { command } from '../bench/redis.mjs'
import { atEnd, folder, noRedis, pictures, redis, root, until } from './helpers.ts'
import { type Manifest, misspelt, validate } from './kubernetes.ts'

const deploy = join(root, 'deploy')

interface Container {
  name: string
  args: string[]
  env?: { name: string; value?: string }[]
  ports?: { name: string; containerPort: number }[]
  resources: { limits: { cpu?: string } }
  securityContext: object
}

const files = readdirSync(join(deploy, 'kubernetes'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => join(deploy, 'kubernetes', name))
const all = files.flatMap((file) =>
  parseAllDocuments(readFileSync(file, 'utf8')).map((document) => {
    expect([file, document.errors]).toEqual([file, []])
    return { file, manifest: document.toJS() as Manifest }
  }),
)
const noKubectl = spawnSync('kubectl', ['version', '--client']).status !== 0
if (noKubectl)
  console.warn('deploy: no kubectl was found, what kustomize makes of the manifests is not looked at')

/** Without patches, which are parts of what they change. */
const whole = all
  .filter(({ file }) => !/overlays\/.*\/(?!kustomization)/.test(file))
  .map(({ manifest }) => manifest)

const containersOf = ({ spec, kind }: Manifest): Container[] => {
  const { template } = (spec ?? {}) as { template?: { spec: { containers: Container[] } } }
  return kind === 'ServingRuntime' ? (spec.containers as Container[]) : (template?.spec.containers ?? [])
}

const ours = all
  .flatMap(({ manifest }) => containersOf(manifest))
  .filter(({ name }) => ['server', 'worker', 'kserve-container'].includes(name))

describe('manifests', () => {
  test.each(whole.map((one) => [`${one.kind} ${one.metadata?.name ?? ''}`, one] as const))(
    '%s fits its schema',
    (_, manifest) => {
      validate(manifest)
    },
  )

  test('what does not fit is found: a wrong type by the schema, a misspelt field by the types', () => {
    const find = (kind: string): Manifest =>
      structuredClone(whole.find((one) => one.kind === kind)) as Manifest
    const deployment = find('Deployment')
    expect(() => validate({ ...deployment, spec: { ...deployment.spec, replicas: 'two' } })).toThrow(
      /replicas/,
    )
    const scaled = find('ScaledObject')
    expect(() => validate({ ...scaled, spec: { ...scaled.spec, triggers: 3 } })).toThrow(/triggers/)
    const wrong = ['Deployment', 'ServingRuntime', 'InferenceService', 'ScaledObject', 'NetworkPolicy'].map(
      (kind) => {
        const manifest = find(kind)
        return { ...manifest, spec: { ...manifest.spec, repliccas: 1 } }
      },
    )
    expect(misspelt(wrong).match(/error TS2353: .*repliccas/g)).toHaveLength(wrong.length)
  })

  test('no field is misspelt', () => {
    expect(misspelt(whole)).toBe('')
  })

  test('kustomizations name files that there are', () => {
    const lists = all.filter(({ manifest }) => manifest.kind === 'Kustomization')
    expect(lists.length).toBe(4)
    for (const { file, manifest } of lists) {
      const { resources = [], patches = [] } = manifest as {
        resources?: string[]
        patches?: { path: string }[]
      }
      for (const name of [...resources, ...patches.map(({ path }) => path)]) {
        const path = join(dirname(file), name)
        expect([path, existsSync(path)]).toEqual([path, true])
      }
      // and forget none
      const beside = readdirSync(dirname(file)).filter((name) => name !== 'kustomization.yaml')
      expect(
        [...resources.filter((name) => !name.includes('/')), ...patches.map(({ path }) => path)].sort(),
      ).toEqual(beside.sort())
    }
  })

  test('limits match threads, and nothing runs as root', () => {
    expect(ours.length).toBe(4)
    for (const { args, env = [], resources, securityContext } of ours) {
      const threads = args[args.indexOf('--threads') + 1]
      expect(resources.limits.cpu).toBe(threads)
      expect(env.find(({ name }) => name === 'KERNELET_THREADS')?.value).toBe(threads)
      if (securityContext !== undefined) {
        expect(securityContext).toMatchObject({
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
        })
      }
    }
  })

  test('selectors find their pods, scalers and budgets what they are for', () => {
    const pods = whole.flatMap(({ spec }) => {
      const { template } = (spec ?? {}) as { template?: { metadata: { labels: Record<string, string> } } }
      return template ? [template.metadata.labels] : []
    })
    const finds = (labels: Record<string, string>): boolean =>
      pods.some((pod) => Object.entries(labels).every(([key, value]) => pod[key] === value))
    type Selecting = {
      selector?: { matchLabels?: Record<string, string> } & Record<string, unknown>
      podSelector?: { matchLabels: Record<string, string> }
    }
    for (const { kind, spec } of whole) {
      const { selector, podSelector } = (spec ?? {}) as Selecting
      const labels =
        selector?.matchLabels ?? podSelector?.matchLabels ?? (kind === 'Service' ? selector : undefined)
      if (labels)
        expect([kind, labels, finds(labels as Record<string, string>)]).toEqual([kind, labels, true])
      const { scaleTargetRef } = (spec ?? {}) as { scaleTargetRef?: { name: string } }
      if (scaleTargetRef) {
        expect(
          whole.some((one) => one.kind === 'Deployment' && one.metadata.name === scaleTargetRef.name),
        ).toBe(true)
      }
    }
  })

  test.skipIf(noKubectl)(
    'kustomize builds them, the overlay with its threads, image and replicas',
    () => {
      const built = (name: string): Manifest[] => {
        const args = ['kustomize', join(deploy, 'kubernetes', name)]
        const { status, stdout, stderr } = spawnSync('kubectl', args, { encoding: 'utf8' })
        expect([name, status, stderr]).toEqual([name, 0, ''])
        return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest)
      }
      for (const name of ['jobs', 'kserve']) for (const one of built(name)) validate(one)
      const large = built('overlays/large')
      for (const one of large) validate(one)
      const [container] = large.flatMap(containersOf)
      expect(container?.args).toEqual(['serve', '--threads', '4'])
      expect(container?.resources.limits.cpu).toBe('4')
      expect(container?.env).toContainEqual({ name: 'KERNELET_THREADS', value: '4' })
      const plain = whole.flatMap(containersOf).find(({ name }) => name === 'server') as Container & {
        image: string
      }
      expect((container as typeof plain).image).not.toBe(plain.image)
      // kubectl takes its time where the machine is busy
    },
    300_000,
  )

  test.skipIf(noRedis)('KEDA counts the list that a job is in', async () => {
    const server = await redis()
    await command(server.url, ['submit', pictures(30), '--out', folder(), '--chunk', '10'])
    const client = server.client()
    atEnd(() => client.disconnect())
    const { triggers } = whole.find(({ kind }) => kind === 'ScaledObject')!.spec as {
      triggers: { metadata: { listName: string } }[]
    }
    const [waiting = '', active = ''] = triggers.map(({ metadata }) => metadata.listName)
    expect(await client.llen(waiting)).toBe(4)
    expect(active).toBe(waiting.replace(/wait$/, 'active'))
  })
})

/** The instructions of the image that runs: of the last stage. */
function image(): Record<string, string[]> {
  const text = readFileSync(join(deploy, 'Dockerfile'), 'utf8').replace(/\\\n\s*/g, ' ')
  const found: Record<string, string[]> = {}
  for (const line of text.slice(text.lastIndexOf('\nFROM ')).split('\n')) {
    const [, word, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (word !== undefined && rest !== undefined) (found[word] ??= []).push(rest)
  }
  return found
}

describe("the image's command line", () => {
  const { ENV = [], ENTRYPOINT = [], CMD = [], HEALTHCHECK = [], USER, WORKDIR } = image()
  const entry = JSON.parse(ENTRYPOINT[0] ?? '') as string[]
  const check = JSON.parse(/CMD (\[.*\])$/.exec(HEALTHCHECK[0] ?? '')?.[1] ?? '') as string[]
  const environment = Object.fromEntries(
    ENV.join(' ')
      .split(' ')
      .map((one) => one.split('=') as [string, string]),
  )

  /** Runs it where the packages are installed, as in the image. @returns the process and its check of health */
  async function run(args: string[], env: Record<string, string> = {}) {
    const app = folder()
    symlinkSync(join(root, 'node_modules'), join(app, 'node_modules'))
    const here = { ...process.env, ...environment, KERNELET_SERVE_PORT: String(await freePort()), ...env }
    const start = ([program = '', ...words]: string[]) =>
      spawn(program === 'node' ? process.execPath : program, words, { cwd: app, env: here, stdio: 'pipe' })
    const child = start([...entry, ...args])
    atEnd(() => child.kill('SIGKILL'))
    let errors = ''
    child.stderr.on('data', (text: Buffer) => {
      errors += text
    })
    child.stdout.resume()
    const healthy = async (): Promise<boolean> => {
      const [code] = (await once(start(check), 'exit')) as [number]
      return code === 0
    }
    return { child, healthy, port: here.KERNELET_SERVE_PORT, errors: () => errors }
  }

  test('serves, is healthy, ends with exit code 0', async () => {
    expect([USER, WORKDIR]).toEqual([['node'], ['/app']])
    const { child, healthy, port } = await run(JSON.parse(CMD[0] ?? '') as string[])
    await until('healthy', healthy)
    const digits = readFileSync(join(root, 'examples/digits/1-pencil.png'))
    const answer = await fetch(`http://127.0.0.1:${port}/v1/digits`, {
      ...{ method: 'POST', body: digits },
      headers: { 'content-type': 'image/png' },
    })
    expect(await answer.json()).toMatchObject({ digit: 1 })
    child.kill('SIGTERM')
    await once(child, 'exit')
    expect(child.exitCode).toBe(0)
    expect(await healthy()).toBe(false)
  })

  const models = folder()
  manualSeed(1)
  saveOnnx(new LeNet5(), join(models, 'model.onnx'), { inputShape: [1, 28, 28] })
  const servers = ours.filter(({ args }) => args[0] === 'serve')

  test.each(servers.map(({ args }) => [args.join(' '), args] as const))('kernelet %s', async (_, args) => {
    // as KServe puts them in
    const given = args.map((word) => word.replace('{{.Name}}', 'net').replace('/mnt/models', models))
    const { child, healthy, port } = await run(given)
    await until('healthy', healthy)
    const paths = all.flatMap(({ manifest }) => JSON.stringify(manifest).match(/"path":"\/[^"]+"/g) ?? [])
    for (const path of new Set(paths)) {
      const { status } = await fetch(
        `http://127.0.0.1:${port}${(JSON.parse(`{${path}}`) as { path: string }).path}`,
      )
      expect([path, status]).toEqual([path, 200])
    }
    const name = given.includes('--model') ? 'net' : 'digits'
    expect((await fetch(`http://127.0.0.1:${port}/v2/models/${name}/ready`)).status).toBe(200)
    child.kill('SIGKILL')
  })

  const workers = ours.filter(({ args }) => args[0] === 'jobs')

  test.skipIf(noRedis).each(workers.map(({ args }) => [args.join(' '), args] as const))(
    'kernelet %s',
    async (_, args) => {
      const server = await redis()
      const { child, errors } = await run([...args], { KERNELET_JOBS_REDIS: server.url })
      await until('Redis answers', () => errors().includes('answers'))
      child.kill('SIGTERM')
      await once(child, 'exit')
      expect(child.exitCode).toBe(0)
    },
  )
})

test('compose: services, their files and what Prometheus asks', () => {
  const { services } = parse(readFileSync(join(deploy, 'compose.yml'), 'utf8')) as {
    services: Record<string, { command: string[]; volumes?: string[] }>
  }
  expect(Object.keys(services)).toEqual(['server', 'worker', 'redis', 'prometheus'])
  for (const name of ['server', 'worker']) {
    const words = services[name]?.command ?? []
    // a wrong option is told before --help is looked at by the server: both know these
    const { status } = spawnSync(process.execPath, [join(root, 'bin/kernelet.js'), ...words, '--help'])
    expect([name, status]).toEqual([name, 0])
  }
  const { scrape_configs } = parse(readFileSync(join(deploy, 'prometheus.yml'), 'utf8')) as {
    scrape_configs: { static_configs: { targets: string[] }[] }[]
  }
  expect(scrape_configs[0]?.static_configs[0]?.targets).toEqual(['server:8080'])
})
