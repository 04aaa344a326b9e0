// What must hold in every history, after each step (I1, I4, I5, I8 to I11) and at its end (I2, I3).

import { isFinal, isHolding, isServing } from '#ctld/instance.ts'
import type { Snapshot } from '#ctld/snapshot.ts'
import type { Service } from '#shared/model.ts'
import { isBusy } from './data-plane.ts'
import type { Declared } from './scenario.ts'
import { halfExchanges, mixedGroups, otherPrograms } from './updates.ts'
import type { SimWorld } from './world.ts'

/** Checks the present moment; answers what is violated, in words. */
export function violationsNow(world: SimWorld): string[] {
  return [
    ...world.violations,
    ...oneOwner(world),
    ...neverTooMany(world),
    ...updatesNow(world),
    ...onlyLive(world),
    ...noneUnderRequests(world),
  ]
}

/** I5: no instance runs twice, on one machine or on two. */
function oneOwner(world: SimWorld): string[] {
  const seen = new Map<string, string>()
  const violations: string[] = []
  for (const { name, machine } of world.agents.values()) {
    for (const program of machine.running()) {
      if (!program.isRunning) continue
      const other = seen.get(program.id)
      if (other !== undefined) violations.push(`I5: ${program.id} runs on ${other} and on ${name}`)
      seen.set(program.id, name)
    }
  }
  return violations
}

/** A whole group starts beside the other for a way back; for a switch a third one is kept. */
function surgeOf({ deployments }: Snapshot, { config, deployment }: Service): number {
  const isBack = deployments.some(({ id, kind }) => id === deployment && kind === 'revert')
  const { concurrency, update } = config
  if (update.strategy === 'blue_green') return 2 * concurrency
  return isBack ? concurrency : update.max_surge
}

/** I1: never more than `concurrency` serve, nor are held beyond the one that takes over (Q03). */
function neverTooMany(world: SimWorld): string[] {
  const snapshot = snapshotOf(world)
  if (snapshot === undefined) return []
  return snapshot.configured_services.flatMap((service) => {
    const { name, config, desired } = service
    const mine = snapshot.instances.filter((instance) => instance.service === name)
    const holding = mine.filter(isHolding).length
    const limit = desired === 'running' ? config.concurrency + surgeOf(snapshot, service) : 0
    const route = world.controller.dataPlane.table.routes.find(({ service }) => service === name)
    const routed = route?.targets.length ?? 0
    return [
      ...(holding > limit ? [`I1: ${name} holds ${holding}, allowed are ${limit}`] : []),
      ...(routed > config.concurrency
        ? [`I1: ${name} has ${routed} routes, concurrency is ${config.concurrency}`]
        : []),
    ]
  })
}

/** I4: the balancer routes to nothing that is known not to serve. */
function onlyLive(world: SimWorld): string[] {
  const snapshot = snapshotOf(world)
  if (snapshot === undefined) return []
  const serving = new Map(snapshot.instances.map((instance) => [instance.id, instance]))
  const down = new Set(
    snapshot.nodes
      .filter(({ state }) => state === 'dead' || state === 'reviving')
      .map(({ name }) => name),
  )
  return world.controller.dataPlane.table.routes.flatMap(({ service, targets }) =>
    targets.flatMap((target) => {
      const instance = serving.get(target.instance)
      if (instance === undefined || !isServing(instance)) {
        return [
          `I4: ${service} routes to ${target.instance}, which is ${instance?.state ?? 'gone'}`,
        ]
      }
      return down.has(instance.node)
        ? [`I4: ${service} routes to ${instance.node}, which is dead`]
        : []
    }),
  )
}

/** I10, I11: by the tables that followed each other. */
function updatesNow(world: SimWorld): string[] {
  const snapshot = snapshotOf(world)
  const { dataPlane } = world.controller
  const { table, checked } = dataPlane
  if (snapshot === undefined || table === checked) return []
  dataPlane.checked = table
  return [...halfExchanges(checked, table, snapshot), ...mixedGroups(table, snapshot)]
}

