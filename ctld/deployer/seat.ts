// What is taken of each worker, by all that the controller counts on: as a plan finds it.

import { isFinal } from '#ctld/instance.ts'
import type { Instance, NodeSize, NodeState, Service } from '#shared/model.ts'
import { NODE_LABEL } from '#shared/placement-schema.ts'
import type { Isolation } from '#shared/wire.ts'
import { type Demand, demandOf } from './need.ts'

export type NodeFact = {
  name: string
  state: NodeState
  drained: boolean
  /** It gets no new instance; those that it has stay. */
  cordoned: boolean
  /** Drained with what is sticky, and from this wall instant on what is left there is stopped. */
  forcedUntil: number | undefined
  /** Wall instant of its confirmed death, while it is reviving or dead. */
  downAt: number | undefined
  labels: Readonly<Record<string, string>>
  /** undefined: it has never told. */
  size: NodeSize | undefined
  /** undefined: it has not told. */
  isolation: Isolation['mode'] | undefined
  /** max(cpu, memory) of its last report, 0..1. */
  load: number
}

export type Seat = Pick<NodeFact, 'name' | 'labels' | 'size' | 'isolation' | 'load'> & {
  /** Why it may get nothing, in words; undefined: it may. */
  closed: string | undefined
  /** Instances of each service on it that are not final. */
  counts: ReadonlyMap<string, number>
  instanceCount: number
  /** Static host ports that are taken on it. */
  ports: ReadonlySet<number>
  /** What its instances declared: bytes, thousandths of a core. */
  memory: number
  milliCpu: number
}

/** One for each node, in the same order. */
export function seatsOf(facts: {
  services: readonly Service[]
  instances: readonly Instance[]
  nodes: readonly NodeFact[]
}): Seat[] {
  const demandAt = demandsOf(facts.services)
  const seats = facts.nodes.map((node) => ({
    ...node,
    closed: closedBecause(node),
    counts: new Map<string, number>(),
    ports: new Set<number>(),
    ...{ instanceCount: 0, memory: 0, milliCpu: 0 },
  }))
  const byName = new Map(seats.map((seat) => [seat.name, seat]))
  for (const instance of facts.instances) {
    if (isFinal(instance) || instance.state === 'lost') continue
    const seat = byName.get(instance.node)
    if (seat === undefined) continue
    seat.counts.set(instance.service, (seat.counts.get(instance.service) ?? 0) + 1)
    seat.instanceCount += 1
    const demand = demandAt(instance)
    seat.memory += demand?.memory ?? 0
    seat.milliCpu += demand?.milliCpu ?? 0
    if (demand?.staticPort !== undefined) seat.ports.add(demand.staticPort)
  }
  return seats
}

function closedBecause(node: NodeFact): string | undefined {
  if (node.drained) return 'is drained'
  if (node.cordoned) return 'is cordoned'
  switch (node.state) {
    case 'alive':
      return undefined
    case 'unknown':
      return 'has not reported yet'
    case 'suspect':
      return 'is suspect'
    case 'reviving':
    case 'dead':
      return 'is dead'
  }
}

/** What an instance takes follows from the revision that it runs, not from the newest one. */
export function demandsOf(
  services: readonly Service[],
): (instance: Pick<Instance, 'service' | 'revision'>) => Demand | undefined {
  const byService = new Map(
    services.map((service) => {
      const { name, config: newest, revisions } = service
      const entries = revisions.map(({ revision, config }) => [revision, demandOf(config)] as const)
      return [name, { newest: demandOf(newest), byRevision: new Map(entries) }]
    }),
  )
  return ({ service, revision }) => {
    const known = byService.get(service)
    return known && (known.byRevision.get(revision) ?? known.newest)
  }
}

export function labelOf({ name, labels }: Seat, label: string): string | undefined {
  if (label === NODE_LABEL) return name
  return Object.hasOwn(labels, label) ? labels[label] : undefined
}
