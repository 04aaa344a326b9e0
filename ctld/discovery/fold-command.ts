// Folds what a user asked for into the tables. Every check comes before the first write, so that
// a refused command leaves no trace.

import type { Command, CommandResult, RebalanceCommand } from '#ctld/commands.ts'
import type { ControllerConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import { diffTopology } from '#shared/topology.ts'
import { CONFIG_HISTORY_MAX } from './document.ts'
import { foldLeaving, foldThaw, foldTopology } from './fold-node.ts'
import { foldNodeCommand } from './fold-node-command.ts'
import { deploy, existing, restart, rollback, scale, want } from './fold-service.ts'
import { foldTraffic } from './fold-traffic.ts'
import { factsOf, setFacts, tellNews, type World } from './world.ts'

export type FoldCommand = {
  command: Exclude<
    Command,
    RebalanceCommand | { kind: 'put_config' | 'test_alert' | 'put_secret' | 'remove_secret' }
  >
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
    case 'restart':
      return restart(world, command.service, newId(), now)
    case 'rollback': {
      const { service, revision } = command
      return rollback(world, { service, revision, id: newId() }, now)
    }
    case 'pause':
    case 'maintenance':
    case 'resume':
      return foldTraffic(world, existing(world, command.service), command, now)
    case 'cordon':
    case 'uncordon':
    case 'drain':
    case 'undrain':
      return foldNodeCommand(world, command, now)
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
