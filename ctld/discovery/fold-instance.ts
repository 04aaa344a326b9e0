// Folds what happened to one instance into the tables, and tells of it.

import {
  type InstanceEvent,
  isCrashLoop,
  isFinal,
  nextInstance,
  stillCounts,
} from '#ctld/instance.ts'
import type { Instance, Service } from '#shared/model.ts'
import { tellNews, type World } from './world.ts'

/** Final instances that are kept for each service, newest first: failures stay visible (S25). */
export const FINAL_KEPT_MAX = 20
/** Records that are kept of all removed services together, newest first. */
export const FORMER_KEPT_MAX = 200

export function foldInstance(world: World, id: string, event: InstanceEvent, now: number): void {
  const was = world.tables.instances.get(id)
  if (was === undefined) return
  const is = nextInstance(was, event, now)
  if (is === was) return
  world.tables.instances.put(id, is)
  if (isSameToTell(was, is)) return
  tellNews(world, now, `instance.${changeOf(was, is)}`, 'instance changed', {
    instance: id,
    service: is.service,
    node: is.node,
    was: was.state,
    now: is.state,
    healthy: is.healthy,
    admitted: is.admitted,
    attempt: is.attempt,
    why: is.why,
  })
  if (is.state === 'started' && was.state !== 'started') tellOfMove(world, is)
  if (isCrashLoop(is)) {
    const text = `${is.service}: instance ${is.id} on ${is.node} crashes again and again: ${is.why}`
    world.occurrences.push({
      incident: 'service_failed',
      subject: is.service,
      what: 'begins',
      text,
    })
  }
}

function changeOf(was: Instance, is: Instance): string {
  if (is.state !== was.state || is.admitted === was.admitted) return is.state
  return is.admitted ? 'admitted' : 'withdrawn'
}

function isSameToTell(was: Instance, is: Instance): boolean {
  return (
    is.state === was.state &&
    is.healthy === was.healthy &&
    is.admitted === was.admitted &&
    is.attempt === was.attempt
  )
}

/** A service that was asked for a new instance on this node. */
export function foldPlaced(
  world: World,
  placed: { id: string; service: Service; node: string; why: string; replaces: string | undefined },
  now: number,
): void {
  const { id, service, node, why, replaces } = placed
  world.tables.instances.put(id, {
    id,
    service: service.name,
    revision: service.revision,
    deployment: service.deployment,
    node,
    state: 'deploying',
    attempt: 1,
    createdAt: now,
    changedAt: now,
    why,
    healthy: false,
    admitted: false,
    restarts: 0,
    stopTry: 0,
    ...(replaces === undefined ? {} : { replaces }),
  })
  tellNews(world, now, 'instance.deploying', 'instance placed', {
    instance: id,
    service: service.name,
    node,
    why,
  })
}

/** Forgets the old final instances, but none that still counts for its service. */
export function foldOld(world: World, now: number): void {
  const { instances, services } = world.tables
  const finals = instances.values().filter(isFinal)
  for (const [service, mine] of Map.groupBy(finals, (one) => services.get(one.service))) {
    const max = service === undefined ? FORMER_KEPT_MAX : FINAL_KEPT_MAX
    for (const instance of mine.toSorted((a, b) => b.changedAt - a.changedAt).slice(max)) {
      if (service !== undefined && stillCounts(instance, service, now)) continue
      instances.remove(instance.id)
    }
  }
}

function tellOfMove(world: World, instance: Instance): void {
  const lost = instance.replaces && world.tables.instances.get(instance.replaces)
  if (!lost) return
  const text = `${instance.service}: moved from ${lost.node} to ${instance.node}`
  world.occurrences.push({ incident: 'node_dead', subject: lost.node, what: 'note', text })
}
