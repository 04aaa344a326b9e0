// Chooses a worker for each instance that needs one: round robin over the topology's order from
// where the last placement stopped (M30, Q01, T03), the least loaded, or spread over a label. Needs
// that are equal share one queue, so that a million of them take seconds. Pure.

import { type Board, boardOf, type Spot, take } from './board.ts'
import { fits, whyNowhere } from './fit.ts'
import type { Need } from './need.ts'
import { type Queue, queueOf } from './queue.ts'
import type { Seat } from './seat.ts'

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
  return placeOn(boardOf(seats), needs, cursor)
}

/** As `place`, and the board remembers what was taken. */
export function placeOn(board: Board, needs: readonly Need[], cursor: string | null): Placed {
  const placed: Placed = { placements: [], cursor, unplaced: [] }
  let last = board.spots.findIndex(({ seat }) => seat.name === cursor)
  let line: Line | undefined
  for (const need of byPriority(needs)) {
    if (line === undefined || !isAlike(line.need, need)) line = lineFor(board, need)
    const spot = line.next(last)
    if (spot === undefined) {
      placed.unplaced.push({ need, why: line.whyNot() })
      continue
    }
    take(board, spot, need.demand)
    if (need.demand.placement === 'round_robin' && need.only === undefined) {
      last = spot.index
      placed.cursor = spot.seat.name
    }
    placed.placements.push({ need, node: spot.seat.name, why: need.why })
  }
  return placed
}

/** Where room is short the higher ones come first; among equals the order in which they came. */
function byPriority(needs: readonly Need[]): readonly Need[] {
  const first = needs[0]?.demand.priority
  if (needs.every(({ demand }) => demand.priority === first)) return needs
  return needs.toSorted((a, b) => b.demand.priority - a.demand.priority)
}

/** Needs that may take the same workers in the same order. */
type Line = {
  need: Need
  next(after: number): Spot | undefined
  /** Once nobody can take it that stays so: others only take more. */
  whyNot(): string
}

function isAlike(a: Need, b: Need): boolean {
  return a.demand === b.demand && a.avoid === b.avoid && a.only === b.only
}

function lineFor(board: Board, need: Need): Line {
  const isOpen = (spot: Spot) => fits(board, spot, need)
  const queue: Queue = queueOf(board, board.spots.filter(isOpen), need)
  let why: string | undefined
  return {
    need,
    next: (after) => queue.next(after, isOpen),
    whyNot() {
      why ??= whyNowhere(board, need)
      return why
    },
  }
}
