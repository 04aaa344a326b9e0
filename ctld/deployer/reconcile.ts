// Decides what to start and what to stop, so that what runs becomes what was declared. Pure: the
// same facts in any order give the same plan. It never waits; when only time can help it says
// until when in `wakeAt`.

import { isFinal, isHolding } from '#ctld/instance.ts'
import type { Pending } from '#ctld/snapshot.ts'
import { compare } from '#shared/compare.ts'
import { durationMs } from '#shared/duration.ts'
import type { Deployment, Instance, Rollout, Service } from '#shared/model.ts'
import { type Board, boardOf, giveBack, take } from './board.ts'
import { evictionsOf } from './drain.ts'
import { fits } from './fit.ts'
import { type Fits, gapOf } from './gap.ts'
import type { Need } from './need.ts'
import { type Placed, placeOn } from './place.ts'
import { type Retries, retriesOn, waitsForTry } from './retry.ts'
import { demandsOf, type NodeFact, type Seat, seatsOf } from './seat.ts'

export { type NodeFact, seatsOf } from './seat.ts'

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
  /** By id: the newest one of each service, at least. */
  deployments: { get(id: string): Deployment | undefined }
  /** Instances that the balancer still routes to or waits for. */
  routed: ReadonlySet<string>
}

export type Action =
  | { kind: 'place'; service: string; node: string; why: string; replaces: string | undefined }
  | { kind: 'retry'; instance: string; node: string; why: string }
  | { kind: 'admit'; instance: string; why: string }
  | { kind: 'withdraw'; instance: string; why: string }
  | { kind: 'rollout'; service: string; why: string; rollout: Rollout | undefined }
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

export function reconcile(given: Facts, now: number): Plan {
  const facts = { ...given, instances: byId(given.instances) }
  const byService = Map.groupBy(facts.instances, (instance) => instance.service)
  const services = facts.services.toSorted((a, b) => compare(a.name, b.name))
  const seats = once(() => seatsOf(facts))
  const board = once(() => boardOf(seats()))
  const known = { facts, nodes: new Map(facts.nodes.map((node) => [node.name, node])), now }
  const gaps = services.map((service) => gapOf(service, byService.get(service.name) ?? [], known))
  const needs = gaps.flatMap((gap) => gap.needs)
  const isHeld = facts.placeFrom > now && needs.length > 0
  // First, as they hold their places already.
  const retries = services.map((service): Retries => {
    const mine = byService.get(service.name) ?? []
    const waiting = facts.isDurable ? mine.filter(waitsForTry) : []
    return waiting.length === 0 ? NO_RETRIES : retriesOn(board(), service, { mine, now })
  })
  const placed = isHeld ? held(needs, facts.cursor) : placedOn(board, needs, facts.cursor)
  const stops = stopsOf(facts, now)
  const evicted = evictionsOf(facts, now)
  const after = isHeld ? [] : gaps.map((gap) => gap.whenPlaced(placed, fitsIn(facts, seats)))
  return {
    actions: [
      ...gaps.flatMap((gap) => gap.actions),
      ...orphansOf(facts),
      ...evicted.actions,
      ...stops.actions,
      ...retries.flatMap((retry) => retry.actions),
      ...placed.placements.map(placeAction),
      ...after.flatMap((late) => late.actions),
    ],
    cursor: placed.cursor,
    pending: [...pendingOf(placed), ...retries.flatMap((retry) => retry.pending)].concat(
      [...gaps, ...after].flatMap(({ pending }) => pending),
    ),
    wakeAt: Math.min(
      isHeld ? facts.placeFrom : Infinity,
      stops.wakeAt,
      evicted.wakeAt,
      ...gaps.map((gap) => gap.wakeAt),
      ...retries.map((retry) => retry.wakeAt),
    ),
  }
}

const NO_RETRIES: Retries = { actions: [], pending: [], wakeAt: Number.POSITIVE_INFINITY }

function held(needs: readonly Need[], cursor: string | null): Placed {
  const why = 'the controller has just started: it waits for the workers that it knows'
  return { placements: [], cursor, unplaced: needs.map((need) => ({ need, why })) }
}

/** What is taken is counted only when somebody asks: most plans find nothing to do. */
function placedOn(board: () => Board, needs: readonly Need[], cursor: string | null): Placed {
  return needs.length === 0
    ? { placements: [], cursor, unplaced: [] }
    : placeOn(board(), needs, cursor)
}

/** As the facts are, without what this plan places. */
function fitsIn(facts: Facts, seats: () => readonly Seat[]): Fits {
  const board = once(() => boardOf(seats()))
  const demandAt = once(() => demandsOf(facts.services))
  return (need, without) => {
    const spot = board().spots.find(({ seat }) => seat.name === without.node)
    const demand = demandAt()(without)
    if (spot === undefined || demand === undefined) return false
    giveBack(board(), spot, demand)
    const isRoom = board().spots.some((one) => fits(board(), one, need))
    take(board(), spot, demand)
    return isRoom
  }
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
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

/** Instances of services that are not configured (any more) go. */
function orphansOf(facts: Facts): Action[] {
  const declared = new Set(facts.services.map((service) => service.name))
  return facts.instances
    .filter((instance) => !declared.has(instance.service))
    .filter((instance) => isHolding(instance) || instance.state === 'lost')
    .map((instance) => ({
      kind: 'terminate',
      instance: instance.id,
      why: 'its service is not configured',
    }))
}

/** Instances that left the balancer stop when drained; a stop that is overdue is repeated. */
function stopsOf(facts: Facts, now: number): { actions: Action[]; wakeAt: number } {
  const result = { actions: [] as Action[], wakeAt: Infinity }
  for (const instance of facts.instances) {
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
