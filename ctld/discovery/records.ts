// The part of the state that grows: what is kept of it, and how much. The real one is in
// records.io.ts; the fake of the simulator keeps to the same limits.

import type { StoreChanges } from '#ctld/ports.ts'
import type { ClusterEvent, Deployment, Instance } from '#shared/model.ts'

/** Newest events that are kept. */
export const EVENTS_MAX = 10_000
/** Newest instances in a final state that are kept; those that live are never dropped. */
export const INSTANCES_FINAL_MAX = 5_000
/** Newest deployments that are kept, beside the newest of each service and the unfinished. */
export const DEPLOYMENTS_MAX = 2_000

export type RecordChanges = Omit<StoreChanges, 'document'>

export type Records = {
  /** Instances and deployments sorted by id. */
  load(): Promise<{ instances: Instance[]; deployments: Deployment[]; lastEventCursor: number }>
  /** All of it or nothing; durable when it resolves. Rejects with `store_failed`. */
  commit(changes: RecordChanges): Promise<void>
  /** Events with a cursor above `after`, oldest first. */
  events(after: number, limit: number): Promise<ClusterEvent[]>
  close(): Promise<void>
}

export function isEmpty({ instances, deployments, events }: RecordChanges): boolean {
  const changes = [instances.put, instances.remove, deployments.put, deployments.remove, events]
  return changes.every((list) => list.length === 0)
}
