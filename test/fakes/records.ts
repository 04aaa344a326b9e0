// Records in memory with the promises of the database: a commit is there whole or not at all, and
// what was acknowledged survives kill -9 and power cuts. It keeps to the same limits.

import {
  DEPLOYMENTS_MAX,
  EVENTS_MAX,
  INSTANCES_FINAL_MAX,
  isEmpty,
  type RecordChanges,
  type Records,
} from '#ctld/discovery/records.ts'
import { isFinal } from '#ctld/instance.ts'
import { storeFailed } from '#shared/disk.ts'
import type { ClusterEvent, Deployment, Instance } from '#shared/model.ts'

export type FakeRecords = {
  /** The records as one life of a program sees them: after `kill` its calls never settle. */
  mount(): Records
  kill(): void
  setFull(full: boolean): void
}

// Values are kept as text: nobody can change what is stored by changing what was handed in.
type Rows = {
  instances: Map<string, string>
  deployments: Map<string, string>
  events: Map<number, string>
}

export function createFakeRecords({
  path,
  pause = () => Promise.resolve(),
}: {
  path: string
  pause?: () => Promise<void>
}): FakeRecords {
  const rows: Rows = { instances: new Map(), deployments: new Map(), events: new Map() }
  let life = 0
  let isFull = false

  function mount(): Records {
    const mine = life
    async function step<T>(act: () => T): Promise<T> {
      await pause()
      // Not one promise for all: it would hold on to every life that ended.
      return life === mine ? act() : new Promise<never>(() => {})
    }

    return {
      load: () =>
        step(() => ({
          instances: valuesById<Instance>(rows.instances),
          deployments: valuesById<Deployment>(rows.deployments),
          lastEventCursor: Math.max(0, ...lastOf(rows.events)),
        })),
      async commit(changes) {
        if (isEmpty(changes)) return
        await step(() => {
          if (!isFull) return apply(rows, changes)
          const cause = Object.assign(new Error('database or disk is full'), { code: 'ENOSPC' })
          throw storeFailed('save', path, cause)
        })
        // Between the commit and its acknowledgement there is time to die.
        await step(() => {})
      },
      events: (after, limit) =>
        step(() => {
          const cursors = [...rows.events.keys()].filter((cursor) => cursor > after)
          const wanted = cursors.sort((a, b) => a - b).slice(0, limit)
          return wanted.map((cursor) => JSON.parse(rows.events.get(cursor) ?? '') as ClusterEvent)
        }),
      close: () => step(() => {}),
    }
  }

  return {
    mount,
    kill() {
      life++
    },
    setFull(full) {
      isFull = full
    },
  }
}

function apply(rows: Rows, { instances, deployments, events }: RecordChanges): void {
  for (const instance of instances.put) rows.instances.set(instance.id, JSON.stringify(instance))
  for (const deployment of deployments.put) {
    rows.deployments.set(deployment.id, JSON.stringify(deployment))
  }
  for (const event of events) rows.events.set(event.cursor, JSON.stringify(event))
  for (const id of instances.remove) rows.instances.delete(id)
  for (const id of deployments.remove) rows.deployments.delete(id)
  trim(rows)
}

function trim({ instances, deployments, events }: Rows): void {
  if (instances.size > INSTANCES_FINAL_MAX) {
    const final = valuesById<Instance>(instances).filter(isFinal)
    final.sort((a, b) => b.changedAt - a.changedAt || byCodeUnit(b.id, a.id))
    for (const { id } of final.slice(INSTANCES_FINAL_MAX)) instances.delete(id)
  }
  if (deployments.size > DEPLOYMENTS_MAX) trimDeployments(deployments)
  if (events.size > EVENTS_MAX) {
    const floor = Math.max(...lastOf(events)) - EVENTS_MAX
    for (const cursor of events.keys()) if (cursor <= floor) events.delete(cursor)
  }
}

function trimDeployments(deployments: Map<string, string>): void {
  const newestFirst = valuesById<Deployment>(deployments)
  newestFirst.sort((a, b) => b.createdAt - a.createdAt || byCodeUnit(b.id, a.id))
  const seen = new Set<string>()
  for (const [rank, { id, service, finishedAt }] of newestFirst.entries()) {
    const isNewestOfService = !seen.has(service)
    seen.add(service)
    if (rank < DEPLOYMENTS_MAX || isNewestOfService || finishedAt === undefined) continue
    deployments.delete(id)
  }
}

function valuesById<T extends { id: string }>(rows: Map<string, string>): T[] {
  const values = [...rows.values()].map((text) => JSON.parse(text) as T)
  return values.sort((a, b) => byCodeUnit(a.id, b.id))
}

function byCodeUnit(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

// Not the spread of all keys: a list of arguments has a limit too.
function lastOf(events: Map<number, string>): number[] {
  let last: number | undefined
  for (const cursor of events.keys()) last = Math.max(last ?? cursor, cursor)
  return last === undefined ? [] : [last]
}
