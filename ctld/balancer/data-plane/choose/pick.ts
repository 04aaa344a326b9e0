// Decides which of a service's instances takes the next request (Q10). Synchronous, and without
// dice or clock of its own: the state between two choices belongs to the caller. A choice
// allocates nothing: it is made once for every request.

import type { BalanceRule } from '#shared/configuration.ts'
import { createRing, isRingOf, pointFor, type Ring } from './ring.ts'

/** What a choice knows of an instance. */
export type Candidate = { instance: string; weight: number }

/** What one choice leaves for the next; one per service. */
export type PickState = {
  /** The list that the rest is about, by position. */
  list: readonly Candidate[]
  /** Smooth weighted round robin: the current weight of each. */
  current: Float64Array
  /** Round robin: who had the last turn. -1: nobody yet. */
  turn: number
  /** Room for the positions of those who may be chosen; says nothing between two choices. */
  eligible: Int32Array
  /** Made by the first choice that needs it. */
  ring: Ring | undefined
}

export type Circumstances<T> = {
  /** May this one not be chosen now? */
  isExcluded(candidate: T): boolean
  /** Requests that it has under way. */
  inFlight(candidate: T): number
  /** A number in [0, 1). */
  random(): number
  /** Its weight of the moment, above 0, while it starts slowly. Absent: `weight`. */
  weightOf?(candidate: T): number
}

export function newPickState(): PickState {
  return {
    list: [],
    current: new Float64Array(0),
    turn: -1,
    eligible: new Int32Array(0),
    ring: undefined,
  }
}

/**
 * The state for a new list of the same service's instances, which keeps its turn. A current weight
 * may be as far from zero as the sum of the weights was; it is cut to the new sum, or an instance
 * would have to catch up for a time that nobody remembers.
 */
export function carryOver(state: PickState, candidates: readonly Candidate[]): PickState {
  const sum = candidates.reduce((total, { weight }) => total + weight, 0)
  const before = new Map(state.list.map(({ instance }, at) => [instance, state.current[at] ?? 0]))
  const last = state.list[state.turn]?.instance
  const after = candidates.findIndex(({ instance }) => last !== undefined && instance > last)
  return {
    list: candidates,
    current: Float64Array.from(candidates, ({ instance }) =>
      Math.min(Math.max(before.get(instance) ?? 0, -sum), sum),
    ),
    // By name and not by position, so that a new list does not shift the turn.
    turn: last === undefined ? -1 : (after === -1 ? candidates.length : after) - 1,
    eligible: new Int32Array(candidates.length),
    ring: state.ring !== undefined && isRingOf(state.ring, candidates) ? state.ring : undefined,
  }
}

/**
 * undefined: all are excluded. `candidates` is sorted by instance and is the same array as long as
 * nothing in it changes. Changes `state`. `key`: what `hash` goes by; without one the choice is
 * that of `least_request`.
 */
export function pick<T extends Candidate>(
  rule: BalanceRule,
  candidates: readonly T[],
  state: PickState,
  seen: Circumstances<T>,
  key?: string,
): T | undefined {
  if (state.list !== candidates) Object.assign(state, carryOver(state, candidates))
  if (rule === 'hash' && key !== undefined) return ownerOf(key, candidates, state, seen)
  const count = gatherEligible(candidates, state, seen)
  if (count <= 1) return count === 0 ? undefined : candidates[state.eligible[0] as number]
  switch (rule) {
    case 'weighted_round_robin':
      return candidates[smooth(candidates, state, seen, count)]
    case 'round_robin':
      return candidates[nextInTurn(state, count)]
    case 'least_request':
    case 'least_loaded':
    case 'hash':
      // All the least loaded: an idle service would else send everything to the first by name.
      return candidates[smooth(candidates, state, seen, keepLeast(candidates, state, seen, count))]
    case 'p2c':
      return candidates[betterOfTwo(candidates, state, seen, count)]
  }
}

function gatherEligible<T extends Candidate>(
  candidates: readonly T[],
  { eligible }: PickState,
  seen: Circumstances<T>,
): number {
  let count = 0
  for (let at = 0; at < candidates.length; at += 1) {
    if (seen.isExcluded(candidates[at] as T)) continue
    eligible[count] = at
    count += 1
  }
  return count
}

// As in nginx: each earns its weight, the richest pays the sum. In a cycle of as many requests as
// the weights add up to, each gets its weight, spread as evenly as can be.
function smooth<T extends Candidate>(
  candidates: readonly T[],
  { eligible, current }: PickState,
  seen: Circumstances<T>,
  count: number,
): number {
  let sum = 0
  let best = -1
  let most = Number.NEGATIVE_INFINITY
  for (let index = 0; index < count; index += 1) {
    const at = eligible[index] as number
    const weight = weightOf(candidates[at] as T, seen)
    const earned = (current[at] as number) + weight
    current[at] = earned
    sum += weight
    if (earned > most) {
      most = earned
      best = at
    }
  }
  current[best] = most - sum
  return best
}

function nextInTurn(state: PickState, count: number): number {
  const { eligible } = state
  let next = eligible[0] as number
  for (let index = 0; index < count; index += 1) {
    const at = eligible[index] as number
    if (at <= state.turn) continue
    next = at
    break
  }
  state.turn = next
  return next
}

/** Leaves only those in `eligible` who have the fewest requests under way for their weight. */
function keepLeast<T extends Candidate>(
  candidates: readonly T[],
  { eligible }: PickState,
  seen: Circumstances<T>,
  count: number,
): number {
  let least = Number.POSITIVE_INFINITY
  let kept = 0
  for (let index = 0; index < count; index += 1) {
    const at = eligible[index] as number
    const load = loadOf(candidates[at] as T, seen)
    if (load > least) continue
    if (load < least) kept = 0
    least = load
    eligible[kept] = at
    kept += 1
  }
  return kept
}

function betterOfTwo<T extends Candidate>(
  candidates: readonly T[],
  { eligible }: PickState,
  seen: Circumstances<T>,
  count: number,
): number {
  const first = Math.floor(seen.random() * count)
  const other = Math.floor(seen.random() * (count - 1))
  const one = eligible[first] as number
  const two = eligible[other < first ? other : other + 1] as number
  const isTwoBetter = loadOf(candidates[two] as T, seen) < loadOf(candidates[one] as T, seen)
  return isTwoBetter ? two : one
}

/** Whoever owns the key's place on the ring; when that one is excluded, the next who is not. */
function ownerOf<T extends Candidate>(
  key: string,
  candidates: readonly T[],
  state: PickState,
  seen: Circumstances<T>,
): T | undefined {
  state.ring ??= createRing(candidates)
  const { owners } = state.ring
  const start = pointFor(state.ring, key)
  const owner = candidates[owners[start] as number]
  if (owner === undefined || !seen.isExcluded(owner)) return owner
  // Around the ring only when somebody will be found there.
  const count = gatherEligible(candidates, state, seen)
  if (count <= 1) return count === 0 ? undefined : candidates[state.eligible[0] as number]
  for (let step = 1; step < owners.length; step += 1) {
    const next = candidates[owners[(start + step) % owners.length] as number] as T
    if (!seen.isExcluded(next)) return next
  }
  return undefined
}

function loadOf<T extends Candidate>(candidate: T, seen: Circumstances<T>): number {
  return seen.inFlight(candidate) / weightOf(candidate, seen)
}

function weightOf<T extends Candidate>(candidate: T, seen: Circumstances<T>): number {
  return seen.weightOf === undefined ? candidate.weight : seen.weightOf(candidate)
}
