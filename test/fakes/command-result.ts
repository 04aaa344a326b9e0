// What the controller answers to a command, and what it refuses, judged by a snapshot alone.

import type { Command, CommandResult } from '#ctld/commands.ts'
import type { Snapshot } from '#ctld/snapshot.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Deployment } from '#shared/model.ts'

export function resultOf(
  command: Command,
  snapshot: Snapshot,
  deployment: Deployment,
): CommandResult {
  if ('service' in command) {
    const known = snapshot.configured_services.some(({ name }) => name === command.service)
    if (!known) throw new TucanoError('not_found', `there is no service ${command.service}`)
  }
  if ('node' in command && !snapshot.nodes.some(({ name }) => name === command.node)) {
    throw new TucanoError('not_found', `there is no node ${command.node}`)
  }
  if (command.kind === 'put_config') {
    if (command.version !== snapshot.config.version) {
      throw new TucanoError('stale_version', `the version in force is ${snapshot.config.version}`)
    }
    return { config: { version: command.version + 1, restart_required: [] } }
  }
  if (command.kind === 'put_secret') {
    const had = snapshot.secrets.find(({ name }) => name === command.name)
    const version = (had?.version ?? 0) + 1
    const usedBy = had?.usedBy ?? []
    return { secret: { name: command.name, version, updatedAt: 1_000, usedBy, isNew: true } }
  }
  if (command.kind === 'remove_secret') return {}
  if (command.kind === 'test_alert') return { mail: { id: 'mail-1' } }
  if (/cordon|drain|unfreeze|rebalance/.test(command.kind)) return {}
  return { deployment }
}
