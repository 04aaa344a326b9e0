// Whether the loss of any one worker would leave something without a place: asks the placer, for
// each worker in turn, about the instances that it has. Pure.

import { isHolding } from '#ctld/instance.ts'
import type { SpareLack } from '#ctld/snapshot.ts'
import { compare } from '#shared/compare.ts'
import type { Deployment, Instance, Service } from '#shared/model.ts'
import { NOTHING_AVOIDED } from './avoid.ts'
import { boardOf, giveBack } from './board.ts'
import { isSettled } from './deployment.ts'
import { meets } from './fit.ts'
import { needOf } from './need.ts'
import { pinnedBecause } from './pinned.ts'
import { placeOn } from './place.ts'
import { type NodeFact, type Seat, seatsOf } from './seat.ts'

export type SpareFacts = {
  services: readonly Service[]
  instances: readonly Instance[]
  nodes: readonly NodeFact[]
  deployments: { get(id: string): Deployment | undefined }
}

/** Services that are judged, sorted by name: those that run, settled, and may change their node. */
export function judgedBySpare({ services, nodes, ...facts }: SpareFacts): Service[] {
  const seats = seatsOf({ services, instances: [], nodes })
  return services
    .filter((service) => service.desired === 'running' && !isBound(service, seats))
    .filter((service) => {
      const deployment = facts.deployments.get(service.deployment)
      return deployment === undefined || isSettled(deployment)
    })
    .toSorted((a, b) => compare(a.name, b.name))
}

/** Tells what would have no place if that one of the workers were gone, by service. */
export function lookoutFrom(facts: SpareFacts): (lost: string) => SpareLack[] {
  const judged = judgedBySpare(facts)
  const held = placesOf(facts.instances)
  const board = boardOf(seatsOf(facts))
  const spots = new Map(board.spots.map((spot) => [spot.seat.name, spot]))
  return (node) => {
    const spot = spots.get(node)
    if (spot === undefined) return []
    const { seat } = spot
    spot.seat = { ...seat, closed: 'would be gone' }
    const needs = judged.flatMap((service) => {
      const need = needOf(service, { why: '', replaces: undefined, avoid: NOTHING_AVOIDED })
      return Array.from({ length: neededOf(service, held.get(service.name), node) }, () => need)
    })
    const placed = placeOn(board, needs, null)
    // The board is as it was, for the next one.
    for (const placement of placed.placements) {
      const taken = spots.get(placement.node)
      if (taken !== undefined) giveBack(board, taken, placement.need.demand)
    }
    spot.seat = seat
    const byService = Map.groupBy(placed.unplaced, ({ need }) => need.service)
    return [...byService].map(([service, unplaced]) => ({
      service,
      node,
      count: unplaced.length,
      why: unplaced[0]?.why ?? '',
    }))
  }
}

/** Its own configuration leaves it no choice: that is no shortage. */
function isBound(service: Service, seats: readonly Seat[]): boolean {
  if (pinnedBecause(service) !== undefined) return true
  const { constraints } = service.config
  const possible = seats.filter((seat) => constraints.every((one) => meets(seat, one)))
  return possible.length <= 1
}

type Held = { total: number; byNode: Map<string, number> }

function placesOf(instances: readonly Instance[]): Map<string, Held> {
  const places = new Map<string, Held>()
  for (const { service, node } of instances.filter(isHolding)) {
    const held = places.get(service) ?? { total: 0, byNode: new Map() }
    held.total += 1
    held.byNode.set(node, (held.byNode.get(node) ?? 0) + 1)
    places.set(service, held)
  }
  return places
}

/** How many of those on the node would be missed: one that is too many would not. */
function neededOf({ config }: Service, held: Held | undefined, node: string): number {
  const here = held?.byNode.get(node) ?? 0
  const elsewhere = (held?.total ?? 0) - here
  return Math.min(here, Math.max(config.concurrency - elsewhere, 0))
}
