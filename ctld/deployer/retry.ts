// Where instances that failed to start try again: on the same worker at first, tries 4–6 on the
// next ones of the ring, as do those whose worker may get nothing (S21). Pure.

import { TRIES_PER_NODE } from '#ctld/instance.ts'
import type { Pending } from '#ctld/snapshot.ts'
import type { Instance, Service } from '#shared/model.ts'
import { avoidedBy } from './avoid.ts'
import { type Board, giveBack, type Spot, take } from './board.ts'
import { fits, whyNowhere } from './fit.ts'
import { isAtHome } from './homes.ts'
import { type Demand, demandOf, type Need, needOf } from './need.ts'
import type { Action } from './reconcile.ts'
import { demandsOf } from './seat.ts'

export type Retries = { actions: Action[]; pending: Pending[]; wakeAt: number }

/** Each one sees on the board where those before it went. */
export function retriesOn(
  board: Board,
  service: Service,
  { mine, now }: { mine: readonly Instance[]; now: number },
): Retries {
  const retries: Retries = { actions: [], pending: [], wakeAt: Number.POSITIVE_INFINITY }
  for (const instance of mine) {
    if (!waitsForTry(instance)) continue
    if (instance.retryAt > now) {
      retries.wakeAt = Math.min(retries.wakeAt, instance.retryAt)
      continue
    }
    const spot = board.spots.find(({ seat }) => seat.name === instance.node)
    const isOpen = spot !== undefined && spot.seat.closed === undefined
    const isHome = isAtHome(service, instance)
    const stays = (instance.attempt < TRIES_PER_NODE || isHome) && isOpen
    const avoid = avoidedBy(service, mine, now)
    const only = isHome ? { only: instance.node } : {}
    const given = { why: 'retry', replaces: undefined, avoid, ...only }
    const demand = demandAgain(service, instance)
    const need: Need = { ...needOf(service, given), demand }
    const next = stays ? spot : moved(board, spot, need)
    if (next === undefined) {
      const why = `no worker for its next try: ${whyNowhere(board, need)}`
      retries.pending.push({ service: service.name, count: 1, why })
      continue
    }
    const { name: node } = next.seat
    const why = `try ${instance.attempt + 1}${stays ? '' : `, on ${node}`}`
    retries.actions.push({ kind: 'retry', instance: instance.id, node, why })
  }
  return retries
}

export function waitsForTry(instance: Instance): instance is Instance & { retryAt: number } {
  return instance.state === 'deploying' && instance.retryAt !== undefined
}

/** It takes what the revision that it runs takes, by the rules that are declared now. */
function demandAgain(service: Service, instance: Instance): Demand {
  const own = demandsOf([service])(instance)
  const declared = demandOf(service.config)
  if (own === undefined || own === declared) return declared
  const { staticPort, memory, milliCpu, isLimited } = own
  return { ...declared, staticPort, memory, milliCpu, isLimited }
}

function moved(board: Board, from: Spot | undefined, need: Need): Spot | undefined {
  // It left its place with its failure: it must not stand in its own way.
  if (from !== undefined) giveBack(board, from, need.demand)
  const next = nextAfter(board, from, need)
  const spot = next ?? from
  if (spot !== undefined) take(board, spot, need.demand)
  return next
}

/**
 * The worker after `from` in the ring that can take the need, `from` itself when there is no other;
 * one on which the service failed often only when all are such.
 */
function nextAfter(board: Board, from: Spot | undefined, need: Need): Spot | undefined {
  const open = board.spots.filter((spot) => fits(board, spot, need))
  const preferred = open.filter(({ seat }) => need.avoid.get(seat.name) !== 'often')
  const candidates = preferred.length > 0 ? preferred : open
  return candidates.find(({ index }) => index > (from?.index ?? -1)) ?? candidates[0]
}
