// Clients of a virtual cluster: so many requests a second, in turn to all that are routed to, each
// answered as the test says. The data plane counts them as the real one does.

import {
  type InstanceCounters,
  newInstanceCounters,
  newServiceCounters,
  type ServiceCounters,
} from '#ctld/balancer/data-plane/counters.ts'
import { bucketOf } from '#ctld/balancer/data-plane/latency.ts'
import type { Instance } from '#shared/model.ts'
import { noCounters } from '#test/fakes/counters.ts'
import type { VirtualCluster } from './virtual-cluster.ts'

const TICK_MS = 100

/** `failed`: share of its requests; `ms`: how long each takes. */
export type Answers = (instance: Instance) => { failed?: number; ms?: number }

export type Clients = ReturnType<typeof createClients>

export function createClients(
  cluster: VirtualCluster,
  given: { perSecond: number; answers?: Answers },
) {
  const { world } = cluster
  const { perSecond, answers = () => ({}) } = given
  const services = new Map<string, ServiceCounters>()
  const known = new Map<string, Instance>()
  let turn = 0
  let startedAt = 1_000
  let isSilent = false

  function serviceOf(name: string): ServiceCounters {
    const own = services.get(name) ?? newServiceCounters()
    services.set(name, own)
    return own
  }

  function ask(service: string, instance: string): void {
    const own = serviceOf(service)
    const counters: InstanceCounters = own.instances[instance] ?? newInstanceCounters()
    own.instances[instance] = counters
    const record = known.get(instance)
    const { failed = 0, ms = 10 }: ReturnType<Answers> = record === undefined ? {} : answers(record)
    counters.requests += 1
    own.requests += 1
    const bucket = bucketOf(ms * 1_000)
    counters.latency[bucket] = (counters.latency[bucket] ?? 0) + 1
    // As even as the share allows it, so that no test depends on dice.
    const isFailed = Math.floor(counters.requests * failed) > counters.failed
    if (isFailed) counters.failed += 1
    const status = isFailed ? 500 : 200
    own.statuses[status] = (own.statuses[status] ?? 0) + 1
  }

  function tick(): void {
    const ctld = world.controller.ctld
    for (const one of ctld?.snapshot().instances ?? []) known.set(one.id, one)
    for (const { service, targets } of world.controller.dataPlane.table.routes) {
      for (let count = 0; count < (perSecond * TICK_MS) / 1_000 && targets.length > 0; count += 1) {
        turn += 1
        ask(service, targets[turn % targets.length]?.instance ?? '')
      }
    }
    world.clock.after(TICK_MS, tick)
  }

  world.counted = async ({ version }) => {
    if (isSilent) throw new Error('the balancer does not answer')
    const all = Object.fromEntries(services)
    return noCounters({ startedAt, tableVersion: version, services: structuredClone(all) })
  }
  world.clock.after(TICK_MS, tick)

  return {
    /** What the clients of a service got in all. */
    got: (service: string) => serviceOf(service).statuses,
    /** The data plane does not say what it counted, or does so again. */
    silence(yes: boolean): void {
      isSilent = yes
    },
    /** Another data plane in its place: it begins to count anew. */
    restart(): void {
      startedAt += 1
      services.clear()
    },
  }
}
