// A service's configuration as differences are told of it: without what is no part of what runs,
// and with the versions of its secrets, which are.

import type { ServiceConfig } from '#shared/configuration.ts'
import type { ServiceRevision } from '#shared/model.ts'

/** `versions`: of secrets, by name. Where the packed files lay is on nobody's machine but one. */
export function shownConfig(
  config: ServiceConfig | undefined,
  versions: Readonly<Record<string, number>> = {},
): unknown {
  if (config === undefined) return undefined
  const { path: _, archive: __, ...image } = config.image
  if (config.secrets === undefined) return { ...config, image }
  const secrets = Object.entries(config.secrets).map(([name, delivery]) => [
    name,
    versions[name] === undefined ? delivery : { ...delivery, version: versions[name] },
  ])
  return { ...config, image, secrets: Object.fromEntries(secrets) }
}

export function shownRevision({ config, secrets }: ServiceRevision): unknown {
  return shownConfig(config, secrets)
}
