// All that one worker's agent shall run, as the order that is sent to it (M11). Pure.

import { isFinal } from '#ctld/instance.ts'
import { compare } from '#shared/compare.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { durationMs } from '#shared/duration.ts'
import type { Instance, Service, ServiceRevision } from '#shared/model.ts'
import { sizeBytes } from '#shared/size.ts'
import type { AssignedInstance, SecretUse } from '#shared/wire.ts'
import { healthOf, partitionOf } from './checks.ts'

export function assignedTo(
  node: string,
  instances: readonly Instance[],
  services: ReadonlyMap<string, Service> | { get(name: string): Service | undefined },
): AssignedInstance[] {
  return instances
    .filter((instance) => instance.node === node && !isFinal(instance))
    .toSorted((a, b) => compare(a.id, b.id))
    .flatMap((instance) => {
      const service = services.get(instance.service)
      if (service === undefined) return []
      const made = madeOf(service, instance.revision)
      // Without its configuration it cannot be run; left out of the order, it is stopped.
      return made.config.image.digest === undefined
        ? []
        : [
            {
              ...assigned(instance, made, made.config.image.digest),
              // Of the newest revision: it is no part of the program.
              ...partitionOf(service.config),
            },
          ]
    })
}

type Made = Pick<ServiceRevision, 'config' | 'secrets'>

/** What the revision is made of that an instance runs, not the newest one. */
function madeOf(service: Service, revision: number): Made {
  const { config } = service
  return service.revisions.find((entry) => entry.revision === revision) ?? { config }
}

function assigned(instance: Instance, made: Made, digest: string): AssignedInstance {
  const { config } = made
  const { image, stop, volumes } = config
  return {
    id: instance.id,
    service: instance.service,
    revision: instance.revision,
    attempt: instance.attempt,
    want: instance.stopTry > 0 ? 'stop' : 'run',
    image: {
      digest,
      build: image.build,
      build_timeout_ms: durationMs(image.build_timeout),
      run: image.run,
    },
    ...(config.host_port === 'static' ? { host_port: config.port } : {}),
    env: config.env,
    ...secretsOf(made),
    ...(volumes === undefined || volumes.length === 0 ? {} : { volumes }),
    ...limitsOf(config),
    ...(config.user === undefined ? {} : { user: config.user }),
    ...healthOf(config),
    stop: { signal: stop.signal, grace_ms: durationMs(stop.grace) },
  }
}

/** By name and version; the values are put into the order when it is sent. */
function secretsOf({ config, secrets: versions = {} }: Made): Pick<AssignedInstance, 'secrets'> {
  const uses = Object.entries(config.secrets ?? {})
    .toSorted(([a], [b]) => compare(a, b))
    .map(([name, delivery]): SecretUse => ({ name, version: versions[name] ?? 1, ...delivery }))
  return uses.length === 0 ? {} : { secrets: uses }
}

/** Nothing when its node's defaults apply. */
function limitsOf({ limits }: ServiceConfig): Pick<AssignedInstance, 'limits'> {
  const { cpu, pids, open_files } = limits
  const memory = limits.memory === undefined ? 0 : sizeBytes(limits.memory)
  const given = {
    ...(memory === 0 ? {} : { memory }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(pids === undefined ? {} : { pids }),
    ...(open_files === undefined ? {} : { open_files }),
  }
  return Object.keys(given).length === 0 ? {} : { limits: given }
}
