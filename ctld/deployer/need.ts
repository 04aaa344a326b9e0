// What one new instance asks of a worker, as place.ts reads it. Pure.

import type { LabelCondition, ServiceConfig } from '#shared/configuration.ts'
import type { Service } from '#shared/model.ts'
import { sizeBytes } from '#shared/size.ts'
import type { Avoided } from './avoid.ts'

/** What a configuration asks of a worker, for each instance. */
export type Demand = {
  service: string
  placement: ServiceConfig['placement']
  maxPerNode: number | undefined
  staticPort: number | undefined
  /** Label over whose values the instances are spread. */
  spread: string | undefined
  constraints: readonly LabelCondition[]
  affinity: readonly (LabelCondition & { weight: number })[]
  priority: number
  /** Bytes; 0: none declared. */
  memory: number
  /** Thousandths of a core, so that sums are exact; 0: none declared. */
  milliCpu: number
  /** It declares limits that only a worker with isolation can hold it to. */
  isLimited: boolean
}

export type Need = {
  service: string
  demand: Demand
  /** Workers to take only when there is no other. */
  avoid: Avoided
  why: string
  replaces: string | undefined
  /** The one worker that it may go to: what it left there is nowhere else. */
  only?: string
}

/** What an instance of the service's declared configuration needs. `replaces`: an instance's id. */
export function needOf(
  service: Service,
  given: { why: string; replaces: string | undefined; avoid: Avoided; only?: string },
): Need {
  return { service: service.name, demand: demandOf(service.config), ...given }
}

const demands = new WeakMap<ServiceConfig, Demand>()

/** The same object for the same configuration: equal needs are told from others by that. */
export function demandOf(config: ServiceConfig): Demand {
  const known = demands.get(config)
  if (known !== undefined) return known
  const { memory, cpu, pids } = config.limits
  const demand: Demand = {
    service: config.name,
    placement: config.placement,
    maxPerNode: config.max_per_node,
    staticPort: config.host_port === 'static' ? config.port : undefined,
    spread: config.placement === 'spread' ? config.spread?.label : undefined,
    constraints: config.constraints,
    affinity: config.affinity,
    priority: config.priority,
    memory: memory === undefined ? 0 : sizeBytes(memory),
    milliCpu: Math.round((cpu ?? 0) * 1_000),
    isLimited: memory !== undefined || cpu !== undefined || pids !== undefined,
  }
  demands.set(config, demand)
  return demand
}
