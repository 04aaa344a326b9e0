// What decides between the workers that can take an instance, as a list: the first criterion in
// which two of them differ. queue.ts finds the same ones faster; this one is for telling. Pure.

import { type Board, copiesOf, type Spot } from './board.ts'
import type { Need } from './need.ts'
import { weightOf } from './queue.ts'
import { labelOf } from './seat.ts'

export type Criterion = {
  /** Less is better. */
  of(spot: Spot): number
  /** How the worker stands in it, in words that follow its name. */
  text(spot: Spot): string
}

/** `last`: number of the worker that got the last round-robin instance; -1: none. */
export function criteriaOf(board: Board, need: Need, last: number): Criterion[] {
  const { demand } = need
  const own = copiesOf(board, demand.service)
  const failures: Criterion = {
    of: ({ seat }) => ({ no: 0, once: 1, often: 2 })[need.avoid.get(seat.name) ?? 'no'],
    text: ({ seat }) => failureText(need.avoid.get(seat.name)),
  }
  const wishes: Criterion = {
    of: ({ seat }) => -weightOf(seat, demand),
    text: ({ seat }) => `fulfils wishes of weight ${weightOf(seat, demand)}`,
  }
  const copies: Criterion = {
    of: ({ index }) => own.get(index) ?? 0,
    text: ({ index }) => `has ${own.get(index) ?? 0} of its instances`,
  }
  const crowd: Criterion = {
    of: ({ instances }) => instances,
    text: ({ instances }) => `has ${instances} instances in all`,
  }
  switch (demand.placement) {
    case 'round_robin':
      return [failures, wishes, copies, ringFrom(board, last)]
    case 'least_loaded':
      return [failures, wishes, crowd, load, order]
    case 'spread':
      return [failures, ...zonesOf(board, need), wishes, copies, crowd, order]
  }
}

/** Negative: `a` comes before `b`. */
export function compareBy(criteria: readonly Criterion[], a: Spot, b: Spot): number {
  const decisive = decisiveOf(criteria, a, b)
  return decisive === undefined ? 0 : decisive.of(a) - decisive.of(b)
}

export function decisiveOf(
  criteria: readonly Criterion[],
  a: Spot,
  b: Spot,
): Criterion | undefined {
  return criteria.find((criterion) => criterion.of(a) !== criterion.of(b))
}

const load: Criterion = {
  of: ({ seat }) => seat.load,
  text: ({ seat }) => `is ${Math.round(seat.load * 100)} % busy`,
}

const order: Criterion = {
  of: ({ index }) => index,
  text: ({ index }) => `is number ${index + 1} of the topology`,
}

function ringFrom({ spots }: Board, last: number): Criterion {
  const after = spots[last]?.seat.name
  const from = after === undefined ? '' : ` after ${after}, which got the last one`
  const distance = ({ index }: Spot) => (index - last - 1 + spots.length) % spots.length
  return { of: distance, text: (spot) => `is number ${distance(spot) + 1} in the ring${from}` }
}

function zonesOf(board: Board, { demand }: Need): Criterion[] {
  const label = demand.spread ?? ''
  const counts = new Map<string | undefined, number>()
  for (const [index, count] of copiesOf(board, demand.service)) {
    const spot = board.spots[index]
    const value = spot && labelOf(spot.seat, label)
    counts.set(value, (counts.get(value) ?? 0) + count)
  }
  const countAt = ({ seat }: Spot) => counts.get(labelOf(seat, label)) ?? 0
  return [
    {
      of: ({ seat }) => (labelOf(seat, label) === undefined ? 1 : 0),
      text: ({ seat }) =>
        labelOf(seat, label) === undefined ? `has no label ${label}` : `has a label ${label}`,
    },
    {
      of: countAt,
      text: (spot) => `is in ${label} ${labelOf(spot.seat, label)} with ${countAt(spot)} of them`,
    },
  ]
}

function failureText(avoided: 'once' | 'often' | undefined): string {
  switch (avoided) {
    case 'often':
      return 'saw it fail 5 times or more in the last 5 minutes'
    case 'once':
      return 'saw it end badly in the last 5 minutes'
    case undefined:
      return 'did not see it fail'
  }
}
