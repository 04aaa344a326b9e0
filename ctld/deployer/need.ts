// What one new instance asks of a worker, as place.ts reads it. Pure.

import type { ServiceConfig } from '#shared/configuration.ts'
import type { Service } from '#shared/model.ts'
import type { Avoided } from './avoid.ts'

export type Need = {
  service: string
  placement: ServiceConfig['placement']
  maxPerNode: number | undefined
  staticPort: number | undefined
  /** Workers to take only when there is no other: it just failed there. */
  avoid: Avoided
  why: string
  replaces: string | undefined
}

/** What an instance of the service's declared configuration needs. `replaces`: an instance's id. */
export function needOf(
  service: Service,
  given: { why: string; replaces: string | undefined; avoid: Avoided },
): Need {
  const { config } = service
  return {
    service: service.name,
    placement: config.placement,
    maxPerNode: config.max_per_node,
    staticPort: config.host_port === 'static' ? config.port : undefined,
    ...given,
  }
}
