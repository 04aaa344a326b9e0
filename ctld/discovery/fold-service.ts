// Folds what a user asked of a service into the tables: what it shall be, how many, whether it
// runs, and back to what it was. Every check comes before the first write.

import { hostConflicts } from '#ctld/balancer/balancer.ts'
import type { CommandResult } from '#ctld/commands.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Deployment, Service, ServiceRevision } from '#shared/model.ts'
import { refuseWithoutSecrets } from './fold-secrets.ts'
import { type Change, isSameProgram, putService } from './put-service.ts'
import type { World } from './world.ts'

export const SERVICES_MAX = 1_000

export function deploy(
  world: World,
  config: ServiceConfig,
  id: string,
  now: number,
): CommandResult {
  const { services } = world.tables
  const was = services.get(config.name)
  if (was === undefined && services.size >= SERVICES_MAX) {
    throw new TucanoError('limit_reached', `there are ${SERVICES_MAX} services already`)
  }
  refuseConflicts(world, config)
  if (was?.desired === 'removed') {
    throw new TucanoError('conflict', `${config.name} is being removed; deploy it when it is gone`)
  }
  const change: Change = { was, config, desired: 'running', kind: 'deploy', id }
  if (was?.desired === 'running' && !isSameProgram(world, change)) refuseWithoutStrategy(config)
  return putService(world, change, now)
}

function refuseWithoutStrategy({ name, update }: ServiceConfig): void {
  if (update.strategy !== 'none') return
  throw new TucanoError(
    'already_running',
    `${name} is running and its update.strategy is none: stop it first, ` +
      'or set update.strategy to rolling or recreate',
  )
}

export function scale(
  world: World,
  name: string,
  concurrency: number,
  id: string,
  now: number,
): CommandResult {
  const was = existing(world, name)
  const config = { ...was.config, concurrency }
  return putService(world, { was, config, desired: was.desired, kind: 'scale', id }, now)
}

export function want(
  world: World,
  name: string,
  desired: Service['desired'],
  kind: Deployment['kind'],
  id: string,
  now: number,
): CommandResult {
  const was = existing(world, name)
  return putService(world, { was, config: was.config, desired, kind, id }, now)
}

/** By the way of its `update`, as if it were another program. */
export function restart(world: World, name: string, id: string, now: number): CommandResult {
  const was = existing(world, name)
  if (was.desired !== 'running') {
    throw new TucanoError('conflict', `${name} is stopped: tucano start ${name}`)
  }
  refuseWithoutStrategy(was.config)
  const { config, desired } = was
  return putService(world, { was, config, desired, kind: 'deploy', id, isForced: true }, now)
}

export function existing(world: World, name: string): Service {
  const service = world.tables.services.get(name)
  if (service === undefined) {
    throw new TucanoError('not_found', `there is no service ${name}; see tucano services`)
  }
  if (service.desired === 'removed') {
    throw new TucanoError('conflict', `${name} is being removed`)
  }
  return service
}

/** Back to a former revision as a whole; without a number to the last one that worked. */
export function rollback(
  world: World,
  { service: name, revision, id }: { service: string; revision: number | undefined; id: string },
  now: number,
): CommandResult {
  const was = existing(world, name)
  const to = revision === undefined ? lastGood(was) : kept(was, revision)
  if (to.revision === was.revision) {
    throw new TucanoError('conflict', `${name} is at revision ${to.revision} already`)
  }
  refuseConflicts(world, to.config)
  refuseWithoutSecrets(world, name, to)
  if (was.desired === 'running' && to.program !== was.programRevision) {
    refuseWithoutStrategy(was.config)
  }
  const { desired } = was
  return putService(world, { was, config: to.config, desired, kind: 'rollback', id, to }, now)
}

/** The last one that worked, and that is not the declared one; what was taken back did not. */
function lastGood({ name, revisions, revision, goodRevision }: Service): ServiceRevision {
  const good = revisions.find((entry) => entry.revision === goodRevision)
  if (good !== undefined && good.revision !== revision) return good
  const before = revisions.filter((entry) => entry.revision < revision)
  const last = before.findLast((entry) => entry.worked === true)
  if (last !== undefined) return last
  const others = before.map((entry) => entry.revision).join(', ')
  const hint = others === '' ? '' : `; it has ${others}: name the one that you mean`
  throw new TucanoError('conflict', `${name} has no revision before ${revision} that worked${hint}`)
}

function kept(service: Service, revision: number): ServiceRevision {
  const entry = service.revisions.find((one) => one.revision === revision)
  if (entry !== undefined) return entry
  const numbers = service.revisions.map((one) => one.revision).join(', ')
  throw new TucanoError(
    'not_found',
    `${service.name} has no revision ${revision} (any more); it has ${numbers}`,
  )
}

/** Throws `conflict` when what it claims of the balancer belongs to somebody else. */
export function refuseConflicts(world: World, config: ServiceConfig): void {
  const conflicts = [
    ...hostConflicts(world.tables.services.values(), { name: config.name, config }),
    ...ownPortConflicts(world, config),
  ]
  if (conflicts.length > 0) throw new TucanoError('conflict', conflicts.join('; '))
}

function ownPortConflicts(world: World, { public_port }: ServiceConfig): string[] {
  const { api, balancer } = world.config
  if (public_port === api.port) return [`public_port ${public_port} is the controller's API`]
  if (public_port === balancer.port) return [`public_port ${public_port} is the balancer's own`]
  return []
}
