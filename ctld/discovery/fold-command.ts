// Folds what a user asked for into the tables. Every check comes before the first write, so that
// a refused command leaves no trace.

import { hostConflicts } from '#ctld/balancer/balancer.ts'
import type { Command, CommandResult } from '#ctld/commands.ts'
import type { ControllerConfig, ServiceConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Deployment, Service } from '#shared/model.ts'
import { diffTopology } from '#shared/topology.ts'
import { CONFIG_HISTORY_MAX } from './document.ts'
import { FORMER_KEPT_MAX } from './fold-instance.ts'
import { foldLeaving, foldThaw, foldTopology } from './fold-node.ts'
import { foldTraffic } from './fold-traffic.ts'
import { factsOf, setFacts, tellNews, type World } from './world.ts'

export const SERVICES_MAX = 1_000
export const DEPLOYMENTS_KEPT_MAX = 20
const REVISIONS_KEPT = 6

export type FoldCommand = {
  command: Exclude<Command, { kind: 'put_config' | 'test_alert' }>
  newId: () => string
}

export function foldCommand(
  world: World,
  { command, newId }: FoldCommand,
  now: number,
): CommandResult {
  switch (command.kind) {
    case 'deploy':
      return deploy(world, command.config, newId(), now)
    case 'scale':
      return scale(world, command.service, command.concurrency, newId(), now)
    case 'stop':
      return want(world, command.service, 'stopped', 'stop', newId(), now)
    case 'start':
      return want(world, command.service, 'running', 'start', newId(), now)
    case 'remove':
      return want(world, command.service, 'removed', 'remove', newId(), now)
    case 'pause':
    case 'maintenance':
    case 'resume':
      return foldTraffic(world, existing(world, command.service), command, now)
    case 'drain':
      return drain(world, command.node, true, now)
    case 'undrain':
      return drain(world, command.node, false, now)
    case 'unfreeze':
      foldThaw(world, 'lifted by the sysadmin', now)
      return {}
  }
}

/** Optimistic lock (S30): a change that is based on another version than the last is refused. */
export function refuseStale(world: World, basedOn: number): void {
  const version = factsOf(world).config.at(-1)?.version ?? 0
  if (basedOn === version) return
  throw new TucanoError(
    'stale_version',
    `the configuration is at version ${version}, the change is based on ${basedOn}; ` +
      'get it again, repeat the change and put that',
  )
}

/** Takes a checked configuration into force (Q13). Its text was written to its file before. */
export function foldConfig(
  world: World,
  change: { version: number; text: string; by: 'start' | 'api' | 'file'; config: ControllerConfig },
  now: number,
): CommandResult {
  refuseStale(world, change.version)
  const history = factsOf(world).config
  const version = change.version
  // Compared with what this process started with: that is what a restart would change.
  const restartRequired = diffTopology(world.started, change.config).restartRequired
  if (history.at(-1)?.text === change.text) {
    return { config: { version, restart_required: restartRequired } }
  }
  const diff = diffTopology(world.config, change.config)
  for (const machine of diff.removed) {
    if (machine.kind === 'worker') foldLeaving(world, machine)
  }
  world.config = change.config
  const entry = { version: version + 1, text: change.text, at: now, by: change.by }
  setFacts(world, { config: [...history, entry].slice(-CONFIG_HISTORY_MAX) })
  foldTopology(world, now)
  tellNews(world, now, 'config.changed', 'configuration changed', {
    version: entry.version,
    by: change.by,
    added: diff.added.map(({ name }) => name).join(', '),
    removed: diff.removed.map(({ name }) => name).join(', '),
    restart_required: restartRequired.join(', '),
  })
  return { config: { version: entry.version, restart_required: restartRequired } }
}

function deploy(world: World, config: ServiceConfig, id: string, now: number): CommandResult {
  const { services } = world.tables
  const was = services.get(config.name)
  if (was === undefined && services.size >= SERVICES_MAX) {
    throw new TucanoError('limit_reached', `there are ${SERVICES_MAX} services already`)
  }
  const conflicts = [
    ...hostConflicts(services.values(), { name: config.name, config }),
    ...ownPortConflicts(world, config),
  ]
  if (conflicts.length > 0) throw new TucanoError('conflict', conflicts.join('; '))
  if (was?.desired === 'removed') {
    throw new TucanoError('conflict', `${config.name} is being removed; deploy it when it is gone`)
  }
  const isRunning = was?.desired === 'running' && isProgramChange(was.config, config)
  if (isRunning && config.update.strategy === 'none') {
    throw new TucanoError(
      'already_running',
      `${config.name} is running and its update.strategy is none: stop it first, ` +
        'or set update.strategy to rolling or recreate',
    )
  }
  return put(world, { was, config, desired: 'running', kind: 'deploy', id }, now)
}

