// A working copy of the seats that one plan fills as it decides, so that each decision sees the
// ones before it.

import type { Demand } from './need.ts'
import type { Seat } from './seat.ts'

/** One worker, and what is taken of it by now. */
export type Spot = {
  seat: Seat
  /** Its number in the topology. */
  index: number
  instances: number
  memory: number
  milliCpu: number
  ports: Set<number>
}

export type Board = {
  spots: Spot[]
  /** By service: instances on the spot of that number; no entry: none. */
  copies: Map<string, Map<number, number>>
}

export function boardOf(seats: readonly Seat[]): Board {
  const spots = seats.map((seat, index) => {
    const { instanceCount: instances, memory, milliCpu } = seat
    return { seat, index, instances, memory, milliCpu, ports: new Set(seat.ports) }
  })
  return { spots, copies: new Map() }
}

export function copiesOf({ spots, copies }: Board, service: string): Map<number, number> {
  const known = copies.get(service)
  if (known !== undefined) return known
  const own = new Map<number, number>()
  for (const { seat, index } of spots) {
    const count = seat.counts.get(service)
    if (count !== undefined) own.set(index, count)
  }
  copies.set(service, own)
  return own
}

export function take(board: Board, spot: Spot, demand: Demand): void {
  const own = copiesOf(board, demand.service)
  own.set(spot.index, (own.get(spot.index) ?? 0) + 1)
  spot.instances += 1
  spot.memory += demand.memory
  spot.milliCpu += demand.milliCpu
  if (demand.staticPort !== undefined) spot.ports.add(demand.staticPort)
}

/** Undoes `take`. With a static port there is no second one of it on the worker. */
export function giveBack(board: Board, spot: Spot, demand: Demand): void {
  const own = copiesOf(board, demand.service)
  own.set(spot.index, Math.max((own.get(spot.index) ?? 0) - 1, 0))
  spot.instances -= 1
  spot.memory -= demand.memory
  spot.milliCpu -= demand.milliCpu
  if (demand.staticPort !== undefined) spot.ports.delete(demand.staticPort)
}
