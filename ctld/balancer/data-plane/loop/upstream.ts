// What the loop remembers of an instance and of a service: turn, queue, ejection, counts. Objects
// of these types live as long as the instance or the service; a new table only re-points them.

import { type Ejection, newEjection } from '#ctld/balancer/data-plane/choose/ejection.ts'
import { newPickState, type PickState } from '#ctld/balancer/data-plane/choose/pick.ts'
import { createWaiting, type Waiting } from '#ctld/balancer/data-plane/choose/queue.ts'
import {
  createRetryBudget,
  type RetryBudget,
} from '#ctld/balancer/data-plane/choose/retry-budget.ts'
import { type InstanceCounters, newInstanceCounters } from '#ctld/balancer/data-plane/counters.ts'
import { newBuckets } from '#ctld/balancer/data-plane/latency.ts'
import type { Route, Target } from '#ctld/ports.ts'
import { ALONE_START_MS } from './quickness.ts'
import { Tally } from './tally.ts'

/** What an exchange needs of a connection to an instance, and what the pool needs of it. */
export type Pooled = {
  /** When it was put back; it is never used after `idleUntil`. */
  idleSince: number
  idleUntil: number
  destroy(): void
}

/** A request that leaves at the end of this turn. */
export type Batched = { mayShare: boolean }

export type Upstream = {
  instance: string
  weight: number
  target: Target
  /** Where its requests in flight are counted over all loops. */
  slot: number
  lane: Lane
  /** Last in, first out. */
  idle: Pooled[]
  /** Requests that leave together at the end of this turn of the loop. */
  batch: Batched[]
  /** Requests of this loop, tunnels included. */
  inFlight: number
  openConnections: number
  /** Until then what must not be repeated goes on a new connection. */
  doubtedUntil: number
  ejection: Ejection
  /** Since when it is in the table; -Infinity: it was there when the loop began. */
  enteredAt: number
  isLeaving: boolean
  /** Quick answers in a row: at `PROVEN_ANSWERS` its requests may share a connection. */
  quickAnswers: number
  /** Until then its requests do not share a connection, however quick it is. */
  aloneUntil: number
  aloneMs: number
  observedAt: number
  counters: InstanceCounters
  /** How long its answers took, see latency.ts. */
  took: Uint32Array
  /** When its last request ended after it had left the table; Infinity: not yet. */
  emptiedAt: number
}

/** A service as it is routed now. */
export type Lane = {
  service: string
  route: Route
  upstreams: readonly Upstream[]
  byToken: ReadonlyMap<string, Upstream> | undefined
  turn: PickState
  waiting: Waiting<Waiter>
  budget: RetryBudget
  tally: Tally
  /** When it last had an instance to send to; -Infinity: never. */
  hadTargetsAt: number
  /** Instances that left the table and whose counts are kept, by their ids. */
  departed: Map<string, Upstream>
  /** The other loops tell this one when they free a place. */
  isListening: boolean
  /** The service is in no table any more. */
  isGone: boolean
}

/** Who waits for an instance. `dispatch` is called when there may be one: it claims again. */
export type Waiter = {
  /** `isFirst`: if it has to wait on, it stands in front. */
  dispatch(isFirst: boolean): void
}

export function newLane(route: Route): Lane {
  return {
    service: route.service,
    route,
    upstreams: [],
    byToken: undefined,
    turn: newPickState(),
    waiting: createWaiting(route.queueMax),
    budget: createRetryBudget(),
    tally: new Tally(),
    hadTargetsAt: Number.NEGATIVE_INFINITY,
    departed: new Map(),
    isListening: false,
    isGone: false,
  }
}

export function newUpstream(target: Target, lane: Lane, slot: number): Upstream {
  return {
    instance: target.instance,
    weight: target.weight,
    target,
    slot,
    lane,
    idle: [],
    batch: [],
    inFlight: 0,
    openConnections: 0,
    doubtedUntil: Number.NEGATIVE_INFINITY,
    ejection: newEjection(),
    enteredAt: Number.NEGATIVE_INFINITY,
    isLeaving: false,
    quickAnswers: 0,
    aloneUntil: Number.NEGATIVE_INFINITY,
    aloneMs: ALONE_START_MS,
    observedAt: Number.NEGATIVE_INFINITY,
    counters: newInstanceCounters(),
    took: newBuckets(),
    emptiedAt: Number.POSITIVE_INFINITY,
  }
}
