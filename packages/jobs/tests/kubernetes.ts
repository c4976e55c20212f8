/** The schemas of Kubernetes and KEDA, by kind; and, by their types, what no schema refuses: fields that there are not. */
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from './helpers.ts'

export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; labels?: Record<string, string> }
  spec: Record<string, unknown>
}

/** Where a kind's class and type are. */
const places: Record<string, string> = {
  Deployment: 'kubernetes-models/apps/v1/Deployment',
  StatefulSet: 'kubernetes-models/apps/v1/StatefulSet',
  Service: 'kubernetes-models/v1/Service',
  PersistentVolumeClaim: 'kubernetes-models/v1/PersistentVolumeClaim',
  HorizontalPodAutoscaler: 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler',
  PodDisruptionBudget: 'kubernetes-models/policy/v1/PodDisruptionBudget',
  NetworkPolicy: 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy',
  ScaledObject: '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject',
  TriggerAuthentication: '@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication',
}

/**
 * What is used of KServe and kustomize, whose schemas are in no package: the fields that are used (ServingRuntimeSpec
 * of v1alpha1, ModelSpec of v1beta1), containers as Kubernetes has them.
 */
const others = `
interface Meta { name: string; annotations?: Record<string, string>; labels?: Record<string, string> }
interface IServingRuntime {
  apiVersion: 'serving.kserve.io/v1alpha1'
  kind: 'ServingRuntime'
  metadata: Meta
  spec: {
    annotations?: Record<string, string>
    labels?: Record<string, string>
    supportedModelFormats?: { name: string; version?: string; autoSelect?: boolean; priority?: number }[]
    protocolVersions?: ('v1' | 'v2' | 'grpc-v1' | 'grpc-v2')[]
    multiModel?: boolean
    disabled?: boolean
    containers: IContainer[]
  }
}
interface IInferenceService {
  apiVersion: 'serving.kserve.io/v1beta1'
  kind: 'InferenceService'
  metadata: Meta
  spec: {
    predictor: {
      minReplicas?: number
      maxReplicas?: number
      model: {
        modelFormat: { name: string; version?: string }
        protocolVersion?: 'v1' | 'v2' | 'grpc-v1' | 'grpc-v2'
        runtime?: string
        storageUri?: string
      }
    }
  }
}
interface IKustomization {
  apiVersion: 'kustomize.config.k8s.io/v1beta1'
  kind: 'Kustomization'
  resources?: string[]
  images?: { name: string; newName?: string; newTag?: string }[]
  patches?: { path: string }[]
}
`

const require = createRequire(import.meta.url)

/** @throws where it does not fit the schema of its kind */
export function validate(manifest: Manifest): void {
  const place = places[manifest.kind]
  if (place === undefined) return
  const module = require(place) as Record<
    string,
    new (
      data: unknown,
    ) => { validate(): void; apiVersion: string }
  >
  const Kind = module[manifest.kind]
  if (!Kind) throw new Error(`no schema for ${manifest.kind}`)
  const model = new Kind(manifest)
  const { apiVersion } = Kind as unknown as { apiVersion: string }
  if (apiVersion !== manifest.apiVersion) throw new Error(`${manifest.kind} is of ${apiVersion}`)
  model.validate()
}

/** What the compiler says of manifests as values of their types: '' is nothing. */
export function misspelt(manifests: readonly Manifest[]): string {
  const folder = fileURLToPath(new URL('.', import.meta.url))
  const file = join(folder, `manifests.${process.pid}.ts`)
  const kinds = Object.entries(places).map(([kind, place]) => `import type { I${kind} } from '${place}'`)
  const values = manifests.map(
    (one, i) => `export const m${i}: I${one.kind} = ${JSON.stringify(one, null, 2)}`,
  )
  const container = `import type { IContainer } from 'kubernetes-models/v1/Container'`
  writeFileSync(file, [...kinds, container, others, ...values].join('\n'))
  try {
    const options = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--target',
      'es2022',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
    ]
    const { stdout } = spawnSync(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '--ignoreConfig', ...options, '--types', 'node', file],
      { encoding: 'utf8', cwd: folder },
    )
    return stdout
  } finally {
    rmSync(file)
  }
}
