// Holds what the loop knows of services and instances, and chooses. Claiming an instance and
// counting the request on it is one synchronous step, so nothing can come between them. A new table
// replaces the old one in one step and touches no connection.

import * as ejection from '#ctld/balancer/data-plane/choose/ejection.ts'
import { type Circumstances, pick } from '#ctld/balancer/data-plane/choose/pick.ts'
import { slowStartWeight } from '#ctld/balancer/data-plane/choose/slow-start.ts'
import { byToken } from '#ctld/balancer/data-plane/choose/sticky.ts'
import { record } from '#ctld/balancer/data-plane/counters.ts'
import type { Route, Target } from '#ctld/ports.ts'
import { assert } from '#shared/assert.ts'
import type { Clock, Dice, Log } from '#shared/ports.ts'
import { comeBack, depart } from './departed.ts'
import type { LoopNews, LoopTable } from './loop-table.ts'
import type { SharedCounts } from './shared-counts.ts'
import { type Lane, newLane, newUpstream, type Upstream, type Waiter } from './upstream.ts'

const OWN_SHORTAGES: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'EADDRNOTAVAIL',
  'ENOBUFS',
  'ENOMEM',
])
/** A flood of failures is one piece of news. */
const NEWS_EVERY_MS = 1_000
/** An instance that closed a connection under a request may do so again soon. */
const DOUBT_MS = 10_000

/** What of a request decides which instance takes it. */
export type Wish = {
  /** Of the rule `hash`. */
  key: string | undefined
  /** Of the sticky cookie. */
  token: string | undefined
  tried: ReadonlySet<Upstream> | undefined
}

export type Registry = ReturnType<typeof createRegistry>

