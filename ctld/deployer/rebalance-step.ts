// Decides how a rebalance goes on: which instance is to leave its worker now, and when it is over.
// One exchange at a time; whatever goes wrong ends it, and what has not moved stays. Pure.

import { isFinal, isServing } from '#ctld/instance.ts'
import { isCurrent } from '#ctld/revision.ts'
import type { Pending } from '#ctld/snapshot.ts'
import type { Instance, Move, Rebalance } from '#shared/model.ts'
import type { Facts } from './reconcile.ts'

/** An exchange that takes longer has failed. */
export const MOVE_MS_MAX = 900_000

export type RebalanceStep = {
  rebalance: Rebalance
  /** The one that is to leave; undefined: none. */
  leaving: Move | undefined
  wakeAt: number
}

/** `pending`: what found no place when it was last planned. */
export function stepRebalance(
  was: Rebalance,
  given: { facts: Facts; pending: readonly Pending[]; pauseMs: number },
  now: number,
): RebalanceStep {
  if (was.state !== 'running') return still(was, undefined, Number.POSITIVE_INFINITY)
  const move = was.moves[was.done]
  const total = was.moves.length
  if (move === undefined) return ended(was, 'done', `${total} of ${total} moved`, now)
  const fault = faultOf(was, move, given, now)
  if (fault !== undefined) return ended(was, 'failed', `${move.service}: ${fault}`, now)
  if (was.movingSince === undefined) {
    if (was.nextAt > now) return still(was, undefined, was.nextAt)
    if (!areSeen(given.facts, move)) return still(was, undefined, Number.POSITIVE_INFINITY)
    const is = { ...was, movingSince: now, why: whyMoving(was, move) }
    return still(is, move, now + MOVE_MS_MAX)
  }
  const leaver = given.facts.instances.find(({ id }) => id === move.instance)
  if (leaver === undefined || isFinal(leaver)) {
    const { movingSince: _, ...rest } = was
    const is = { ...rest, done: was.done + 1, nextAt: now + given.pauseMs }
    return stepRebalance(is, given, now)
  }
  const overdueAt = was.movingSince + MOVE_MS_MAX
  if (overdueAt <= now) return ended(was, 'failed', `${move.service}: it took too long`, now)
  return still(was, move, overdueAt)
}

/** A worker that is silent for a moment is waited for. */
function areSeen({ nodes }: Facts, { from, to }: Move): boolean {
  const isSeen = (name: string) => nodes.some((one) => one.name === name && one.state === 'alive')
  return isSeen(from) && isSeen(to)
}

function still(rebalance: Rebalance, leaving: Move | undefined, wakeAt: number): RebalanceStep {
  return { rebalance, leaving, wakeAt }
}

function ended(was: Rebalance, state: Rebalance['state'], why: string, now: number): RebalanceStep {
  const { movingSince: _, ...rest } = was
  return still({ ...rest, state, why, finishedAt: now }, undefined, Number.POSITIVE_INFINITY)
}

/** By the user; an exchange that has been made is not undone. */
export function stopped(was: Rebalance, now: number): Rebalance {
  const why = `stopped after ${was.done} of ${was.moves.length}`
  return ended(was, 'stopped', why, now).rebalance
}

function whyMoving({ done, moves }: Rebalance, { service, from, to }: Move): string {
  return `${done + 1} of ${moves.length}: ${service} from ${from} to ${to}`
}

/** Why it does not go on, in words. */
function faultOf(
  was: Rebalance,
  move: Move,
  { facts, pending }: { facts: Facts; pending: readonly Pending[] },
  now: number,
): string | undefined {
  if (facts.frozen) return 'more than half of the workers vanished at once'
  const died = facts.nodes.find(({ downAt }) => downAt !== undefined && downAt >= was.createdAt)
  if (died !== undefined) return `${died.name} died`
  for (const name of [move.from, move.to]) {
    const state = facts.nodes.find((one) => one.name === name)?.state ?? 'gone'
    if (state === 'gone' || state === 'dead' || state === 'reviving') return `${name} is ${state}`
  }
  const service = facts.services.find(({ name }) => name === move.service)
  if (service === undefined || service.changedAt > was.createdAt) return 'it was changed meanwhile'
  const mine = facts.instances.filter((instance) => instance.service === move.service)
  const leaver = mine.find(({ id }) => id === move.instance)
  if (was.movingSince === undefined) {
    const isReady = leaver !== undefined && isServing(leaver) && isCurrent(service, leaver)
    return isReady && leaver.node === move.from ? undefined : 'its instance does not serve any more'
  }
  // Right after the controller's start everything waits, for a moment.
  const isHeld = facts.placeFrom > now
  const waits = isHeld ? undefined : pending.find((one) => one.service === move.service)
  if (waits !== undefined) return `no place: ${waits.why}`
  return faultOfExchange(mine, leaver, was.movingSince)
}

function faultOfExchange(
  mine: readonly Instance[],
  leaver: Instance | undefined,
  since: number,
): string | undefined {
  const newcomer = mine.find((one) => one.createdAt >= since && one.failure !== undefined)
  if (newcomer !== undefined) {
    return `the new instance on ${newcomer.node} failed: ${newcomer.failure?.error}`
  }
  if (leaver === undefined || leaver.state === 'terminating') return undefined
  if (isFinal(leaver)) return leaver.state === 'terminated' ? undefined : leaver.why
  return isServing(leaver) ? undefined : `its instance ${leaver.why}`
}
