// What users ask of the controller, taken into the world behind a savepoint: when the commit fails
// nothing of it has happened, and every request is answered with the reason.

import type { ControllerConfig } from '#shared/configuration.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import type { Ids, Log } from '#shared/ports.ts'
import type { CommandResult } from './commands.ts'
import { foldCommand, foldConfig, refuseStale } from './discovery/fold-command.ts'
import { referencedVersions, refuseWhileUsed, secretViews } from './discovery/fold-secrets.ts'
import type { Keeper } from './discovery/keeper.ts'
import { factsOf, tellNews, type World } from './discovery/world.ts'
import type { Request } from './inbox.ts'
import { foldRebalanceCommand, refuseDrain } from './moves.ts'
import type { Notifier } from './notifier/notifier.ts'
import type { Boot, Secrets } from './ports.ts'
import { versionsOf } from './secrets/secrets.ts'

export type Taken = {
  /** The commit is done: says so to those who asked. */
  tell(): void
  /** true: the world is as it was before the requests, and has to be decided on anew. */
  refuse(world: World, failure: TucanoError): Promise<boolean>
}

export type Requests = {
  take(world: World, requests: readonly Request[], now: number): Promise<Taken>
}

export function createRequests(ports: {
  ids: Ids
  log: Log
  boot: Boot
  notifier: Notifier
  keeper: Keeper
  secrets: Secrets
}): Requests {
  const { ids, log, boot, notifier, keeper, secrets } = ports
  const newId = () => ids.next()

  async function take(world: World, requests: readonly Request[], now: number): Promise<Taken> {
    const configBefore = world.config
    const newsBefore = [...world.news]
    const occurrencesBefore = [...world.occurrences]
    const notes = notifier.state()
    const told: (() => void)[] = []
    const accepted: Request[] = []
    const wasHealthy = keeper.degraded() === null
    world.tables.savepoint()
    for (const request of requests) {
      const refusal = keeper.degraded()
      try {
        if (refusal !== null) throw new TucanoError('store_failed', refusal)
        const result = await takeOne(world, request, now)
        accepted.push(request)
        told.push(() => request.answer.resolve(result))
      } catch (error) {
        if (!(error instanceof TucanoError)) throw error
        request.answer.reject(error)
      }
    }
    return {
      tell() {
        for (const answer of told) answer()
      },
      async refuse(before, failure) {
        // In a disk's first refusal the decisions go back too; later ones were made knowing of it.
        if (accepted.length === 0 && !wasHealthy) return false
        before.tables.undo()
        if (before.config !== configBefore) await takeBack(before, accepted, configBefore)
        before.config = configBefore
        before.news = newsBefore
        before.occurrences = occurrencesBefore
        notifier.restore(notes)
        told.length = 0
        for (const request of accepted) request.answer.reject(failure)
        return true
      },
    }
  }

  async function takeOne(world: World, { command, config }: Request, now: number) {
    switch (command.kind) {
      case 'test_alert':
        if (world.config.alerts.smtp === undefined) {
          const text = 'no mail server is configured: set alerts.smtp in the configuration'
          throw new TucanoError('conflict', text)
        }
        return { mail: { id: notifier.testMail(now) } }
      case 'put_config': {
        if (config === undefined) throw new Error('put_config without its configuration')
        refuseStale(world, command.version)
        if (command.by === 'api') await boot.write(command.text)
        const result = foldConfig(world, { ...command, config }, now)
        notifier.configure(config.alerts)
        boot.applied(config)
        return result
      }
      case 'put_secret':
        return putSecret(world, command, now)
      case 'remove_secret':
        return removeSecret(world, command.name, now)
      case 'rebalance':
      case 'stop_rebalance':
        return foldRebalanceCommand(world, command, newId, now)
      case 'drain':
        refuseDrain(world, command, now)
        return foldCommand(world, { command, newId }, now)
      default:
        return foldCommand(world, { command, newId }, now)
    }
  }

  async function putSecret(
    world: World,
    { name, value }: { name: string; value: string },
    now: number,
  ): Promise<CommandResult> {
    const referenced = referencedVersions(world, name)
    const { version, isNew } = await secrets.set({ name, value, referenced }, now)
    world.secrets = versionsOf(secrets)
    if (isNew) tellNews(world, now, 'secret.set', 'secret set', { secret: name, version })
    const [view] = secretViews(
      world,
      secrets.list().filter((one) => one.name === name),
    )
    if (view === undefined) throw new Error('a secret was set and is not there')
    return { secret: { ...view, isNew } }
  }

  async function removeSecret(world: World, name: string, now: number): Promise<CommandResult> {
    if (!world.secrets.has(name)) {
      throw new TucanoError('not_found', `there is no secret ${name}; see tucano secret ls`)
    }
    refuseWhileUsed(world, name)
    await secrets.remove(name)
    world.secrets = versionsOf(secrets)
    tellNews(world, now, 'secret.removed', 'secret removed', { secret: name })
    return {}
  }

  /** The configuration's file was written before the commit that failed. */
  async function takeBack(world: World, refused: Request[], config: ControllerConfig) {
    boot.applied(config)
    const last = factsOf(world).config.at(-1)
    const isOurs = refused.some(({ command }) => 'by' in command && command.by === 'api')
    if (last === undefined || !isOurs) return
    await boot.write(last.text).catch((error: unknown) => {
      log.error({ error: messageOf(error) }, 'a refused configuration is still in its file')
    })
  }

  return { take }
}
