// Keeps what each loop counted last, so that sums never fall while the program lives: what a loop
// that died had told counts on, and so does what one told that does not answer in time. Loops tell
// it with each pulse and whenever it is asked for; what a loop counted after that dies with it.

import {
  type DataPlaneCounters,
  type ServiceCounters,
  sumOf,
} from '#ctld/balancer/data-plane/counters.ts'
import { KEPT_MS } from '#ctld/balancer/data-plane/loop/departed.ts'
import type { Route } from '#ctld/ports.ts'

export type CountsKept = {
  told(member: string, counters: DataPlaneCounters): void
  /** It has ended: its gauges are 0. */
  gone(member: string): void
  /** Services that left the table are forgotten; instances a while later, as the loops do it. */
  retain(routes: readonly Route[], now: number): void
  /** Of all that ever were. Throws when none of those that live has told anything. */
  sum(): DataPlaneCounters
}

export function createCountsKept(): CountsKept {
  const living = new Map<string, DataPlaneCounters>()
  let dead: DataPlaneCounters | undefined
  /** Instances that only the dead ones counted, by when that was noticed. */
  const leftAt = new Map<string, number>()

  return {
    told(member, counters) {
      living.set(member, counters)
    },
    gone(member) {
      const last = living.get(member)
      if (last === undefined) return
      living.delete(member)
      const counts = withoutGauges(last)
      dead = dead === undefined ? counts : sumOf([dead, counts])
    },
    retain(routes, now) {
      if (dead === undefined) return
      const isKept = (instance: string, inTable: ReadonlySet<string>) => {
        if (inTable.has(instance)) leftAt.delete(instance)
        else if (!leftAt.has(instance)) leftAt.set(instance, now)
        const left = leftAt.get(instance)
        if (left === undefined || now - left < KEPT_MS) return true
        return !leftAt.delete(instance)
      }
      const services: Record<string, ServiceCounters> = {}
      for (const { service, targets } of routes) {
        const own = dead.services[service]
        if (own === undefined) continue
        const inTable = new Set(targets.map(({ instance }) => instance))
        services[service] = {
          ...own,
          instances: mapped(own.instances, (one, instance) =>
            isKept(instance, inTable) ? one : null,
          ),
        }
      }
      dead = { ...dead, services }
    },
    sum() {
      const all = [...living.values()]
      return sumOf(dead === undefined || all.length === 0 ? all : [...all, dead])
    },
  }
}

/** It stands in the way of no table: the lowest version of all is told. */
function withoutGauges(counters: DataPlaneCounters): DataPlaneCounters {
  return {
    ...counters,
    tableVersion: Number.POSITIVE_INFINITY,
    loops: 0,
    connections: { ...counters.connections, open: 0 },
    services: mapped(counters.services, (service) => ({
      ...service,
      waiting: 0,
      inFlight: 0,
      instances: mapped(service.instances, (instance) => ({
        ...instance,
        inFlight: 0,
        inTable: 0,
        idleConnections: 0,
        openConnections: 0,
      })),
    })),
  }
}

function mapped<T>(
  record: Readonly<Record<string, T>>,
  of: (value: T, key: string) => T | null,
): Record<string, T> {
  const all = Object.entries(record).map(([key, value]) => [key, of(value, key)] as const)
  return Object.fromEntries(all.filter((one): one is [string, T] => one[1] !== null))
}
