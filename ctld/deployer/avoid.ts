// Which workers a service takes only when there is no other, because it failed there. Pure.

import { isCurrent } from '#ctld/revision.ts'
import type { Instance, Service } from '#shared/model.ts'

/** How long a failure speaks against a worker. */
export const BAD_NODE_MS = 300_000
/** So many failures within that time, of any instances of the service, count for more. */
export const OFTEN_MIN = 5

/** By name of the worker. `often`: it comes after those with `once`. */
export type Avoided = ReadonlyMap<string, 'once' | 'often'>

export const NOTHING_AVOIDED: Avoided = new Map()

export function avoidedBy(service: Service, mine: readonly Instance[], now: number): Avoided {
  const avoided = new Map<string, 'once' | 'often'>()
  for (const instance of mine) {
    const isEnd = instance.state === 'unexpected_crashed' || instance.state === 'failed_to_start'
    // A new deployment is a new attempt: what failed before says nothing of its workers.
    if (!isEnd || instance.deployment !== service.deployment) continue
    if (now - instance.changedAt < BAD_NODE_MS) avoided.set(instance.node, 'once')
  }
  for (const [node, count] of recentFailures(service, mine, now)) {
    if (count >= OFTEN_MIN) avoided.set(node, 'often')
  }
  return avoided
}

/** Failures of the declared program within BAD_NODE_MS, by worker. */
export function recentFailures(
  service: Service,
  mine: readonly Instance[],
  now: number,
): Map<string, number> {
  const counts = new Map<string, number>()
  for (const instance of mine) {
    if (instance.failures === undefined || !isCurrent(service, instance)) continue
    for (const { node, at } of instance.failures) {
      if (now - at < BAD_NODE_MS) counts.set(node, (counts.get(node) ?? 0) + 1)
    }
  }
  return counts
}
