// Chooses a worker for each instance that needs one: round robin over the topology's order from
// where the last placement stopped (M30, Q01, T03), or the least loaded. Pure.

import { INSTANCES_PER_NODE_MAX } from '#shared/wire.ts'
import type { Need } from './need.ts'

export type Seat = {
  name: string
  /** Why it may get nothing, in words; undefined: it may. */
  closed: string | undefined
  /** Instances of each service on it that are not final. */
  counts: ReadonlyMap<string, number>
  /** Static host ports that are taken on it. */
  ports: ReadonlySet<number>
  instanceCount: number
  /** max(cpu, memory) of its last report, 0..1. */
  load: number
}

export type Placement = { need: Need; node: string; why: string }

export type Placed = {
  placements: Placement[]
  /** Name of the worker that got the last round-robin instance. */
  cursor: string | null
  unplaced: { need: Need; why: string }[]
}

/** `seats` in the order of the topology, closed ones included: they keep the ring's shape. */
export function place(
  needs: readonly Need[],
  seats: readonly Seat[],
  cursor: string | null,
): Placed {
  const tallies = seats.map(tallyOf)
  const placed: Placed = { placements: [], cursor, unplaced: [] }
  for (const need of needs) {
    const refusals = tallies.map((tally) => refusalOf(tally, need))
    const open = tallies.filter((_, index) => refusals[index] === undefined)
    const preferred = open.filter((tally) => !need.avoid.has(tally.seat.name))
    const candidates = preferred.length > 0 ? preferred : open
    const chosen =
      need.placement === 'least_loaded'
        ? leastLoaded(candidates)
        : nextOfRing(fewestOf(candidates, need.service), tallies, placed.cursor)
    if (chosen === undefined) {
      placed.unplaced.push({ need, why: whyNot(tallies, refusals) })
      continue
    }
    take(chosen, need)
    if (need.placement === 'round_robin') placed.cursor = chosen.seat.name
    placed.placements.push({ need, node: chosen.seat.name, why: need.why })
  }
  return placed
}

/**
 * Those with the fewest instances of the service: one of each before a second of any. As long as
 * nothing died or was drained that is what the ring gives by itself; afterwards it keeps one
 * worker from getting all of them.
 */
function fewestOf(tallies: readonly Tally[], service: string): Tally[] {
  const countOf = (tally: Tally) => tally.counts.get(service) ?? 0
  const fewest = Math.min(...tallies.map(countOf))
  return tallies.filter((tally) => countOf(tally) === fewest)
}

/** The worker after `node` that may take the need; `node` itself when there is no other. */
export function nextAfter(node: string, need: Need, seats: readonly Seat[]): string | undefined {
  const tallies = seats.map(tallyOf)
  const open = tallies.filter((tally) => refusalOf(tally, need) === undefined)
  return nextOfRing(open, tallies, node)?.seat.name
}

type Tally = {
  seat: Seat
  index: number
  counts: Map<string, number>
  ports: Set<number>
  total: number
}

function tallyOf(seat: Seat, index: number): Tally {
  return {
    seat,
    index,
    counts: new Map(seat.counts),
    ports: new Set(seat.ports),
    total: seat.instanceCount,
  }
}

function take(tally: Tally, need: Need): void {
  tally.counts.set(need.service, (tally.counts.get(need.service) ?? 0) + 1)
  if (need.staticPort !== undefined) tally.ports.add(need.staticPort)
  tally.total += 1
}

function refusalOf(tally: Tally, need: Need): string | undefined {
  if (tally.seat.closed !== undefined) return tally.seat.closed
  // An order or a report of more would be refused by the other side.
  if (tally.total >= INSTANCES_PER_NODE_MAX) return `has ${INSTANCES_PER_NODE_MAX} instances`
  const count = tally.counts.get(need.service) ?? 0
  if (need.maxPerNode !== undefined && count >= need.maxPerNode) {
    return `has ${count} already (max_per_node ${need.maxPerNode})`
  }
  if (need.staticPort !== undefined && tally.ports.has(need.staticPort)) {
    return `port conflict: ${need.staticPort} is taken there`
  }
  return undefined
}

function nextOfRing(
  candidates: readonly Tally[],
  ring: readonly Tally[],
  cursor: string | null,
): Tally | undefined {
  const last = ring.findIndex((tally) => tally.seat.name === cursor)
  return candidates.find((tally) => tally.index > last) ?? candidates[0]
}

function leastLoaded(candidates: readonly Tally[]): Tally | undefined {
  return candidates.toSorted(
    (a, b) => a.total - b.total || a.seat.load - b.seat.load || a.index - b.index,
  )[0]
}

function whyNot(tallies: readonly Tally[], refusals: readonly (string | undefined)[]): string {
  if (tallies.length === 0) return 'the topology has no worker'
  const byReason = Map.groupBy(tallies, (tally) => refusals[tally.index] ?? '')
  return [...byReason]
    .map(([reason, same]) => `${same.map(({ seat }) => seat.name).join(', ')}: ${reason}`)
    .join('; ')
}
