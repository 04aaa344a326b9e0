// Which workers wait for an instance of a service that is never moved: what it left there is
// nowhere else. Pure.

import type { Instance, Service } from '#shared/model.ts'
import { pinnedBecause } from './pinned.ts'
import type { NodeFact } from './seat.ts'

/**
 * Homes that none of `holders` is at, in the order in which they were first taken. A worker that is
 * gone, or that is emptied by force, is nobody's home any more.
 */
export function freeHomes(
  service: Service,
  holders: readonly Instance[],
  nodes: ReadonlyMap<string, NodeFact>,
): string[] {
  if (pinnedBecause(service) === undefined) return []
  const taken = new Map<string, number>()
  for (const { node } of holders) taken.set(node, (taken.get(node) ?? 0) + 1)
  return (service.homes ?? []).filter((home) => {
    const node = nodes.get(home)
    if (node === undefined || (node.drained && node.forcedUntil !== undefined)) return false
    const count = taken.get(home) ?? 0
    taken.set(home, count - 1)
    return count <= 0
  })
}

/** It has its data where it is. */
export function isAtHome(service: Service, { node }: Pick<Instance, 'node'>): boolean {
  return pinnedBecause(service) !== undefined && (service.homes ?? []).includes(node)
}
