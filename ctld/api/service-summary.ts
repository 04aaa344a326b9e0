// Says of a service how it is, from its record and its instances (S29).

import type { z } from 'zod'
import { hasPlace, isFinal } from '#ctld/instance.ts'
import type { Instance, Service } from '#shared/model.ts'
import type { serviceSummaryAnswer } from './answers.ts'

export type ServiceSummary = z.output<typeof serviceSummaryAnswer>

/** `instances`: all that are known, of any service. */
export function summarize(service: Service, instances: readonly Instance[]): ServiceSummary {
  const own = instances.filter((instance) => instance.service === service.name)
  // One that waits beside for a place serves nobody yet.
  const serving = own.filter((instance) => hasPlace(instance) && instance.healthy)
  const live = own.filter((instance) => !isFinal(instance))
  const wanted = service.desired === 'running' ? service.config.concurrency : 0
  return {
    name: service.name,
    state: stateOf(service, { wanted, running: serving.length, live: live.length }),
    desired: service.desired,
    traffic: trafficOf(service),
    running: serving.length,
    wanted,
    nodes: countByNode(serving),
    revision: service.revision,
    deployment: service.deployment,
    port: service.config.port,
    public: service.config.public,
    hosts: service.config.hosts,
  }
}

/** Without the page, which a list has no use for. */
function trafficOf({ traffic }: Service): ServiceSummary['traffic'] {
  if (traffic.state !== 'maintenance') return traffic
  return { state: traffic.state, since: traffic.since }
}

function stateOf(
  { desired }: Service,
  count: { wanted: number; running: number; live: number },
): ServiceSummary['state'] {
  if (desired === 'removed') return 'removing'
  if (desired === 'stopped') return count.live > 0 ? 'stopping' : 'stopped'
  if (count.running >= count.wanted) return 'running'
  if (count.running > 0) return 'partial'
  return count.live > 0 ? 'starting' : 'down'
}

function countByNode(instances: readonly Instance[]): Record<string, number> {
  const nodes = [...new Set(instances.map(({ node }) => node))].sort()
  return Object.fromEntries(
    nodes.map((node) => [node, instances.filter((instance) => instance.node === node).length]),
  )
}