export function createRegistry(ports: {
  clock: Clock
  dice: Dice
  log: Log
  counts: SharedCounts
  tell: (news: LoopNews) => void
}) {
  const { clock, dice, log, counts, tell } = ports
  let lanes = new Map<string, Lane>()
  const byInstance = new Map<string, Upstream>()
  const bySlot = new Map<number, Upstream>()
  let isFirstTable = true
  // One object for all choices: a choice is synchronous, so it cannot meet another.
  const asked = { tried: undefined as ReadonlySet<Upstream> | undefined, now: 0, limit: 0 }
  const untried: Circumstances<Upstream> = {
    isExcluded: (upstream) =>
      asked.tried?.has(upstream) === true ||
      (asked.limit > 0 && counts.about(upstream.slot) >= asked.limit),
    inFlight: (upstream) => counts.about(upstream.slot),
    random: dice.random,
    weightOf: (upstream) =>
      slowStartWeight(
        upstream.weight,
        asked.now - upstream.enteredAt,
        upstream.lane.route.slowStartMs,
      ),
  }
  const isTried = (upstream: Upstream) => asked.tried?.has(upstream) === true
  const ejectionOf = (upstream: Upstream) => upstream.ejection
  const willing: Circumstances<Upstream> = {
    ...untried,
    isExcluded: (upstream) =>
      ejection.isEjected(upstream.ejection, asked.now) || untried.isExcluded(upstream),
  }

  function enter(target: Target, lane: Lane, slot: number, now: number): Upstream {
    const known = byInstance.get(target.instance)
    if (known === undefined) {
      const fresh = newUpstream(target, lane, slot)
      fresh.enteredAt = isFirstTable ? Number.NEGATIVE_INFINITY : now
      comeBack(fresh, lane)
      byInstance.set(target.instance, fresh)
      bySlot.set(slot, fresh)
      return fresh
    }
    if (known.target.host !== target.host || known.target.port !== target.port) {
      for (const connection of [...known.idle]) connection.destroy()
      Object.assign(known, { ejection: ejection.newEjection(), quickAnswers: 0 })
    }
    comeBack(known, lane)
    return Object.assign(known, { target, lane, weight: target.weight, isLeaving: false })
  }

  function laneOf(route: Route, slots: Readonly<Record<string, number>>, now: number): Lane {
    const known = lanes.get(route.service)
    const lane = known ?? newLane(route)
    const hadTargets = lane.upstreams.length > 0
    stopListening(lane)
    lane.route = route
    lane.waiting.resize(route.queueMax)
    // The new ones are not listened to yet: whoever waits on begins anew.
    stopListening(lane)
    lane.upstreams = route.targets.map((target) =>
      enter(target, lane, slotOf(slots, target.instance), now),
    )
    if (route.stickyCookie !== undefined) lane.byToken = byToken(lane.upstreams)
    if (lane.upstreams.length > 0 || hadTargets) lane.hadTargetsAt = now
    return lane
  }

  function forgetIfEmpty(upstream: Upstream): void {
    if (!upstream.isLeaving || upstream.inFlight > 0) return
    byInstance.delete(upstream.instance)
    bySlot.delete(upstream.slot)
    upstream.emptiedAt = clock.now()
    for (const connection of [...upstream.idle]) connection.destroy()
    tell({ kind: 'emptied', instance: upstream.instance })
  }

  function count(upstream: Upstream, limit: number): boolean {
    if (!counts.claim(upstream.slot, limit)) return false
    upstream.inFlight += 1
    upstream.counters.requests += 1
    ejection.chosen(upstream.ejection, asked.now)
    return true
  }

  function claim(lane: Lane, wish: Wish): Upstream | undefined {
    const { route, upstreams, turn } = lane
    asked.now = clock.now()
    asked.tried = wish.tried
    asked.limit = route.inFlightMax
    const own = wish.token === undefined ? undefined : lane.byToken?.get(wish.token)
    if (own !== undefined && !willing.isExcluded(own) && count(own, asked.limit)) return own
    // Another loop may take the last place between the choice and the claim: then choose again.
    for (let tries = 0; tries <= upstreams.length; tries += 1) {
      const chosen =
        pick(route.balance, upstreams, turn, willing, wish.key) ??
        (ejection.onlyEjectedLeft(upstreams, isTried, ejectionOf, asked.now)
          ? pick(route.balance, upstreams, turn, untried, wish.key)
          : undefined)
      if (chosen === undefined) return undefined
      if (count(chosen, asked.limit)) return chosen
    }
    return undefined
  }

  /** Those who wait longest go first, as long as there is room for one more. */
  function wake(lane: Lane): void {
    while (lane.waiting.size > 0) {
      const hasRoom = lane.upstreams.some(
        ({ slot }) => lane.route.inFlightMax === 0 || counts.total(slot) < lane.route.inFlightMax,
      )
      if (!hasRoom && lane.route.traffic === 'open' && lane.upstreams.length > 0) return
      const before = lane.waiting.size
      lane.waiting.shift()?.dispatch(true)
      // Another loop was quicker, and it stands in front again.
      if (lane.waiting.size >= before) return
    }
    if (lane.waiting.size === 0) stopListening(lane)
  }

  function stopListening(lane: Lane): void {
    if (!lane.isListening) return
    lane.isListening = false
    for (const { slot } of lane.upstreams) counts.waitNoMore(slot)
  }

  counts.onFreed((slot) => {
    const upstream = bySlot.get(slot)
    if (upstream !== undefined) wake(upstream.lane)
  })

  return {
    claim,
    wake,

    /** Replaces all lanes in one step; who is not in the table leaves when it is empty (Q22). */
    update(table: LoopTable): ReadonlyMap<string, Lane> {
      const now = clock.now()
      const before = lanes
      for (const upstream of byInstance.values()) upstream.isLeaving = true
      lanes = new Map(table.routes.map((route) => [route.service, laneOf(route, table.slots, now)]))
      isFirstTable = false
      for (const upstream of [...byInstance.values()]) {
        if (upstream.isLeaving) depart(upstream)
        forgetIfEmpty(upstream)
      }
      for (const lane of before.values()) {
        if (!lanes.has(lane.service)) {
          stopListening(lane)
          lane.route = { ...lane.route, traffic: 'open', holdMs: 0, targets: [] }
          stopListening(lane)
          lane.upstreams = []
          lane.isGone = true
        }
        wakeAll(lane)
      }
      return lanes
    },

    lane: (service: string): Lane | undefined => lanes.get(service),
    lanes: (): Iterable<Lane> => lanes.values(),

    /** The loop wants to hear when another one frees a place. true: from now on. */
    listenForRoom(lane: Lane): boolean {
      if (lane.isListening) return false
      lane.isListening = true
      for (const { slot } of lane.upstreams) counts.wait(slot)
      // A place that came free before the others knew of this one's wish is seen now.
      queueMicrotask(() => wake(lane))
      return true
    },

    release(upstream: Upstream): void {
      counts.release(upstream.slot)
      upstream.inFlight -= 1
      if (upstream.lane.waiting.size > 0) wake(upstream.lane)
      counts.announceFreed(upstream.slot)
      forgetIfEmpty(upstream)
    },

    connected(upstream: Upstream, ms: number): void {
      record(upstream.counters.connect, ms * 1_000)
    },

    /** It answered. */
    succeeded(upstream: Upstream): void {
      ejection.succeeded(upstream.ejection)
    },

    /** Its request ended without a word about it, because the client left. */
    undecided(upstream: Upstream): void {
      ejection.undecided(upstream.ejection, clock.now())
    },

    /** It closed a connection in the moment in which that was used again. */
    reuseDied(upstream: Upstream): void {
      upstream.counters.reuseDeaths += 1
      upstream.doubtedUntil = clock.now() + DOUBT_MS
    },

    /** No connection: it is skipped for a while. Failures of the same moment are one. */
    unreachable(upstream: Upstream, error: string): void {
      const now = clock.now()
      upstream.counters.connectErrors += 1
      // This machine is short of something: no instance is to blame for that.
      if (OWN_SHORTAGES.has(error)) {
        if (now - upstream.observedAt < NEWS_EVERY_MS) return
        upstream.observedAt = now
        log.warn({ instance: upstream.instance, error }, 'no connection can be made')
        return
      }
      if (ejection.unreachable(upstream.ejection, now)) {
        upstream.counters.ejections += 1
        log.debug({ instance: upstream.instance, error }, 'instance skipped')
      }
      observe(upstream, error, now)
    },

    /** It took the request and gave no answer, or none that can be read. */
    failedHard(upstream: Upstream, error: string): void {
      const now = clock.now()
      upstream.counters.responseErrors += 1
      if (ejection.failedHard(upstream.ejection, now)) {
        upstream.counters.ejections += 1
        log.debug({ instance: upstream.instance, error }, 'instance skipped')
      }
      observe(upstream, error, now)
    },

    close(): void {
      for (const { idle } of byInstance.values()) {
        for (const connection of [...idle]) connection.destroy()
      }
    },
  }

  function observe(upstream: Upstream, error: string, now: number): void {
    if (now - upstream.observedAt < NEWS_EVERY_MS) return
    upstream.observedAt = now
    tell({ kind: 'unreachable', instance: upstream.instance, error })
  }

  // Each looks anew at the table: who has to wait on stands in the queue again, in the same order.
  function wakeAll(lane: Lane): void {
    const all: Waiter[] = []
    for (let one = lane.waiting.shift(); one !== undefined; one = lane.waiting.shift())
      all.push(one)
    for (const one of all) one.dispatch(false)
    if (lane.waiting.size === 0) stopListening(lane)
  }
}

function slotOf(slots: Readonly<Record<string, number>>, instance: string): number {
  const slot = slots[instance]
  assert(slot !== undefined, `instance ${instance} has a slot`)
  return slot
}