/** I9: none is stopped in the belief that it has no request, while it has, whoever sent that. */
function noneUnderRequests(world: SimWorld): string[] {
  const instances = snapshotOf(world)?.instances ?? []
  return instances
    .filter(({ state, stopTry }) => state === 'terminating' && stopTry > 0)
    .filter(
      ({ id, why }) => why === 'no request in flight' && isBusy(world.controller.dataPlane, id),
    )
    .map(({ id }) => `I9: ${id} is stopped while it has requests in flight`)
}

/** I3: what was acknowledged is there, or something that was asked for later is. */
export function lostPromises(world: SimWorld, declared: ReadonlyMap<string, Declared>): string[] {
  const snapshot = snapshotOf(world)
  if (snapshot === undefined) return []
  return [...declared].flatMap(([name, { acknowledged, maybe }]) => {
    const service = snapshot.configured_services.find((one) => one.name === name)
    const is =
      service === undefined || service.desired === 'removed'
        ? 'absent'
        : `${service.desired} ${service.config.concurrency} ${service.config.env.V ?? ''}`
    return is === acknowledged || maybe.includes(is) || isReverted(snapshot, name, is)
      ? []
      : [`I3: ${name} is "${is}", acknowledged was "${acknowledged}"`]
  })
}

/** A deployment that failed is undone without being asked: then an earlier one counts again. */
function isReverted({ deployments }: Snapshot, name: string, is: string): boolean {
  const wasUndone = deployments.some(({ service, kind }) => service === name && kind === 'revert')
  return wasUndone && !is.startsWith('absent')
}

/** I2: exactly what is declared serves, and nothing else runs. */
export function unsettled(world: SimWorld): string[] {
  const snapshot = snapshotOf(world)
  if (snapshot === undefined) return ['I2: the controller does not run']
  const open = snapshot.nodes.some(({ state, drained }) => state === 'alive' && !drained)
  const missing = snapshot.configured_services.flatMap(({ name, config, desired }) => {
    const wanted = desired === 'running' ? config.concurrency : 0
    const serving = snapshot.instances.filter(
      (instance) => instance.service === name && isServing(instance),
    ).length
    const routes = world.controller.dataPlane.table.routes.find(({ service }) => service === name)
    const routed = routes?.targets.length ?? 0
    return (serving === wanted && routed === wanted) || (!open && wanted > 0)
      ? []
      : [`I2: ${name} serves ${serving} (${routed} routed) of ${wanted}`]
  })
  const notAlive = snapshot.nodes
    .filter(({ state }) => state !== 'alive')
    .map(({ name, state }) => `I2: ${name} is ${state}`)
  return [...missing, ...notAlive, ...otherPrograms(snapshot), ...strangers(world, snapshot)]
}

/** Programs that no live instance of their node explains, and instances without a program. */
function strangers(world: SimWorld, snapshot: Snapshot): string[] {
  const live = new Map(
    snapshot.instances
      .filter((instance) => !isFinal(instance))
      .map((instance) => [instance.id, instance]),
  )
  const running = new Set<string>()
  const violations: string[] = []
  for (const { name, machine } of world.agents.values()) {
    for (const program of machine.running()) {
      running.add(program.id)
      if (live.get(program.id)?.node !== name) {
        violations.push(`I2: ${program.id} runs on ${name} and nobody wants it`)
      }
    }
  }
  for (const { id, node } of live.values()) {
    if (!running.has(id)) violations.push(`I2: ${id} is said to live on ${node}, nothing runs`)
  }
  return violations
}

/** undefined: it does not run, or is between deciding and acting, when table and view differ. */
export function snapshotOf(world: SimWorld): Snapshot | undefined {
  const { committing, life } = world.controller
  if (life === undefined || committing === life) return undefined
  try {
    return world.controller.ctld?.snapshot()
  } catch {
    // It is still loading its state.
    return undefined
  }
}
