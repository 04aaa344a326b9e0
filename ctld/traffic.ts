// What the balancer is told, and what it tells: hands it each change of what can be routed to, and
// knows which instances may still have a request under way, so that none is stopped under it (Q22).

import type { Log } from '#shared/ports.ts'
import { createBalancer } from './balancer/balancer.ts'
import { seenOf, tellNews, type World, workersOf } from './discovery/world.ts'
import type { DataPlane, Observation } from './ports.ts'

export type Traffic = {
  /** Hands the balancer what changed; an instance that leaves the table is waited for. */
  publish(world: World, now: number): void
  note(world: World, observation: Observation, now: number): void
  /** Instances that the data plane may still send to, or is waiting for. */
  routed: ReadonlySet<string>
  /** Grows with each instance that is no longer waited for. */
  changes(): number
  /** Of the table that was handed over last. */
  tableVersion(): number
}

export function createTraffic(ports: {
  dataPlane: DataPlane
  log: Log
  onObservation: (observation: Observation) => void
}): Traffic {
  const { dataPlane, log, onObservation } = ports
  const balancer = createBalancer({ dataPlane, onObservation })
  const routed = new Set<string>()
  let changes = 0

  function publish(world: World, now: number): void {
    const nodes = workersOf(world).map((machine) => {
      const seen = seenOf(world, machine.name)
      return {
        name: machine.name,
        ip: machine.ip,
        state: world.tables.nodes.get(machine.name)?.state ?? ('unknown' as const),
        metrics: seen.metrics ?? null,
        metricsAgeMs: seen.metrics === undefined ? null : now - seen.metricsAt,
        intervalMs: seen.intervalMs,
      }
    })
    const { services, instances } = world.tables
    const before = balancer.table()
    const table = balancer.publish(services.values(), instances.values(), nodes)
    if (table === before) return
    for (const route of table.routes) for (const { instance } of route.targets) routed.add(instance)
  }

  function note(world: World, observation: Observation, now: number): void {
    switch (observation.kind) {
      case 'drained':
        // It may have come back into the table meanwhile.
        if (!isInTable(observation.instance) && routed.delete(observation.instance)) {
          changes += 1
        }
        return
      case 'unreachable':
        log.debug(observation, 'an instance was unreachable')
        return
      case 'listener_failed': {
        const { port, error } = observation
        tellNews(world, now, 'balancer.listener_failed', 'a port could not be opened', {
          port,
          error,
        })
        return
      }
      case 'loop_failed': {
        const { loop, error } = observation
        const text = 'a loop of the balancer ended and was replaced; its connections are lost'
        tellNews(world, now, 'balancer.loop_failed', text, { loop, error })
        return
      }
      case 'data_plane_failed': {
        const { error } = observation
        const text = 'the balancer ended and is started again; its connections are lost'
        tellNews(world, now, 'balancer.failed', text, { error })
        return
      }
      case 'routed':
        if (!routed.has(observation.instance)) changes += 1
        routed.add(observation.instance)
        return
    }
  }

  function isInTable(instance: string): boolean {
    const routes = balancer.table().routes
    return routes.some(({ targets }) => targets.some((target) => target.instance === instance))
  }

  return {
    publish,
    note,
    routed,
    changes: () => changes,
    tableVersion: () => balancer.table().version,
  }
}
