// All that one worker's agent shall run, as the order that is sent to it (M11). Pure.

import { isFinal } from '#ctld/instance.ts'
import { compare } from '#shared/compare.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { durationMs } from '#shared/duration.ts'
import type { Instance, Service } from '#shared/model.ts'
import type { AssignedInstance } from '#shared/wire.ts'

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
      const config = service && configOf(service, instance.revision)
      // Without its configuration it cannot be run; left out of the order, it is stopped.
      return config?.image.digest === undefined
        ? []
        : [assigned(instance, config, config.image.digest)]
    })
}

/** The configuration of the revision that an instance runs, not the newest one. */
function configOf(service: Service, revision: number): ServiceConfig {
  return service.revisions.find((entry) => entry.revision === revision)?.config ?? service.config
}

function assigned(instance: Instance, config: ServiceConfig, digest: string): AssignedInstance {
  const { image, health, stop } = config
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
    health: {
      ...(health.path === undefined ? {} : { path: health.path }),
      interval_ms: durationMs(health.interval),
      timeout_ms: durationMs(health.timeout),
      fall: health.fall,
      rise: health.rise,
      start_timeout_ms: durationMs(health.start_timeout),
    },
    stop: { signal: stop.signal, grace_ms: durationMs(stop.grace) },
  }
}
