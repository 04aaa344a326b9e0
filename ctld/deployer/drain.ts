// What a drain needs and what holds it up: whether the other workers can hold what is on one, and
// why each instance is still there. Pure.

import { isFinal, isHolding, isServing } from '#ctld/instance.ts'
import type { Pending } from '#ctld/snapshot.ts'
import type { Instance, Service } from '#shared/model.ts'
import { avoidedBy } from './avoid.ts'
import { needOf } from './need.ts'
import { pinnedBecause } from './pinned.ts'
import { place } from './place.ts'
import { type Action, byId, type Facts, seatsOf } from './reconcile.ts'

/** An instance that is still on a worker that is being drained, and why. */
export type HoldUp = {
  instance: string
  service: string
  why: string
  /** Nothing is under way that would end it. */
  isStuck: boolean
}

/** Services with instances on the worker that the others have no room for. */
export function unplaceable(facts: Facts, node: string, now: number): Pending[] {
  const nodes = facts.nodes.map((one) => (one.name === node ? { ...one, drained: true } : one))
  const services = new Map(facts.services.map((service) => [service.name, service]))
  const needs = byId(facts.instances).flatMap((instance) => {
    const service = services.get(instance.service)
    const goes = instance.node === node && isHolding(instance) && service?.desired === 'running'
    if (!goes || pinnedBecause(service) !== undefined) return []
    const mine = facts.instances.filter((one) => one.service === service.name)
    const avoid = avoidedBy(service, mine, now)
    return [needOf(service, { why: 'drain', replaces: undefined, avoid })]
  })
  const { unplaced } = place(needs, seatsOf({ ...facts, nodes }), facts.cursor)
  const groups = Map.groupBy(unplaced, ({ need, why }) => `${need.service} ${why}`)
  return [...groups.values()].map((group) => ({
    service: group[0]?.need.service ?? '',
    count: group.length,
    why: group[0]?.why ?? '',
  }))
}

/** What is left on workers whose drain was forced and is over. */
export function evictionsOf(facts: Facts, now: number): { actions: Action[]; wakeAt: number } {
  const result = { actions: [] as Action[], wakeAt: Number.POSITIVE_INFINITY }
  const until = new Map(facts.nodes.map(({ name, forcedUntil }) => [name, forcedUntil]))
  if (facts.nodes.every(({ forcedUntil }) => forcedUntil === undefined)) return result
  for (const { id, node } of byId(facts.instances.filter(isHolding))) {
    const stopsAt = until.get(node)
    if (stopsAt === undefined) continue
    const why = `the drain of ${node} is over, by force`
    if (stopsAt <= now) result.actions.push({ kind: 'terminate', instance: id, why })
    else result.wakeAt = Math.min(result.wakeAt, stopsAt)
  }
  return result
}

/** All that is still on it, sorted by id. */
export function holdUps(facts: Facts, node: string, pending: readonly Pending[]): HoldUp[] {
  const services = new Map(facts.services.map((service) => [service.name, service]))
  const isForced = facts.nodes.some((one) => one.name === node && one.forcedUntil !== undefined)
  const here = facts.instances.filter((one) => one.node === node && !isFinal(one))
  const byService = Map.groupBy(facts.instances, ({ service }) => service)
  return byId(here).flatMap((instance) => {
    // Nothing runs there that one could wait for.
    if (instance.state === 'lost') return []
    const mine = byService.get(instance.service) ?? []
    const given = { service: services.get(instance.service), mine, pending, isForced }
    const { why, isStuck } = whyThere(instance, given)
    return [{ instance: instance.id, service: instance.service, why, isStuck }]
  })
}

function whyThere(
  instance: Instance,
  given: {
    service: Service | undefined
    mine: readonly Instance[]
    pending: readonly Pending[]
    isForced: boolean
  },
): { why: string; isStuck: boolean } {
  const { service, mine, pending, isForced } = given
  if (instance.state === 'terminating' || instance.state === 'pre_terminating') {
    const why = instance.stopTry === 0 ? 'requests are still in flight' : 'it is stopping'
    return { why, isStuck: false }
  }
  const pinned = isForced ? undefined : service && pinnedBecause(service)
  if (pinned !== undefined) return { why: `${pinned}: it stays unless it is forced`, isStuck: true }
  const waits = pending.find((one) => one.service === instance.service)
  if (waits !== undefined) return { why: `no place elsewhere: ${waits.why}`, isStuck: false }
  const newcomer = mine.find((one) => one.node !== instance.node && isStarting(one))
  if (newcomer !== undefined) {
    const failed = newcomer.failure === undefined ? '' : ` (${newcomer.why})`
    const why = `the one on ${newcomer.node} that takes its place is starting${failed}`
    return { why, isStuck: false }
  }
  return { why: 'it waits for its turn', isStuck: false }
}

function isStarting(instance: Instance): boolean {
  return isHolding(instance) && !(isServing(instance) && instance.admitted)
}

/** `api ×2 (no place elsewhere: …), db (it is sticky …)`, for people. */
export function holdUpsText(holds: readonly HoldUp[]): string {
  const groups = Map.groupBy(holds, ({ service, why }) => `${service} ${why}`)
  return [...groups.values()]
    .map((group) => {
      const times = group.length === 1 ? '' : ` ×${group.length}`
      return `${group[0]?.service}${times} (${group[0]?.why})`
    })
    .join(', ')
}
