// What the engine remembers of each instance: its connections, the requests it has under way and
// whether it is skipped for a while because it could not be reached. Claiming an instance and
// counting the request is one synchronous step, so nothing can come between them.

import {
  type Circumstances,
  carryOver,
  newPickState,
  type PickState,
  pick,
} from '#ctld/balancer/data-plane/choose/pick.ts'
import type { Observation, Route, RouteTable, Target } from '#ctld/ports.ts'
import type { Clock, Dice, Log } from '#shared/ports.ts'

const EJECTION_FIRST_MS = 1_000
const EJECTION_MAX_MS = 10_000
/** A flood of failures is one piece of news. */
const OBSERVATION_EVERY_MS = 1_000

/** The connections to one address. */
export type Pool = { close(): void }

export type Upstream<P extends Pool> = {
  instance: string
  weight: number
  target: Target
  connectMs: number
  pool: P
  inFlight: number
  /** It stands in no table any more. */
  isLeaving: boolean
  /** Connections that failed in a row. */
  failures: number
  /** Skipped until then, by the monotonic clock. */
  ejectedUntil: number
  observedAt: number
}

/** A route with its instances and the turn among them. */
export type Lane<P extends Pool> = Route & { upstreams: Upstream<P>[]; turn: PickState }

export type Upstreams<P extends Pool> = ReturnType<typeof createUpstreams<P>>

export function createUpstreams<P extends Pool>(ports: {
  clock: Clock
  dice: Dice
  log: Log
  open: (target: Target, connectMs: number) => P
  tell: (observation: Observation) => void
}) {
  const { clock, dice, log, open, tell } = ports
  let lanes = new Map<string, Lane<P>>()
  const byInstance = new Map<string, Upstream<P>>()
  // One object for all choices: a choice is synchronous, so it cannot meet another.
  const asked = { tried: undefined as ReadonlySet<Upstream<P>> | undefined, now: 0 }
  const willing: Circumstances<Upstream<P>> = {
    isExcluded: (upstream) =>
      upstream.ejectedUntil > asked.now || asked.tried?.has(upstream) === true,
    inFlight: (upstream) => upstream.inFlight,
    random: dice.random,
  }
  const untried: Circumstances<Upstream<P>> = {
    ...willing,
    isExcluded: (upstream) => asked.tried?.has(upstream) === true,
  }

  function enter(target: Target, { connectMs }: Route): Upstream<P> {
    const known = byInstance.get(target.instance)
    if (known === undefined) {
      const fresh = newUpstream(target, connectMs)
      byInstance.set(target.instance, fresh)
      return fresh
    }
    if (isElsewhere(known, target, connectMs)) {
      known.pool.close()
      Object.assign(known, { pool: open(target, connectMs), connectMs })
      Object.assign(known, { failures: 0, ejectedUntil: 0 })
    }
    return Object.assign(known, { target, weight: target.weight, isLeaving: false })
  }

  function newUpstream(target: Target, connectMs: number): Upstream<P> {
    return {
      instance: target.instance,
      weight: target.weight,
      target,
      connectMs,
      pool: open(target, connectMs),
      inFlight: 0,
      isLeaving: false,
      failures: 0,
      ejectedUntil: 0,
      observedAt: Number.NEGATIVE_INFINITY,
    }
  }

  function forgetIfDrained(upstream: Upstream<P>): void {
    if (!upstream.isLeaving || upstream.inFlight > 0) return
    byInstance.delete(upstream.instance)
    upstream.pool.close()
    tell({ kind: 'drained', instance: upstream.instance })
  }

  return {
    /** Replaces all lanes in one step; who is not in the table leaves when it is drained (Q22). */
    update(table: RouteTable): readonly Lane<P>[] {
      for (const upstream of byInstance.values()) upstream.isLeaving = true
      const next = table.routes.map((route): Lane<P> => {
        const upstreams = route.targets.map((target) => enter(target, route))
        const turn = carryOver(lanes.get(route.service)?.turn ?? newPickState(), upstreams)
        return { ...route, upstreams, turn }
      })
      lanes = new Map(next.map((lane) => [lane.service, lane]))
      for (const upstream of [...byInstance.values()]) forgetIfDrained(upstream)
      return next
    },

    /** The lane as it is now: who looks for a second instance must not use an old one. */
    laneOf(service: string): Lane<P> | undefined {
      return lanes.get(service)
    },

    /**
     * Chooses and counts. Skips the ejected, unless only they are left: the last one is never
     * ejected. undefined: every instance was tried. Every claim needs one `release`.
     */
    claim(lane: Lane<P>, tried: ReadonlySet<Upstream<P>> | undefined): Upstream<P> | undefined {
      asked.now = clock.now()
      asked.tried = tried
      const chosen =
        pick(lane.balance, lane.upstreams, lane.turn, willing) ??
        pick(lane.balance, lane.upstreams, lane.turn, untried)
      if (chosen !== undefined) chosen.inFlight += 1
      return chosen
    },

    release(upstream: Upstream<P>): void {
      upstream.inFlight -= 1
      forgetIfDrained(upstream)
    },

    /** It answered. */
    succeeded(upstream: Upstream<P>): void {
      upstream.failures = 0
      upstream.ejectedUntil = 0
    },

    /** No connection: skip it for 1 s, 2 s, 4 s … 10 s. Failures of the same moment are one. */
    unreachable(upstream: Upstream<P>, error: string): void {
      const now = clock.now()
      if (upstream.ejectedUntil > now) return
      const forMs = Math.min(EJECTION_FIRST_MS * 2 ** upstream.failures, EJECTION_MAX_MS)
      upstream.failures += 1
      upstream.ejectedUntil = now + forMs
      upstream.observedAt = now
      log.debug({ instance: upstream.instance, error, forMs }, 'instance skipped')
      tell({ kind: 'unreachable', instance: upstream.instance, error })
    },

    /** It took the request and closed the connection: worth a report, no reason to skip it. */
    lost(upstream: Upstream<P>, error: string): void {
      const now = clock.now()
      if (now - upstream.observedAt < OBSERVATION_EVERY_MS) return
      upstream.observedAt = now
      tell({ kind: 'unreachable', instance: upstream.instance, error })
    },

    close(): void {
      for (const { pool } of byInstance.values()) pool.close()
      byInstance.clear()
    },
  }
}

function isElsewhere<P extends Pool>(
  { target, connectMs }: Upstream<P>,
  next: Target,
  nextConnectMs: number,
): boolean {
  return target.host !== next.host || target.port !== next.port || connectMs !== nextConnectMs
}
