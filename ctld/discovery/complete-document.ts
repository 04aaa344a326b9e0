// Brings a document that an older version wrote up to today's shape. What is new in a service's
// configuration gets its default, so that the rest of the controller knows one shape only.

import { withPrograms } from '#ctld/revision.ts'
import type { Instance, ServiceTraffic } from '#shared/model.ts'
import { completeServiceConfig } from '#shared/service-config.ts'
import type { StateDocument } from './document.ts'

const OPEN: ServiceTraffic = { state: 'open' }

export function completeDocument(document: StateDocument): StateDocument {
  const services = document.services.map((service) => ({
    ...service,
    traffic: service.traffic ?? OPEN,
    config: completeServiceConfig(service.config),
    revisions: withPrograms(
      service.revisions.map((revision) => ({
        ...revision,
        config: completeServiceConfig(revision.config),
      })),
      service.programRevision,
    ),
  }))
  const nodes = document.nodes.map((node) => ({ ...node, cordoned: node.cordoned ?? false }))
  const { rebalance = null, rebalanceDueAt = null } = document
  return { ...document, services, nodes, rebalance, rebalanceDueAt }
}

/** Every instance that was started had its place in the route table, before it was one to give. */
export function completeInstance(kept: Instance): Instance {
  const admitted = kept.admitted ?? kept.state === 'started'
  const healthyAt = kept.healthyAt ?? (kept.healthy ? kept.changedAt : undefined)
  return { ...kept, admitted, ...(healthyAt === undefined ? {} : { healthyAt }) }
}
