// Sorts a service's instances by what becomes of them: those that stay, those that give way, those
// that are kept ready for a way back. Pure.

import { hasPlace, isHolding } from '#ctld/instance.ts'
import { isCurrent, programOf } from '#ctld/revision.ts'
import { compare } from '#shared/compare.ts'
import { durationMs } from '#shared/duration.ts'
import type { Deployment, Instance, Service } from '#shared/model.ts'
import { isSettled } from './deployment.ts'
import { pinnedBecause } from './pinned.ts'
import type { Facts, NodeFact } from './reconcile.ts'

export type Pools = {
  /** Of the declared program, on a worker that it may stay on. */
  current: Instance[]
  /** Of another program. */
  outdated: Instance[]
  /** Of the declared program, on a worker that it has to leave. */
  moving: Instance[]
  /** Of the last good program, out of the route table but running: the way back is one step. */
  warm: Instance[]
  ending: Instance[]
  lost: Instance[]
  /** Places given up in this deployment: the instance failed to start six times. */
  failed: number
}

export type Context = {
  service: Service
  mine: readonly Instance[]
  facts: Facts
  nodes: ReadonlyMap<string, NodeFact>
  /** The service's newest one, open or settled. */
  deployment: Deployment | undefined
  pools: Pools
  /** Places that nothing holds. */
  missing: number
  now: number
}

export function poolsOf(
  service: Service,
  mine: readonly Instance[],
  { nodes, deployment }: Pick<Context, 'nodes' | 'deployment'>,
): Pools {
  const holding = mine.filter(isHolding)
  const declared = holding.filter((instance) => isCurrent(service, instance))
  const others = holding.filter((instance) => !isCurrent(service, instance))
  const warm = others
    .filter((one) => !hasPlace(one) && keepsWarm(service, one, { nodes, deployment }))
    .toSorted((a, b) => Number(b.healthy) - Number(a.healthy) || compare(a.id, b.id))
    // No more than the way back would have places for.
    .slice(0, service.config.concurrency)
  return {
    current: declared.filter((instance) => mayStay(service, instance, nodes)),
    moving: declared.filter((instance) => !mayStay(service, instance, nodes)),
    outdated: others.filter((instance) => !warm.includes(instance)),
    warm,
    ending: mine.filter(({ state }) => state === 'terminating' || state === 'pre_terminating'),
    lost: mine.filter((instance) => instance.state === 'lost'),
    failed: mine.filter(
      (instance) =>
        instance.state === 'failed_to_start' && instance.deployment === service.deployment,
    ).length,
  }
}

/** Unless its worker is to be emptied, or it is to change its worker. */
export function mayStay(service: Service, instance: Instance, nodes: Context['nodes']): boolean {
  const node = nodes.get(instance.node)
  if (node === undefined || instance.leaving !== undefined) return false
  if (!node.drained) return true
  return pinnedBecause(service) !== undefined && node.forcedUntil === undefined
}

/** After a switch the last good ones run on until it is known whether the new ones are good. */
export function keepsWarm(
  service: Service,
  instance: Instance,
  { nodes, deployment }: Pick<Context, 'nodes' | 'deployment'>,
): boolean {
  if (service.config.update.strategy !== 'blue_green' || instance.state !== 'started') return false
  if (deployment === undefined || isSettled(deployment)) return false
  const good = service.goodRevision
  if (good === undefined || !mayStay(service, instance, nodes)) return false
  return programOf(service, good) === programOf(service, instance.revision)
}

/** The worker is known to be there, so that requests can be led to it as others are led away. */
export function isReachable(instance: Instance, nodes: Context['nodes']): boolean {
  return nodes.get(instance.node)?.state === 'alive'
}

/** How long one must be healthy before another one gives way to it; a way back has no time. */
export function patienceMs({ service, deployment }: Context): number {
  return deployment?.kind === 'revert' ? 0 : durationMs(service.config.update.min_healthy)
}

/** How many may be held beside those that serve. */
export function surgeOf({ service, deployment }: Context): number {
  const { config } = service
  if (config.exclusive || config.update.max_surge === 0) return 0
  return deployment?.kind === 'revert' ? Math.max(config.concurrency, 1) : 1
}
