// Folds what became of a deployment into the tables: it proved its revision good, or it is undone
// by another one that goes back to the revision that was.

import { withGood } from '#ctld/revision.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Deployment, DeployReceipt } from '#shared/model.ts'
import { refuseConflicts } from './fold-service.ts'
import { putService } from './put-service.ts'
import { tellNews, type World } from './world.ts'

/** From now on a revert goes back to its revision. */
export function foldGood(world: World, { service: name, revision }: Deployment): void {
  const service = world.tables.services.get(name)
  if (service !== undefined) world.tables.services.put(name, withGood(service, revision))
}

/** Ends the deployment and begins the one that undoes it. */
export function foldRevert(world: World, { id, failed, why, failure }: Revert, now: number): void {
  const service = world.tables.services.get(failed.service)
  const to = service?.revisions.find(({ revision }) => revision === service.goodRevision)
  if (service === undefined || to === undefined) return
  const hindrance = conflictOf(world, to.config)
  const isBack = hindrance === undefined
  const { failure: _, ...rest } = failed
  const words = isBack ? `${why}; back to revision ${to.revision}` : `${why}; ${hindrance}`
  const ended: Deployment = {
    ...rest,
    state: isBack ? 'reverted' : 'incomplete_running',
    why: words,
    finishedAt: now,
    ...(failure === undefined ? {} : { failure }),
    ...(isBack ? { revertedBy: id } : {}),
  }
  world.tables.deployments.put(failed.id, ended)
  if (isBack) {
    const { config } = to
    const revertOf = failed.id
    const change = { was: service, config, desired: 'running', kind: 'revert', id, to } as const
    putService(world, { ...change, revertOf }, now)
  }
  const { service: name, revision } = failed
  const fields = { deployment: failed.id, service: name, state: ended.state, why: words }
  tellNews(world, now, `deployment.${ended.state}`, 'deployment changed', fields)
  const probe = failure?.last_probe === undefined ? '' : `; last probe: ${failure.last_probe}`
  const text = `${name}: the deployment of revision ${revision} failed: ${words}${probe}`
  world.occurrences.push({ incident: 'service_failed', subject: name, what: 'begins', text })
}

export type Revert = {
  /** Of the deployment that begins. */
  id: string
  failed: Deployment
  why: string
  failure: Deployment['failure']
}

export function foldReceipt(world: World, id: string, receipt: DeployReceipt): void {
  const deployment = world.tables.deployments.get(id)
  if (deployment !== undefined) world.tables.deployments.put(id, { ...deployment, receipt })
}

/** Another service may have taken a host or a port that this one gave up meanwhile. */
function conflictOf(world: World, config: Parameters<typeof refuseConflicts>[1]) {
  try {
    refuseConflicts(world, config)
    return undefined
  } catch (error) {
    if (!(error instanceof TucanoError)) throw error
    return `no way back: ${error.message}`
  }
}
