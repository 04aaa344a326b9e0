// What makes a revision another program: everything that the program is or is given. The rest of a
// configuration changes without a restart. Pure.

import { compare } from '#shared/compare.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Service, ServiceRevision } from '#shared/model.ts'

export { isCurrent, programOf } from '#shared/revision.ts'

export function isProgramChange(before: ServiceConfig, after: ServiceConfig): boolean {
  return textOf(before) !== textOf(after)
}

/**
 * Revisions that were kept before each said its program. Those since `programRevision` ran the one
 * that was declared; a former one the same as its neighbour when nothing in it differs.
 */
export function withPrograms(
  revisions: readonly (Omit<ServiceRevision, 'program'> & { program?: number })[],
  programRevision: number,
): ServiceRevision[] {
  const complete: ServiceRevision[] = []
  for (const entry of revisions) {
    const before = complete.at(-1)
    const isSame = before !== undefined && !isProgramChange(before.config, entry.config)
    const guessed = isSame ? before.program : entry.revision
    const known = entry.revision >= programRevision ? programRevision : guessed
    complete.push({ ...entry, program: entry.program ?? known })
  }
  return complete
}

/** Its last deployment came to a good end; the very object when that is known already. */
export function withGood(service: Service, revision: number): Service {
  const { revisions, goodRevision } = service
  const entry = revisions.find((one) => one.revision === revision)
  if (entry === undefined || (goodRevision === revision && entry.worked === true)) return service
  const marked = revisions.map((one) => (one === entry ? { ...one, worked: true as const } : one))
  return { ...service, goodRevision: revision, revisions: marked }
}

function textOf(config: ServiceConfig): string {
  const { image, env, port, host_port, health, checks, stop, limits, user, secrets, volumes } =
    config
  return JSON.stringify([
    [image.digest, image.build, image.run, port, host_port, stop],
    [limits.memory, limits.cpu, limits.pids, limits.open_files, user],
    // The order in which keys were written means nothing.
    Object.entries(env).sort(),
    Object.entries(secrets ?? {}).sort(([a], [b]) => compare(a, b)),
    volumes ?? [],
    Object.entries({ ...health, path: health.path }).sort(),
    checks,
  ])
}
