// Decides which of a service's instances takes the next request (Q10). Synchronous, and without
// dice of its own: the state between two picks and the dice belong to the caller.

import type { BalanceRule } from '#shared/configuration.ts'

/** What a choice knows of an instance. */
export type Candidate = { instance: string; weight: number }

/** What one choice leaves for the next; one per service. */
export type PickState = {
  /** Smooth weighted round robin: the current weight of each instance. */
  current: Map<string, number>
  /** Round robin: the instance that had the last turn. */
  last: string
}

export type Circumstances<T> = {
  /** May this one not be chosen now? */
  isExcluded(candidate: T): boolean
  /** Requests that it has under way. */
  inFlight(candidate: T): number
  /** A number in [0, 1). */
  random(): number
}

export function newPickState(): PickState {
  return { current: new Map(), last: '' }
}

/**
 * The state for a new list of the same service's instances, which keeps its turn. A current weight
 * may be as far from zero as the sum of the weights was; it is cut to the new sum, or an instance
 * would have to catch up for a time that nobody remembers.
 */
export function carryOver(state: PickState, candidates: readonly Candidate[]): PickState {
  const sum = candidates.reduce((total, { weight }) => total + weight, 0)
  const current = candidates.map(({ instance }): [string, number] => {
    const weight = state.current.get(instance) ?? 0
    return [instance, Math.min(Math.max(weight, -sum), sum)]
  })
  return { current: new Map(current), last: state.last }
}

/** undefined: all are excluded. `candidates` is sorted by instance. Changes `state`. */
export function pick<T extends Candidate>(
  rule: BalanceRule,
  candidates: readonly T[],
  state: PickState,
  seen: Circumstances<T>,
): T | undefined {
  const eligible = eligibleOf(candidates, seen)
  if (eligible.length <= 1) return eligible[0]
  switch (rule) {
    case 'weighted_round_robin':
      return smooth(eligible, state)
    case 'round_robin':
      return nextInTurn(eligible, state)
    case 'least_loaded':
      return smooth(leastLoaded(eligible, seen), state)
    case 'p2c':
      return betterOfTwo(eligible, seen)
  }
}

// The usual case, that nobody is excluded, needs no new list.
function eligibleOf<T extends Candidate>(candidates: readonly T[], seen: Circumstances<T>) {
  const isFree = (candidate: T) => !seen.isExcluded(candidate)
  return candidates.every(isFree) ? candidates : candidates.filter(isFree)
}

// As in nginx: each earns its weight, the richest pays the sum. In a cycle of as many requests as
// the weights add up to, each gets its weight, spread as evenly as can be.
function smooth<T extends Candidate>(eligible: readonly T[], state: PickState): T | undefined {
  let sum = 0
  let best: T | undefined
  let most = Number.NEGATIVE_INFINITY
  for (const candidate of eligible) {
    const earned = (state.current.get(candidate.instance) ?? 0) + candidate.weight
    state.current.set(candidate.instance, earned)
    sum += candidate.weight
    if (earned > most) {
      most = earned
      best = candidate
    }
  }
  if (best !== undefined) state.current.set(best.instance, most - sum)
  return best
}

// By name and not by position, so that a new list does not shift the turn.
function nextInTurn<T extends Candidate>(eligible: readonly T[], state: PickState): T | undefined {
  const next = eligible.find(({ instance }) => instance > state.last) ?? eligible[0]
  if (next !== undefined) state.last = next.instance
  return next
}

// All the least loaded: an idle service would else send everything to the first by name.
function leastLoaded<T extends Candidate>(eligible: readonly T[], seen: Circumstances<T>): T[] {
  let least = Number.POSITIVE_INFINITY
  let found: T[] = []
  for (const candidate of eligible) {
    const load = loadOf(candidate, seen)
    if (load > least) continue
    if (load < least) found = []
    least = load
    found.push(candidate)
  }
  return found
}

function betterOfTwo<T extends Candidate>(
  eligible: readonly T[],
  seen: Circumstances<T>,
): T | undefined {
  const first = Math.floor(seen.random() * eligible.length)
  const other = Math.floor(seen.random() * (eligible.length - 1))
  const one = eligible[first]
  const two = eligible[other < first ? other : other + 1]
  if (one === undefined || two === undefined) return one ?? two
  return loadOf(two, seen) < loadOf(one, seen) ? two : one
}

function loadOf<T extends Candidate>(candidate: T, seen: Circumstances<T>): number {
  return seen.inFlight(candidate) / candidate.weight
}
