// Which instances would better run on another worker, and in which order they move (one at a time).
// Each move strictly improves: first how its service is spread, then how many instances each worker
// has. Pure; what a worker may not take, fit.ts says.

import { isHolding, isServing } from '#ctld/instance.ts'
import { isCurrent } from '#ctld/revision.ts'
import { compare } from '#shared/compare.ts'
import type { Instance, Move, Service } from '#shared/model.ts'
import { NOTHING_AVOIDED, recentFailures } from './avoid.ts'
import { type Board, boardOf, copiesOf, giveBack, type Spot, take } from './board.ts'
import { isSettled } from './deployment.ts'
import { fits } from './fit.ts'
import { demandOf, needOf } from './need.ts'
import { pinnedBecause } from './pinned.ts'
import { changeOf, compareChanges, NO_CHANGE, spreadsBetter } from './rebalance-change.ts'
import { byId, type Facts, seatsOf } from './reconcile.ts'

/** Moves of one rebalance; what is left is found by the next one. */
export const MOVES_MAX = 100
/** Moves that are weighed for one plan. */
const LOOKS_MAX = 2_000_000

export type RebalancePlan = {
  moves: Move[]
  /** Services that would be spread better and are not moved, each with the reason. */
  staying: { service: string; why: string }[]
  /** There may be more to move than one rebalance does. */
  isCut: boolean
}

type Found = { service: Service; from: Spot; to: Spot; why: string }

type Look = {
  board: Board
  open: Spot[]
  /** By service, by worker: those that are still there, the newest last. */
  instances: Map<string, Instance[]>
  now: number
  looks: number
}

export function planRebalance(facts: Facts, now: number): RebalancePlan {
  const look = lookOf(facts, now)
  const plan: RebalancePlan = { moves: [], staying: [], isCut: false }
  const services = facts.services.toSorted((a, b) => compare(a.name, b.name))
  const movable = services.filter((service) => {
    const why = staysBecause(service, instancesOf(look, service), facts)
    if (why === undefined) return true
    if (why !== '' && spreadMove(look, service) !== undefined) {
      plan.staying.push({ service: service.name, why })
    }
    return false
  })
  const spreads = movable.map((service) => () => spreadMove(look, service))
  for (const step of [...spreads, () => levelMove(look, movable)]) {
    for (let move = step(); move !== undefined; move = step()) {
      if (plan.moves.length >= MOVES_MAX) return { ...plan, isCut: true }
      plan.moves.push(make(look, move))
    }
  }
  return { ...plan, isCut: look.looks > LOOKS_MAX }
}

function lookOf(facts: Facts, now: number): Look {
  const board = boardOf(seatsOf(facts))
  const open = board.spots.filter(({ seat }) => seat.closed === undefined)
  const instances = Map.groupBy(byId(facts.instances), ({ service }) => service)
  return { board, open, instances, now, looks: 0 }
}

function instancesOf(look: Look, service: Service): Instance[] {
  return look.instances.get(service.name) ?? []
}

/** '': nothing is to be said of it. */
function staysBecause(
  service: Service,
  mine: readonly Instance[],
  { deployments }: Facts,
): string | undefined {
  const { concurrency, exclusive, update } = service.config
  if (service.desired !== 'running') return ''
  const pinned = pinnedBecause(service)
  if (pinned !== undefined) return pinned
  if (exclusive || update.max_surge === 0) {
    return 'its instances may not overlap: to move one would interrupt it'
  }
  const live = mine.filter((instance) => isHolding(instance) || instance.state === 'terminating')
  const deployment = deployments.get(service.deployment)
  const isWhole =
    (deployment === undefined || isSettled(deployment)) &&
    live.length === concurrency &&
    live.every((instance) => isServing(instance) && isCurrent(service, instance))
  return isWhole ? undefined : 'it is not whole, or it is being deployed'
}

/** The move that spreads this service best; undefined: it cannot be spread better. */
function spreadMove(look: Look, service: Service): Found | undefined {
  const demand = demandOf(service.config)
  const found = look.open.flatMap((from) => {
    if (leaverOf(look, service, from) === undefined) return []
    look.looks += look.open.length
    if (look.looks > LOOKS_MAX) return []
    return look.open.flatMap((to) => {
      const change = changeOf(look.board, demand, from, to)
      return to !== from && spreadsBetter(change) ? [{ from, to, change }] : []
    })
  })
  const best = found
    .toSorted((a, b) => compareChanges(a.change, b.change))
    .find(({ to }) => takes(look, service, to))
  if (best === undefined) return undefined
  const { from, to } = best
  const own = copiesOf(look.board, service.name)
  const copies = (spot: Spot) => `${own.get(spot.index) ?? 0} on ${spot.seat.name}`
  return { service, from, to, why: `instances of it: ${copies(from)}, ${copies(to)}` }
}

/** From the fullest worker to the emptiest one, where no service is spread worse by it. */
function levelMove(look: Look, movable: readonly Service[]): Found | undefined {
  const emptiest = look.open.toSorted((a, b) => a.instances - b.instances)
  for (const from of look.open.toSorted((a, b) => b.instances - a.instances)) {
    for (const to of emptiest) {
      if (from.instances - to.instances < 2) break
      const service = movable.find((one) => {
        look.looks += 1
        if (look.looks > LOOKS_MAX || leaverOf(look, one, from) === undefined) return false
        const change = changeOf(look.board, demandOf(one.config), from, to)
        return compareChanges(change, NO_CHANGE) < 0 && takes(look, one, to)
      })
      if (service === undefined) continue
      const of = (spot: Spot) => `${spot.instances} on ${spot.seat.name}`
      return { service, from, to, why: `instances: ${of(from)}, ${of(to)}` }
    }
  }
  return undefined
}

/** The newest there; none moves twice: it would better have gone elsewhere at once. */
function leaverOf(look: Look, service: Service, { seat }: Spot): Instance | undefined {
  return instancesOf(look, service).findLast(
    ({ node, state }) => node === seat.name && state === 'started',
  )
}

/** Both copies run for a while, so it must fit beside all that is there. */
function takes(look: Look, service: Service, to: Spot): boolean {
  // A worker that was lost and is back did nothing wrong; one on which it failed did.
  if (recentFailures(service, instancesOf(look, service), look.now).has(to.seat.name)) return false
  const need = needOf(service, { why: 'rebalance', replaces: undefined, avoid: NOTHING_AVOIDED })
  return fits(look.board, to, need)
}

function make(look: Look, { service, from, to, why }: Found): Move {
  const leaver = leaverOf(look, service, from)
  if (leaver === undefined) throw new Error('a move was found and nobody is there to move')
  const demand = demandOf(service.config)
  take(look.board, to, demand)
  giveBack(look.board, from, demand)
  const left = instancesOf(look, service).filter((one) => one !== leaver)
  look.instances.set(service.name, left)
  const { name } = service
  return { instance: leaver.id, service: name, from: from.seat.name, to: to.seat.name, why }
}
