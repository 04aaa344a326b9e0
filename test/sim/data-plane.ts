// The data plane's program in the simulator. It outlives the controller: it keeps the last table
// and the requests in flight, and names to the next controller what it may have requests for.

import type { DataPlane, Observation, RouteTable } from '#ctld/ports.ts'
import type { Life } from './life.ts'
import type { Sabotage, SimWorld } from './world.ts'

export type SimDataPlane = {
  table: RouteTable
  /** The one that the invariants looked at last. */
  checked: RouteTable
  /** Instances that left the table and have requests in flight. */
  draining: Map<string, symbol>
  /** The controller that it is connected with, or was: a dead one hears nothing. */
  tell: (observation: Observation) => void
}

export function newDataPlane(): SimDataPlane {
  const table = { version: 0, routes: [] }
  return { table, checked: table, draining: new Map(), tell: () => {} }
}

/** A controller begins a life. */
export function connectDataPlane(
  world: SimWorld,
  life: Life,
  sabotage: Sabotage | undefined,
): DataPlane {
  const plane = world.controller.dataPlane
  return {
    publish(table) {
      const before = targetsOf(plane.table)
      if (sabotage === 'keeps routes of dead instances' && before.size > 0) {
        plane.table = { ...table, routes: plane.table.routes }
        return
      }
      plane.table = structuredClone(sabotaged(sabotage, plane.table, table))
      const after = targetsOf(table)
      for (const instance of after) plane.draining.delete(instance)
      for (const instance of before) if (!after.has(instance)) drain(world, plane, instance)
    },
    observe(listener) {
      plane.tell = (observation) => {
        life.guard(Promise.resolve()).then(() => listener(observation))
      }
      if (sabotage === 'forgets the requests of a former controller') return
      const there = [...targetsOf(plane.table), ...plane.draining.keys()].sort()
      for (const instance of there) listener({ kind: 'routed', instance })
    },
    counters: () => life.guard(world.counted(plane.table)),
    inForce: () => life.guard(Promise.resolve(true)),
  }
}

/** What a balancer with a fault of this kind would make of a table that it is given. */
function sabotaged(
  sabotage: Sabotage | undefined,
  before: RouteTable,
  after: RouteTable,
): RouteTable {
  if (sabotage !== 'exchanges in two steps' && sabotage !== 'switches half of a group') return after
  const routes = after.routes.map((route) => {
    const were = before.routes.find(({ service }) => service === route.service)?.targets ?? []
    const old = new Set(were.map(({ instance }) => instance))
    const stay = route.targets.filter(({ instance }) => old.has(instance))
    if (sabotage === 'exchanges in two steps') {
      return stay.length > 0 && old.size > stay.length ? { ...route, targets: stay } : route
    }
    const isSwitch = stay.length === 0 && were.length > 1 && route.targets.length > 1
    return isSwitch ? { ...route, targets: [...were.slice(1), ...route.targets.slice(-1)] } : route
  })
  return { ...after, routes }
}

/** Its last request takes a while, whoever lives meanwhile. */
function drain(world: SimWorld, plane: SimDataPlane, instance: string): void {
  const turn = Symbol(instance)
  plane.draining.set(instance, turn)
  world.clock.after(world.requestMs(), () => {
    // It may have come back into the table, and left it again.
    if (plane.draining.get(instance) !== turn) return
    plane.draining.delete(instance)
    plane.tell({ kind: 'drained', instance })
  })
}

/** May it have requests in flight? */
export function isBusy({ draining, table }: SimDataPlane, instance: string): boolean {
  return draining.has(instance) || targetsOf(table).has(instance)
}

function targetsOf(table: RouteTable): Set<string> {
  return new Set(table.routes.flatMap(({ targets }) => targets.map(({ instance }) => instance)))
}