function scale(
  world: World,
  name: string,
  concurrency: number,
  id: string,
  now: number,
): CommandResult {
  const was = existing(world, name)
  const config = { ...was.config, concurrency }
  return put(world, { was, config, desired: was.desired, kind: 'scale', id }, now)
}

function want(
  world: World,
  name: string,
  desired: Service['desired'],
  kind: Deployment['kind'],
  id: string,
  now: number,
): CommandResult {
  const was = existing(world, name)
  return put(world, { was, config: was.config, desired, kind, id }, now)
}

function existing(world: World, name: string): Service {
  const service = world.tables.services.get(name)
  if (service === undefined) {
    throw new TucanoError('not_found', `there is no service ${name}; see tucano services`)
  }
  if (service.desired === 'removed') {
    throw new TucanoError('conflict', `${name} is being removed`)
  }
  return service
}

type Change = {
  was: Service | undefined
  config: ServiceConfig
  desired: Service['desired']
  kind: Deployment['kind']
  id: string
}

function put(world: World, change: Change, now: number): CommandResult {
  const { was, config, desired, kind, id } = change
  const isSame = was !== undefined && JSON.stringify(was.config) === JSON.stringify(config)
  const revision = isSame ? was.revision : (was?.revision ?? 0) + 1
  const isNewProgram = was === undefined || isProgramChange(was.config, config)
  const service: Service = {
    name: config.name,
    config,
    revision,
    programRevision: isNewProgram ? revision : was.programRevision,
    revisions: isSame
      ? was.revisions
      : [...keptRevisions(world, was), { revision, config, at: now }],
    desired,
    // Who paused it or put it into maintenance says when that is over, not a deploy.
    traffic: was?.traffic ?? { state: 'open' },
    deployment: id,
    createdAt: was?.createdAt ?? now,
    changedAt: now,
  }
  const deployment: Deployment = {
    id,
    service: service.name,
    revision,
    kind,
    state: kind === 'stop' || kind === 'remove' ? 'terminating' : 'deploying',
    why: 'accepted',
    createdAt: now,
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

function ownPortConflicts(world: World, { public_port }: ServiceConfig): string[] {
  const { api, balancer } = world.config
  if (public_port === api.port) return [`public_port ${public_port} is the controller's API`]
  if (public_port === balancer.port) return [`public_port ${public_port} is the balancer's own`]
  return []
}

/** Everything that the program is or is given; the rest changes without a restart. */
function isProgramChange(before: ServiceConfig, after: ServiceConfig): boolean {
  const programOf = ({ image, env, port, host_port, health, stop }: ServiceConfig) =>
    JSON.stringify([
      [image.digest, image.build, image.run, port, host_port, stop],
      // The order in which keys were written means nothing.
      Object.entries({ ...env, ...health, path: health.path }).sort(),
    ])
  return programOf(before) !== programOf(after)
}

/** The newest ones, and all that an instance still runs. */
function keptRevisions(world: World, service: Service | undefined): Service['revisions'] {
  if (service === undefined) return []
  const inUse = new Set(
    world.tables.instances
      .values()
      .filter((instance) => instance.service === service.name)
      .map((instance) => instance.revision),
  )
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

function drain(world: World, node: string, drained: boolean, now: number): CommandResult {
  const mark = world.tables.nodes.get(node)
  if (mark === undefined) {
    throw new TucanoError('not_found', `there is no worker ${node}; see tucano nodes`)
  }
  if (!drained && world.config.topology.some(({ name, drain }) => name === node && drain)) {
    throw new TucanoError('conflict', `${node} is drained by the topology: set its drain to false`)
  }
  if (mark.drained === drained) return {}
  world.tables.nodes.put(node, { ...mark, drained })
  tellNews(world, now, drained ? 'node.drained' : 'node.undrained', 'node changed', { node })
  return {}
}
