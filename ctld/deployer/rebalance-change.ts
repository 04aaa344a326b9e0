// What moving one instance to another worker would change for the better or the worse, by the same
// measures and in the same order as queue.ts chooses a worker. Pure.

import { type Board, copiesOf, type Spot } from './board.ts'
import { meets } from './fit.ts'
import type { Demand } from './need.ts'
import { weightOf } from './queue.ts'
import { labelOf } from './seat.ts'

/**
 * The weightiest first, less is better: constraints that are not met, no label to spread over,
 * copies that share a value of that label, wishes unfulfilled, copies that share a worker,
 * instances that share one.
 */
export type Change = readonly [
  unmet: number,
  unlabelled: number,
  together: number,
  wishes: number,
  copies: number,
  crowd: number,
]

export function changeOf(board: Board, demand: Demand, from: Spot, to: Spot): Change {
  const own = copiesOf(board, demand.service)
  const copies = (spot: Spot) => own.get(spot.index) ?? 0
  const unmet = ({ seat }: Spot) =>
    demand.constraints.filter((condition) => !meets(seat, condition)).length
  const unlabelled = ({ seat }: Spot) =>
    demand.spread !== undefined && labelOf(seat, demand.spread) === undefined ? 1 : 0
  return [
    unmet(to) - unmet(from),
    unlabelled(to) - unlabelled(from),
    together(board, demand, from, to),
    weightOf(from.seat, demand) - weightOf(to.seat, demand),
    // It goes wherever the fewest instances are, of whatever service.
    demand.placement === 'least_loaded' ? 0 : squares(copies(from), copies(to)),
    squares(from.instances, to.instances),
  ]
}

/** Negative: `a` is the better one. */
export function compareChanges(a: Change, b: Change): number {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0
    if (value !== other) return value - other
  }
  return 0
}

export const NO_CHANGE: Change = [0, 0, 0, 0, 0, 0]

/** Better for the service itself, not only for the worker that it leaves. */
export function spreadsBetter([...change]: Change): boolean {
  const first = change.slice(0, -1).find((value) => value !== 0)
  return first !== undefined && first < 0
}

/** How a sum of squares changes when one of `from` joins `to` others. */
function squares(from: number, to: number): number {
  return 2 * (to - from + 1)
}

function together(board: Board, { service, spread }: Demand, from: Spot, to: Spot): number {
  if (spread === undefined) return 0
  const [left, joined] = [labelOf(from.seat, spread), labelOf(to.seat, spread)]
  if (left === joined) return 0
  const counts = new Map<string | undefined, number>()
  for (const [index, count] of copiesOf(board, service)) {
    const spot = board.spots[index]
    const value = spot && labelOf(spot.seat, spread)
    counts.set(value, (counts.get(value) ?? 0) + count)
  }
  return squares(counts.get(left) ?? 0, counts.get(joined) ?? 0)
}
