// In which order a service's instances go to the workers that can take one. A queue is asked for
// one worker after the other, and each that it gave has been taken before it is asked again. Pure.

import { type Board, copiesOf, type Spot } from './board.ts'
import { meets } from './fit.ts'
import { heapOf, removeFirst, sink } from './heap.ts'
import type { Demand, Need } from './need.ts'
import { labelOf, type Seat } from './seat.ts'

export type Queue = {
  /** The next worker, of those that are still open; `after`: number of the last one of the ring. */
  next(after: number, isOpen: (spot: Spot) => boolean): Spot | undefined
}

/** Workers on which the service failed come last, whatever else speaks for them. */
const RANKS = { once: 1, often: 2 } as const
const LABEL_LESS = 0.5

/** `spots`: those that can take the need, in the order of the topology. */
export function queueOf(board: Board, spots: readonly Spot[], need: Need): Queue {
  const { demand } = need
  const rankOf = (spot: Spot) => {
    const avoided = need.avoid.get(spot.seat.name)
    return avoided === undefined ? 0 : RANKS[avoided]
  }
  const make = (open: Spot[]) => orderOf(board, open, demand)
  if (demand.placement === 'spread') {
    const hasLabel = ({ seat }: Spot) => labelOf(seat, demand.spread ?? '') !== undefined
    return inClasses(spots, (spot) => rankOf(spot) + (hasLabel(spot) ? 0 : LABEL_LESS), make)
  }
  if (need.avoid.size === 0 && demand.affinity.length === 0) return make([...spots])
  // Wishes count before an even spread, but never more than a failure: weights are whole numbers.
  const wishes = demand.affinity.reduce((sum, { weight }) => sum + weight, 1)
  const classOf = (spot: Spot) => rankOf(spot) - weightOf(spot.seat, demand) / wishes
  return inClasses(spots, classOf, make)
}

/** Sum of the weights of the wishes that the worker fulfils. */
export function weightOf(seat: Seat, { affinity }: Demand): number {
  let sum = 0
  for (const wish of affinity) if (meets(seat, wish)) sum += wish.weight
  return sum
}

function orderOf(board: Board, spots: Spot[], demand: Demand): Queue {
  switch (demand.placement) {
    case 'round_robin':
      return ringOf(spots, copiesOf(board, demand.service))
    case 'least_loaded':
      return heapQueue(spots, byLoad)
    case 'spread':
      return spreadOf(board, spots, demand)
  }
}

/** All of the lowest class first; a worker that is full stays so, so a class is left for good. */
function inClasses(
  spots: readonly Spot[],
  classOf: (spot: Spot) => number,
  make: (spots: Spot[]) => Queue,
): Queue {
  const classes = [...Map.groupBy(spots, classOf)].sort(([a], [b]) => a - b)
  let current: Queue | undefined
  return {
    next(after, isOpen) {
      for (;;) {
        const found = current?.next(after, isOpen)
        if (found !== undefined) return found
        const [, members] = classes.shift() ?? []
        if (members === undefined) return undefined
        current = make(members)
      }
    },
  }
}

/**
 * Those with the fewest instances of the service, in the order of the ring: one of each before a
 * second of any. As long as nothing died or was drained that is what the ring gives by itself;
 * afterwards it keeps one worker from getting all of them.
 */
function ringOf(spots: readonly Spot[], copies: ReadonlyMap<number, number>): Queue {
  const levels = Map.groupBy(spots, (spot) => copies.get(spot.index) ?? 0)
  let level: Spot[] = []
  let at = 0
  let left = 0
  let height = 0
  return {
    next(after, isOpen) {
      for (;;) {
        while (left > 0) {
          const spot = level[at]
          at = (at + 1) % level.length
          left -= 1
          if (spot === undefined || !isOpen(spot)) continue
          const above = levels.get(height + 1)
          if (above === undefined) levels.set(height + 1, [spot])
          else above.push(spot)
          return spot
        }
        if (levels.size === 0) return undefined
        height = Math.min(...levels.keys())
        level = (levels.get(height) ?? []).sort(byIndex)
        levels.delete(height)
        left = level.length
        at = Math.max(
          level.findIndex(({ index }) => index > after),
          0,
        )
      }
    },
  }
}

function byIndex(a: Spot, b: Spot): number {
  return a.index - b.index
}

function byLoad(a: Spot, b: Spot): number {
  return a.instances - b.instances || a.seat.load - b.seat.load || a.index - b.index
}

type Zone = { copies: number; spots: Spot[] }

/** The value of the label with the fewest instances, and in it the worker with the fewest. */
function spreadOf(board: Board, spots: readonly Spot[], demand: Demand): Queue {
  const label = demand.spread ?? ''
  const own = copiesOf(board, demand.service)
  const ofValue = new Map<string | undefined, number>()
  for (const [index, count] of own) {
    const spot = board.spots[index]
    const value = spot && labelOf(spot.seat, label)
    ofValue.set(value, (ofValue.get(value) ?? 0) + count)
  }
  const inZone = (a: Spot, b: Spot) =>
    weightOf(b.seat, demand) - weightOf(a.seat, demand) ||
    (own.get(a.index) ?? 0) - (own.get(b.index) ?? 0) ||
    a.instances - b.instances ||
    a.index - b.index
  const first = ({ spots: [spot] }: Zone) => spot
  const compare = (a: Zone, b: Zone) => {
    const [one, other] = [first(a), first(b)]
    if (one === undefined || other === undefined) return a.copies - b.copies
    return a.copies - b.copies || inZone(one, other)
  }
  const zones = [...Map.groupBy(spots, ({ seat }) => labelOf(seat, label))].map(
    ([value, members]): Zone => ({
      copies: ofValue.get(value) ?? 0,
      spots: heapOf(members, inZone),
    }),
  )
  const heap = heapOf(zones, compare)
  let given: Zone | undefined
  return {
    next(_, isOpen) {
      if (given !== undefined) {
        given.copies += 1
        sink(given.spots, inZone)
        sink(heap, compare)
        given = undefined
      }
      for (let zone = heap[0]; zone !== undefined; zone = heap[0]) {
        const spot = first(zone)
        if (spot !== undefined && isOpen(spot)) {
          given = zone
          return spot
        }
        if (spot === undefined) removeFirst(heap, compare)
        else {
          removeFirst(zone.spots, inZone)
          if (zone.spots.length > 0) sink(heap, compare)
        }
      }
      return undefined
    },
  }
}

/** Smallest first, by an order that the taking of a worker may change for that one alone. */
function heapQueue(spots: readonly Spot[], compare: (a: Spot, b: Spot) => number): Queue {
  const heap = heapOf(spots, compare)
  return {
    next(_, isOpen) {
      // The one that was given last has been taken since.
      sink(heap, compare)
      for (let first = heap[0]; first !== undefined; first = heap[0]) {
        if (isOpen(first)) return first
        removeFirst(heap, compare)
      }
      return undefined
    },
  }
}
