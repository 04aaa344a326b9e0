// Follows each deployment to its end, and each service until it counts as well again.

import type { Deployment, Service } from '#shared/model.ts'
import { isSettled, nextDeployment, watchedUntil } from './deployer/deployment.ts'
import { pinnedBecause } from './deployer/pinned.ts'
import { foldGood } from './discovery/fold-verdict.ts'
import { factsOf, tellNews, type World } from './discovery/world.ts'
import { hasPlace, isServing } from './instance.ts'
import { isCurrent } from './revision.ts'

/** How long a service must have been whole before its incident is over. */
export const WELL_AFTER_MS = 60_000

/** Answers when something of it changes by time alone. */
export function followDeployments(world: World, now: number): number {
  const { deployments, services, instances } = world.tables
  const open = deployments.values().filter((deployment) => !isSettled(deployment))
  const byService = Map.groupBy(instances.values(), (instance) => instance.service)
  let wakeAt = Number.POSITIVE_INFINITY
  for (const was of open) {
    const service = services.get(was.service)
    const mine = byService.get(was.service) ?? []
    const is = nextDeployment(was, service, mine, now)
    wakeAt = Math.min(wakeAt, watchedUntil(is, service))
    if (is === was) continue
    deployments.put(was.id, is)
    if (is.state === was.state) continue
    tellOfDeployment(world, is, now)
    if (is.state === 'complete_running' && hasRun(service)) foldGood(world, is)
    // What is kept for a way back may go now: the planner has to look again.
    if (isSettled(is)) wakeAt = now
  }
  return Math.min(wakeAt, noteWell(world, now))
}

/** Where nothing was to run, nothing has proven itself. */
function hasRun(service: Service | undefined): boolean {
  return service?.desired === 'running' && service.config.concurrency > 0
}

/** What is never moved waits for its worker, however long: somebody has to know. */
export function tellOfStranded(world: World): void {
  const { services, instances } = world.tables
  for (const { service: name, node, state } of instances.values()) {
    const service = state === 'lost' ? services.get(name) : undefined
    const pinned = service?.desired === 'running' ? pinnedBecause(service) : undefined
    if (pinned === undefined) continue
    const text = `${name}: its instance on ${node} waits for that worker: ${pinned}`
    world.occurrences.push({ incident: 'service_failed', subject: name, what: 'begins', text })
  }
}

/** Ends the incidents of services that are well for good; answers when the next one is. */
function noteWell(world: World, now: number): number {
  let wakeAt = Number.POSITIVE_INFINITY
  for (const incident of factsOf(world).incidents) {
    if (incident.kind !== 'service_failed') continue
    for (const name of incident.subjects) {
      if (incident.over.includes(name)) continue
      const wellAt = wellSince(world, name) + WELL_AFTER_MS
      const text = `${name} is whole again`
      if (wellAt > now) wakeAt = Math.min(wakeAt, wellAt)
      else world.occurrences.push({ incident: 'service_failed', subject: name, what: 'ends', text })
    }
  }
  return wakeAt
}

/** Since when a service has all that it declares; Infinity: it has not. */
function wellSince(world: World, name: string): number {
  const service = world.tables.services.get(name)
  if (service === undefined || service.desired !== 'running') return Number.NEGATIVE_INFINITY
  const serving = world.tables.instances
    .values()
    .filter((instance) => instance.service === name && isServing(instance))
    .filter((instance) => hasPlace(instance) && isCurrent(service, instance))
  if (serving.length < service.config.concurrency) return Number.POSITIVE_INFINITY
  return Math.max(0, ...serving.map((instance) => instance.changedAt))
}

function tellOfDeployment(world: World, deployment: Deployment, now: number): void {
  const { id, service, state, why, failure } = deployment
  tellNews(world, now, `deployment.${state}`, 'deployment changed', {
    deployment: id,
    service,
    state,
    why,
  })
  if (state !== 'incomplete_running') return
  const probe = failure?.last_probe === undefined ? '' : `; last probe: ${failure.last_probe}`
  const text = `${service}: the deployment failed (${why}): ${failure?.error ?? ''}${probe}`
  world.occurrences.push({ incident: 'service_failed', subject: service, what: 'begins', text })
}
