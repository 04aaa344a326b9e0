// Which versions of which secrets a revision of a service gets, and who uses a secret. A new value
// is another program: it reaches a service with its next deploy, start or restart, never by itself.

import { isFinal } from '#ctld/instance.ts'
import type { SecretView } from '#ctld/snapshot.ts'
import { compare } from '#shared/compare.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Deployment, Service, ServiceRevision } from '#shared/model.ts'
import type { World } from './world.ts'

type Versions = Readonly<Record<string, number>>
/** Versions that the revision gets; throws `conflict` when one of them is not set. */
export function versionsFor(
  world: World,
  change: { was: Service | undefined; config: ServiceConfig; kind: Deployment['kind'] },
): Versions {
  const { was, config, kind } = change
  if (was !== undefined && !takesNewest(kind, was)) return versionsOf(was)
  const names = Object.keys(config.secrets ?? {}).sort()
  const missing = names.filter((name) => !world.secrets.has(name))
  if (missing.length > 0) throw notSet(config.name, missing)
  return Object.fromEntries(names.map((name) => [name, world.secrets.get(name)?.at(-1) ?? 0]))
}

/** Those of the declared revision. */
export function versionsOf(service: Service): Versions {
  return entryOf(service, service.revision)?.secrets ?? {}
}

export function isSameVersions(a: Versions, b: Versions): boolean {
  const text = (versions: Versions) =>
    JSON.stringify(Object.entries(versions).sort(([left], [right]) => compare(left, right)))
  return text(a) === text(b)
}

/** Services that have the secret in what is declared or in what still runs; sorted by name. */
export function usersOf(world: World, name: string): SecretView['usedBy'] {
  const users = world.tables.services.values().flatMap((service) => {
    const version = versionsOf(service)[name]
    if (version !== undefined) return [{ service: service.name, version }]
    const running = runningRevisions(world, service).flatMap((entry) => entry.secrets?.[name] ?? [])
    const [first] = running
    return first === undefined ? [] : [{ service: service.name, version: first }]
  })
  return users.sort((a, b) => compare(a.service, b.service))
}

/** Versions of it that a kept revision may be asked for again: they must stay readable. */
export function referencedVersions(world: World, name: string): Set<number> {
  const entries = world.tables.services.values().flatMap(({ revisions }) => revisions)
  return new Set(entries.flatMap((entry) => entry.secrets?.[name] ?? []))
}

/** Throws `conflict` when a revision that is gone back to had a secret that was removed since. */
export function refuseWithoutSecrets(world: World, name: string, entry: ServiceRevision): void {
  const gone = Object.entries(entry.secrets ?? {}).filter(
    ([secret, version]) => world.secrets.get(secret)?.includes(version) !== true,
  )
  if (gone.length === 0) return
  const what = gone.map(([secret, version]) => `${secret} (version ${version})`).join(', ')
  const words = `${name}: revision ${entry.revision} had secrets that were removed: ${what}`
  throw new TucanoError('conflict', words)
}

export function secretViews(
  world: World,
  list: readonly { name: string; versions: readonly number[]; updatedAt: number }[],
): SecretView[] {
  return list.map(({ name, versions, updatedAt }) => ({
    name,
    version: versions.at(-1) ?? 0,
    updatedAt,
    usedBy: usersOf(world, name),
  }))
}

/** Throws `conflict` while somebody uses it, or could go back to using it by a revert. */
export function refuseWhileUsed(world: World, name: string): void {
  const goodOnes = world.tables.services
    .values()
    .filter((service) => entryOf(service, service.goodRevision ?? 0)?.secrets?.[name] !== undefined)
  const users = [...usersOf(world, name), ...goodOnes.map((one) => ({ service: one.name }))]
  const names = [...new Set(users.map(({ service }) => service))].sort()
  if (names.length === 0) return
  throw new TucanoError(
    'conflict',
    `the secret ${name} is used by ${names.join(', ')}: deploy ${names.length > 1 ? 'them' : 'it'} ` +
      'without it first',
  )
}

function takesNewest(kind: Deployment['kind'], was: Service): boolean {
  return kind === 'deploy' || (kind === 'start' && was.desired !== 'running')
}

function runningRevisions(world: World, service: Service): ServiceRevision[] {
  const run = new Set(
    world.tables.instances
      .values()
      .filter((instance) => instance.service === service.name && !isFinal(instance))
      .map((instance) => instance.revision),
  )
  return service.revisions.filter((entry) => run.has(entry.revision))
}

function entryOf(service: Service, revision: number): ServiceRevision | undefined {
  return service.revisions.find((entry) => entry.revision === revision)
}

function notSet(service: string, missing: readonly string[]): TucanoError {
  const commands = missing.map((name) => `tucano secret set ${name}`).join(', ')
  const [what, verb] = missing.length === 1 ? ['the secret', 'is'] : ['the secrets', 'are']
  return new TucanoError(
    'conflict',
    `${service} needs ${what} ${missing.join(', ')}, which ${verb} not set: ${commands}`,
  )
}
