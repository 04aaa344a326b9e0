// Brings a document that an older version wrote up to today's shape. What is new in a service's
// configuration gets its default, so that the rest of the controller knows one shape only.

import type { ServiceTraffic } from '#shared/model.ts'
import { completeServiceConfig } from '#shared/service-config.ts'
import type { StateDocument } from './document.ts'

const OPEN: ServiceTraffic = { state: 'open' }

export function completeDocument(document: StateDocument): StateDocument {
  const services = document.services.map((service) => ({
    ...service,
    traffic: service.traffic ?? OPEN,
    config: completeServiceConfig(service.config),
    revisions: service.revisions.map((revision) => ({
      ...revision,
      config: completeServiceConfig(revision.config),
    })),
  }))
  return { ...document, services }
}
