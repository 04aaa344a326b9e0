// Puts what is declared of a service into the tables, with the deployment that follows it to its
// end: as a new revision where something changed, or as a former one where it goes back to that.

import { isProgramChange } from '#ctld/revision.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Deployment, Service, ServiceRevision } from '#shared/model.ts'
import { FORMER_KEPT_MAX } from './fold-instance.ts'
import { isSameVersions, versionsFor, versionsOf } from './fold-secrets.ts'
import { tellNews, type World } from './world.ts'

export const DEPLOYMENTS_KEPT_MAX = 20
/** The newest ones, beside those that are in use or that a revert goes back to. */
export const REVISIONS_KEPT = 6

export type Change = {
  was: Service | undefined
  config: ServiceConfig
  desired: Service['desired']
  kind: Deployment['kind']
  id: string
  /** A new program though nothing in it has changed. */
  isForced?: boolean
  /** It goes back to this one, and no number is given. */
  to?: ServiceRevision
  /** The deployment that this one undoes. */
  revertOf?: string
}

export type Put = { service: Service; deployment: Deployment }

export function putService(world: World, change: Change, now: number): Put {
  const { was, config, desired, kind, id } = change
  const entry = change.to ?? entryFor(world, change, now)
  const { revision, program } = entry
  const goesOn = was?.programRevision === program
  const isKnown = was?.revisions.some((one) => one.revision === revision) === true
  const service: Service = {
    name: config.name,
    config,
    revision,
    programRevision: program,
    revisions: isKnown ? was.revisions : [...keptRevisions(world, was), entry],
    ...(was?.goodRevision === undefined ? {} : { goodRevision: was.goodRevision }),
    // A share that it has reached is kept by what is no new program, like another concurrency.
    ...(was?.rollout === undefined || !goesOn ? {} : { rollout: was.rollout }),
    // What it left on a worker is there still, whatever program comes next.
    ...(was?.homes === undefined ? {} : { homes: was.homes }),
    desired,
    // Who paused it or put it into maintenance says when that is over, not a deploy.
    traffic: was?.traffic ?? { state: 'open' },
    deployment: id,
    createdAt: was?.createdAt ?? now,
    changedAt: now,
  }
  const isUpdate = was?.desired === 'running' && was.revision !== revision
  const deployment: Deployment = {
    id,
    service: service.name,
    revision,
    kind,
    state: kind === 'stop' || kind === 'remove' ? 'terminating' : 'deploying',
    why: 'accepted',
    createdAt: now,
    ...(isUpdate ? { former: was.revision } : {}),
    ...(change.revertOf === undefined ? {} : { revertOf: change.revertOf }),
  }
  world.tables.services.put(service.name, service)
  world.tables.deployments.put(id, deployment)
  forgetDeployments(world, service.name)
  tellNews(world, now, `service.${kind}`, 'service configured', {
    service: service.name,
    revision,
    concurrency: config.concurrency,
    deployment: id,
  })
  return { service, deployment }
}

/** Does the change leave the running program as it is? */
export function isSameProgram(world: World, change: Change): boolean {
  const { was, config, isForced } = change
  if (was === undefined || isForced === true || isProgramChange(was.config, config)) return false
  return isSameVersions(versionsOf(was), versionsFor(world, change))
}

/** The declared revision when nothing in it changes, else one with the next number. */
function entryFor(world: World, change: Change, now: number): ServiceRevision {
  const { was, config } = change
  const goesOn = was !== undefined && isSameProgram(world, change)
  const declared = was?.revisions.find((entry) => entry.revision === was.revision)
  const isSame = goesOn && JSON.stringify(was.config) === JSON.stringify(config)
  if (isSame && declared !== undefined) return declared
  const secrets = versionsFor(world, change)
  const hasSecrets = Object.keys(secrets).length > 0
  const numbers = was?.revisions.map((entry) => entry.revision) ?? []
  const revision = isSame ? was.revision : Math.max(0, was?.revision ?? 0, ...numbers) + 1
  const program = goesOn ? was.programRevision : (formerProgram(change, secrets) ?? revision)
  return { revision, program, config, at: now, ...(hasSecrets ? { secrets } : {}) }
}

/** Instances that still run the very program are current then, whatever was tried in between. */
function formerProgram(
  { was, config, isForced }: Change,
  secrets: Readonly<Record<string, number>>,
): number | undefined {
  if (isForced === true) return undefined
  return was?.revisions.findLast(
    (entry) =>
      !isProgramChange(entry.config, config) && isSameVersions(entry.secrets ?? {}, secrets),
  )?.program
}

function keptRevisions(world: World, service: Service | undefined): ServiceRevision[] {
  if (service === undefined) return []
  const inUse = new Set(
    world.tables.instances
      .values()
      .filter((instance) => instance.service === service.name)
      .map((instance) => instance.revision),
  )
  inUse.add(service.revision)
  if (service.goodRevision !== undefined) inUse.add(service.goodRevision)
  const newest = service.revisions.slice(-(REVISIONS_KEPT - 1))
  return service.revisions.filter((entry) => newest.includes(entry) || inUse.has(entry.revision))
}

function forgetDeployments(world: World, service: string): void {
  const { deployments, services } = world.tables
  // By arrival, because a clock may have been set back.
  const all = deployments.values().toReversed()
  const mine = all.filter((deployment) => deployment.service === service)
  const former = all.filter((deployment) => services.get(deployment.service) === undefined)
  const old = [...mine.slice(DEPLOYMENTS_KEPT_MAX), ...former.slice(FORMER_KEPT_MAX)]
  for (const { id } of old) deployments.remove(id)
}
