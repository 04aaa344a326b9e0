// A service's configuration (M47–M49, Q08, Q11, Q18), shared by the CLI, the controller and the
// agents. Pure: text or data in, configuration out, or one error that lists every problem.

import { checkFaults } from './check-rules.ts'
import type { ServiceConfig } from './configuration.ts'
import { serviceDefaults } from './defaults.ts'
import { jsonDocument, type SourceDocument } from './document.ts'
import { itemsOf, partOf } from './loose.ts'
import { placementFaults } from './placement-rules.ts'
import { checkDocument, type Fault } from './schema.ts'
import { secretsFaults, volumesFaults, withVolumeDefaults } from './secrets-rules.ts'
import { serviceSchema } from './service-schema.ts'
import { trafficFaults } from './traffic-rules.ts'
import { updateFaults } from './update-rules.ts'
import { readYaml } from './yaml-document.ts'

const refusedKeys = {
  'image.git': 'images are not fetched from git: check it out and use image.path or image.archive',
}

/** A configuration as a user writes it. Throws `invalid_config` with every problem. */
export function parseServiceConfig(text: string, file: string): ServiceConfig {
  return checkServiceDocument(readYaml(text, file))
}

/** A configuration as the API takes it; problems are located by JSON pointer. */
export function checkServiceConfig(data: unknown): ServiceConfig {
  return checkServiceDocument(jsonDocument(data))
}

/** Either of them, already read. A file must not name a digest: it names the files. */
export function checkServiceDocument(document: SourceDocument): ServiceConfig {
  const fromFile = document.file !== undefined
  const complete = { ...document, data: withVolumeDefaults(document.data) }
  return checkDocument(serviceSchema, complete, {
    refusedKeys,
    across: (data) => [
      ...imageFaults(data, fromFile),
      ...placementFaults(data),
      ...hostFaults(data),
      ...trafficFaults(data),
      ...updateFaults(data),
      ...checkFaults(data),
      ...secretsFaults(data),
      ...volumesFaults(data),
    ],
  })
}

/**
 * A configuration that an older version accepted and kept, with today's keys. Never refused: the
 * service runs already. Keys stand in the order of the schema, so that the same file deployed once
 * more is no change.
 */
export function completeServiceConfig(kept: ServiceConfig): ServiceConfig {
  const checked = serviceSchema.safeParse(kept)
  if (checked.success) return checked.data
  const groups = Object.entries(serviceDefaults).map(([key, value]) => {
    const had = partOf(kept, key)
    return [
      key,
      had === undefined || typeof value !== 'object' ? (had ?? value) : { ...value, ...had },
    ]
  })
  return { ...kept, ...Object.fromEntries(groups) }
}

/** The configuration with its image stored: the digest takes the place of path and archive. */
export function withDigest(config: ServiceConfig, digest: string): ServiceConfig {
  const { path: _path, archive: _archive, ...image } = config.image
  return { ...config, image: { ...image, digest } }
}

function imageFaults(data: unknown, fromFile: boolean): Fault[] {
  const image = partOf(data, 'image')
  // An image that is missing or of the wrong type is a fault of its own.
  if (typeof image !== 'object' || image === null || Array.isArray(image)) return []
  const faults: Fault[] = []
  if (fromFile && partOf(image, 'digest') !== undefined) {
    const what = 'a file names its program by path or archive; digests are for the API'
    faults.push({ path: ['image', 'digest'], what })
  }
  const given = ['path', 'archive', 'digest'].filter((key) => partOf(image, key) !== undefined)
  const choice = fromFile ? 'path or archive' : 'digest, path or archive'
  // Whoever wrote `git` is told about that alone.
  if (given.length === 0 && partOf(image, 'git') === undefined) {
    faults.push({ path: ['image'], what: `missing; expected one of ${choice}` })
  }
  if (given.length > 1) {
    faults.push({
      path: ['image'],
      what: `expected only one of ${choice}, got ${given.join(' and ')}`,
    })
  }
  return faults
}

function hostFaults(data: unknown): Fault[] {
  const hosts = itemsOf(data, 'hosts').map((host) => String(host).toLowerCase())
  return hosts.flatMap((host, index) =>
    hosts.indexOf(host) === index
      ? []
      : [{ path: ['hosts', index], what: `given twice: ${JSON.stringify(host)}` }],
  )
}
