// Decides what to start and what to stop, so that what runs becomes what was declared. Pure: the
// same facts in any order give the same plan. It never waits; when only time can help it says
// until when in `wakeAt`.

import { isFinal, isHolding, TRIES_PER_NODE } from '#ctld/instance.ts'
import type { Pending } from '#ctld/snapshot.ts'
import { compare } from '#shared/compare.ts'
import { durationMs } from '#shared/duration.ts'
import type { Instance, NodeState, Service } from '#shared/model.ts'
import { NOTHING_AVOIDED } from './avoid.ts'
import { gapOf } from './gap.ts'
import { type Need, needOf } from './need.ts'
import { nextAfter, type Placed, place, type Seat } from './place.ts'

export type NodeFact = {
  name: string
  state: NodeState
  drained: boolean
  /** Wall instant of its confirmed death, while it is reviving or dead. */
  downAt: number | undefined
  /** max(cpu, memory) of its last report. */
  load: number
}

export type Facts = {
  services: readonly Service[]
  instances: readonly Instance[]
  /** In the order of the topology. */
  nodes: readonly NodeFact[]
  cursor: string | null
  /** More than half of the nodes vanished at once: what they ran is not placed elsewhere. */
  frozen: boolean
  rescheduleAfterMs: number
  /** Before this instant nothing is placed: workers that were there have yet to report (Q16). */
  placeFrom: number
  /**
   * The disk takes what is decided. While it does not, no instance gets another try: after a crash
   * of the controller a try that was forgotten would be made again, elsewhere, under the same id.
   */
  isDurable: boolean
  /** Instances that the balancer still routes to or waits for. */
  routed: ReadonlySet<string>
}

export type Action =
  | { kind: 'place'; service: string; node: string; why: string; replaces: string | undefined }
  | { kind: 'retry'; instance: string; node: string; why: string }
  | { kind: 'terminate'; instance: string; why: string }
  | { kind: 'stop'; instance: string; why: string }
  | { kind: 'stop_overdue'; instance: string; why: string }
  | { kind: 'forget_service'; service: string; why: string }

export type Plan = {
  actions: Action[]
  cursor: string | null
  pending: Pending[]
  /** Wall instant at which the plan may change by itself. */
  wakeAt: number
}

export function reconcile(facts: Facts, now: number): Plan {
  const byService = Map.groupBy(byId(facts.instances), (instance) => instance.service)
  const services = facts.services.toSorted((a, b) => compare(a.name, b.name))
  const seats = seatsOf(facts)
  const gaps = services.map((service) =>
    gapOf(service, byService.get(service.name) ?? [], facts, now),
  )
  const needs = gaps.flatMap((gap) => gap.needs)
  const isHeld = facts.placeFrom > now && needs.length > 0
  const placed = isHeld ? held(needs, facts.cursor) : place(needs, seats, facts.cursor)
  const retries = services.map((service) =>
    retriesOf(service, byService.get(service.name) ?? [], seats, facts.isDurable, now),
  )
  const stops = stopsOf(facts, now)
  return {
    actions: [
      ...gaps.flatMap((gap) => gap.actions),
      ...orphansOf(facts),
      ...stops.actions,
      ...retries.flatMap((retry) => retry.actions),
      ...placed.placements.map(placeAction),
      ...(isHeld ? [] : gaps.flatMap((gap) => gap.whenUnplaced(placed))),
    ],
    cursor: placed.cursor,
    pending: [...pendingOf(placed), ...retries.flatMap((retry) => retry.pending)].concat(
      gaps.flatMap((gap) => gap.pending),
    ),
    wakeAt: Math.min(
      isHeld ? facts.placeFrom : Infinity,
      stops.wakeAt,
      ...gaps.map((gap) => gap.wakeAt),
      ...retries.map((retry) => retry.wakeAt),
    ),
  }
}

function held(needs: readonly Need[], cursor: string | null): Placed {
  const why = 'the controller has just started: it waits for the workers that it knows'
  return { placements: [], cursor, unplaced: needs.map((need) => ({ need, why })) }
}

export function byId(instances: readonly Instance[]): Instance[] {
  return instances.toSorted((a, b) => compare(a.id, b.id))
}

function placeAction(placement: Placed['placements'][number]): Action {
  const { need, node, why } = placement
  return { kind: 'place', service: need.service, node, why, replaces: need.replaces }
}

function pendingOf(placed: Placed): Pending[] {
  const groups = Map.groupBy(placed.unplaced, ({ need, why }) => `${need.service} ${why}`)
  return [...groups.values()].flatMap((group) => {
    const first = group[0]
    if (first === undefined) return []
    return [{ service: first.need.service, count: group.length, why: first.why }]
  })
}

