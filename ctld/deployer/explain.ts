// Says of every worker why a service's next instance would go there or not, in words. Pure; it
// decides nothing.

import { isFinal, isHolding } from '#ctld/instance.ts'
import type { Instance, Service } from '#shared/model.ts'
import { avoidedBy } from './avoid.ts'
import { type Board, boardOf, type Spot } from './board.ts'
import { type Criterion, compareBy, criteriaOf, decisiveOf } from './criteria.ts'
import { conditionText, fits, meets, refusalsOf, roomText, whyNowhere } from './fit.ts'
import { freeHomes } from './homes.ts'
import { type Need, needOf } from './need.ts'
import type { Facts } from './reconcile.ts'
import { seatsOf } from './seat.ts'

export type NodeExplanation = {
  node: string
  /** next: it would get the next one. possible: it could. refused: it may not. */
  verdict: 'next' | 'possible' | 'refused'
  /** 1 is the next one; null: refused. */
  order: number | null
  /** Instances of the service on it that have not ended. */
  instances: number
  /** What speaks for it. */
  why: string[]
  /** What forbids it, or what puts it behind the next one. */
  why_not: string[]
}

export type Explanation = {
  service: string
  placement: Service['config']['placement']
  /** How the next worker is chosen. */
  rule: string
  wanted: number
  /** Instances that hold a place. */
  held: number
  next: string | null
  /** Why no worker can take one; null: one can. */
  nowhere: string | null
  /** In the order of the topology. */
  nodes: NodeExplanation[]
}

export function explain(service: Service, facts: Facts, now: number): Explanation {
  const mine = facts.instances.filter((instance) => instance.service === service.name)
  const board = boardOf(seatsOf(facts))
  const need = nextNeed(service, mine, facts, now)
  const last = board.spots.findIndex(({ seat }) => seat.name === facts.cursor)
  const criteria = criteriaOf(board, need, last)
  const possible = board.spots
    .filter((spot) => fits(board, spot, need))
    .sort((a, b) => compareBy(criteria, a, b))
  return {
    service: service.name,
    placement: need.demand.placement,
    rule: ruleOf(need, facts.cursor),
    wanted: service.desired === 'running' ? service.config.concurrency : 0,
    held: mine.filter(isHolding).length,
    next: possible[0]?.seat.name ?? null,
    nowhere: possible.length === 0 ? whyNowhere(board, need) : null,
    nodes: board.spots.map((spot) => ({
      node: spot.seat.name,
      ...verdictOf(spot, { board, need, criteria, possible }),
      instances: mine.filter((one) => one.node === spot.seat.name && !isFinal(one)).length,
    })),
  }
}

function nextNeed(service: Service, mine: readonly Instance[], facts: Facts, now: number): Need {
  const nodes = new Map(facts.nodes.map((node) => [node.name, node]))
  const holders = mine.filter((one) => isHolding(one) || one.state === 'lost')
  const [only] = freeHomes(service, holders, nodes)
  return needOf(service, {
    why: 'explain',
    replaces: undefined,
    avoid: avoidedBy(service, mine, now),
    ...(only === undefined ? {} : { only }),
  })
}

type Sight = { board: Board; need: Need; criteria: readonly Criterion[]; possible: readonly Spot[] }

function verdictOf(
  spot: Spot,
  { board, need, criteria, possible }: Sight,
): Pick<NodeExplanation, 'verdict' | 'order' | 'why' | 'why_not'> {
  const refusals = refusalsOf(board, spot, need)
  const why = speakingFor(spot, need)
  if (refusals.length > 0) return { verdict: 'refused', order: null, why, why_not: refusals }
  const order = possible.indexOf(spot) + 1
  const [first, second] = possible
  if (spot !== first && first !== undefined) {
    return { verdict: 'possible', order, why, why_not: [behind(criteria, spot, first)] }
  }
  const decisive = second && decisiveOf(criteria, spot, second)
  const only = need.only === undefined ? 'is the only one that can take it' : 'has its data'
  const best = decisive === undefined ? only : decisive.text(spot)
  return { verdict: 'next', order, why: [best, ...why], why_not: [] }
}

/** `has 2 of its instances; w1 has 1 of its instances`. */
function behind(criteria: readonly Criterion[], spot: Spot, first: Spot): string {
  const decisive = decisiveOf(criteria, spot, first)
  if (decisive === undefined) return `comes after ${first.seat.name}`
  return `${decisive.text(spot)}; ${first.seat.name} ${decisive.text(first)}`
}

function speakingFor(spot: Spot, need: Need): string[] {
  const { constraints, affinity } = need.demand
  return [
    ...constraints
      .filter((condition) => meets(spot.seat, condition))
      .map((condition) => `meets the constraint ${conditionText(condition)}`),
    ...affinity
      .filter((wish) => meets(spot.seat, wish))
      .map((wish) => `fulfils the wish ${conditionText(wish)} (weight ${wish.weight})`),
    ...roomText(spot, need),
  ]
}

function ruleOf({ demand, only }: Need, cursor: string | null): string {
  if (only !== undefined) return `never moved: it goes back to ${only}, where its data is`
  const wishes = demand.affinity.length === 0 ? '' : 'the greatest weight of wishes, then '
  switch (demand.placement) {
    case 'round_robin': {
      const after = cursor === null ? '' : ` after ${cursor}`
      return `round robin: ${wishes}the fewest of its instances, then the next in the ring${after}`
    }
    case 'least_loaded':
      return `least loaded: ${wishes}the fewest instances in all, then the least busy`
    case 'spread':
      return (
        `spread: the value of ${demand.spread} with the fewest of its instances, ` +
        `then ${wishes}the fewest of its instances, then the fewest in all`
      )
  }
}
