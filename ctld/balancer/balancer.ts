// The control side of the balancer: keeps the last route table, hands a new one to the data plane
// only when something in it changed, and passes on what the data plane sees.

import type { DataPlane, Observation, RouteTable } from '#ctld/ports.ts'
import type { Instance, Service } from '#shared/model.ts'
import { isSameList } from '#shared/same-list.ts'
import { type BalancedNode, routeTable } from './table.ts'
import { weigh } from './weigh.ts'

export { HISTOGRAM_BOUNDS_US, newServiceCounters } from './data-plane/counters.ts'
export { countOf, latencyAt } from './data-plane/latency.ts'
export { type BalancedNode, hostConflicts } from './table.ts'

export type Balancer = {
  /** Publishes the table of these facts if it differs from the last; answers the one in force. */
  publish(
    services: readonly Service[],
    instances: readonly Instance[],
    nodes: readonly BalancedNode[],
  ): RouteTable
  table(): RouteTable
}

export function createBalancer(ports: {
  dataPlane: DataPlane
  /** Called while `publish` runs, too: it must only take note. */
  onObservation: (observation: Observation) => void
}): Balancer {
  const { dataPlane, onObservation } = ports
  let table: RouteTable = { version: 0, routes: [] }
  let published: string | undefined
  /** What the last table was made from: steps come by the dozen a second, changes do not. */
  let looked: { services: readonly Service[]; instances: readonly Instance[]; nodes: string } = {
    services: [],
    instances: [],
    nodes: '',
  }

  dataPlane.observe(onObservation)

  return {
    publish(services, instances, nodes) {
      const facts = { services, instances, nodes: textOf(nodes) }
      const isSame =
        facts.nodes === looked.nodes &&
        isSameList(services, looked.services) &&
        isSameList(instances, looked.instances)
      if (isSame) return table
      looked = facts
      const next = routeTable(services, instances, nodes, table.version + 1)
      // One order of keys and of lists makes the text of two equal tables equal.
      const text = JSON.stringify(next.routes)
      if (text === published) return table
      published = text
      table = next
      dataPlane.publish(table)
      return table
    },
    table: () => table,
  }
}

/** All that a table says of its nodes: reports that leave their weight change nothing. */
function textOf(nodes: readonly BalancedNode[]): string {
  return JSON.stringify(nodes.map((node) => [node.name, node.ip, node.state, weigh(node)]))
}