function seatsOf(facts: Facts): Seat[] {
  const live = facts.instances.filter((instance) => !isFinal(instance) && instance.state !== 'lost')
  const byNode = Map.groupBy(live, (instance) => instance.node)
  const staticPorts = new Map(
    facts.services
      .filter((service) => service.config.host_port === 'static')
      .map((service) => [service.name, service.config.port]),
  )
  return facts.nodes.map((node) => {
    const here = byNode.get(node.name) ?? []
    const counts = new Map<string, number>()
    for (const instance of here) {
      counts.set(instance.service, (counts.get(instance.service) ?? 0) + 1)
    }
    const ports = here.flatMap((instance) => staticPorts.get(instance.service) ?? [])
    return {
      name: node.name,
      closed: closedBecause(node),
      counts,
      ports: new Set(ports),
      instanceCount: here.length,
      load: node.load,
    }
  })
}

function closedBecause(node: NodeFact): string | undefined {
  if (node.drained) return 'is drained'
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

/** Instances of services that are not configured (any more) go. */
function orphansOf(facts: Facts): Action[] {
  const declared = new Set(facts.services.map((service) => service.name))
  return byId(facts.instances)
    .filter((instance) => !declared.has(instance.service))
    .filter((instance) => isHolding(instance) || instance.state === 'lost')
    .map((instance) => ({
      kind: 'terminate',
      instance: instance.id,
      why: 'its service is not configured',
    }))
}

/** Tries 4–6 go to the next worker of the ring, as do those whose worker may get nothing (S21). */
function retriesOf(
  service: Service,
  mine: readonly Instance[],
  seats: readonly Seat[],
  isDurable: boolean,
  now: number,
): { actions: Action[]; pending: Pending[]; wakeAt: number } {
  const result = { actions: [] as Action[], pending: [] as Pending[], wakeAt: Infinity }
  for (const instance of mine) {
    if (instance.state !== 'deploying' || instance.retryAt === undefined || !isDurable) continue
    if (instance.retryAt > now) {
      result.wakeAt = Math.min(result.wakeAt, instance.retryAt)
      continue
    }
    const stays =
      instance.attempt < TRIES_PER_NODE &&
      seats.some((seat) => seat.name === instance.node && seat.closed === undefined)
    const need = needOf(service, { why: 'retry', replaces: undefined, avoid: NOTHING_AVOIDED })
    const free = seats.map((seat) => (seat.name === instance.node ? withoutOne(seat, need) : seat))
    const node = stays ? instance.node : nextAfter(instance.node, need, free)
    if (node === undefined) {
      result.pending.push({ service: service.name, count: 1, why: 'no worker for its next try' })
    } else {
      const why = `try ${instance.attempt + 1}${stays ? '' : `, on ${node}`}`
      result.actions.push({ kind: 'retry', instance: instance.id, node, why })
    }
  }
  return result
}

/** It left its seat with its failure: it must not stand in its own way. */
function withoutOne(seat: Seat, { service, staticPort }: Need): Seat {
  const count = (seat.counts.get(service) ?? 1) - 1
  const ports = [...seat.ports].filter((port) => port !== staticPort || count > 0)
  return {
    ...seat,
    counts: new Map(seat.counts).set(service, count),
    ports: new Set(ports),
  }
}

/** Instances that left the balancer stop when drained; a stop that is overdue is repeated. */
function stopsOf(facts: Facts, now: number): { actions: Action[]; wakeAt: number } {
  const result = { actions: [] as Action[], wakeAt: Infinity }
  for (const instance of byId(facts.instances)) {
    if (isFinal(instance)) continue
    if (instance.state === 'terminating' && instance.stopTry === 0) {
      const until = instance.drainUntil ?? now
      if (!facts.routed.has(instance.id)) {
        result.actions.push({ kind: 'stop', instance: instance.id, why: 'no request in flight' })
      } else if (until <= now) {
        result.actions.push({ kind: 'stop', instance: instance.id, why: 'drain deadline passed' })
      } else {
        result.wakeAt = Math.min(result.wakeAt, until)
      }
    } else if (instance.stopRetryAt !== undefined) {
      if (instance.stopRetryAt <= now) {
        const why = 'its agent did not report its end'
        result.actions.push({ kind: 'stop_overdue', instance: instance.id, why })
      } else {
        result.wakeAt = Math.min(result.wakeAt, instance.stopRetryAt)
      }
    }
  }
  return result
}

/** How long an order to stop may take before it counts as failed. */
export function stopMsOf(service: Service | undefined): number {
  return durationMs(service?.config.stop.grace ?? '20s')
}
