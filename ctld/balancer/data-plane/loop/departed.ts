// Keeps the counts of instances that left the table for a while, so that the controller, which asks
// now and then, misses none of them, and so that one that comes back counts on.

import type { Lane, Upstream } from './upstream.ts'

/** Longer than the controller waits between two questions. */
export const KEPT_MS = 60_000
/** Of one service; the ones that left first go first. */
export const DEPARTED_MAX = 1_000

/** It is in the table no more, and may have requests under way. */
export function depart(upstream: Upstream): void {
  const { departed } = upstream.lane
  departed.set(upstream.instance, upstream)
  for (const first of departed.keys()) {
    if (departed.size <= DEPARTED_MAX) return
    departed.delete(first)
  }
}

/** It is in the table (again): what was counted of it before counts on. */
export function comeBack(upstream: Upstream, { departed }: Lane): void {
  const former = departed.get(upstream.instance)
  if (former === undefined) return
  departed.delete(upstream.instance)
  if (former !== upstream) Object.assign(upstream, { counters: former.counters, took: former.took })
}

/** Those whose counts are still told. */
export function departedOf({ departed }: Lane, now: number): Iterable<Upstream> {
  for (const [instance, { emptiedAt }] of departed) {
    if (now - emptiedAt >= KEPT_MS) departed.delete(instance)
  }
  return departed.values()
}
