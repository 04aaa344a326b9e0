// What must hold of updates in every history: an exchange is one step (I10), two groups of a
// blue-green update never serve beside each other (I11), and one program is left in the end (I2).

import { isFinal } from '#ctld/instance.ts'
import type { RouteTable } from '#ctld/ports.ts'
import { isCurrent, programOf } from '#ctld/revision.ts'
import type { Snapshot } from '#ctld/snapshot.ts'
import type { Service } from '#shared/model.ts'

/** Why one gives way to another one that takes its place. */
const EXCHANGED = /^(replaced by a new revision|its worker \S+ is drained|kept ready .*)$/

/**
 * I10: whoever gives way is replaced in the very table that it is missing from. Not where programs
 * must not overlap, and beyond what is too many after a scale-down.
 */
export function halfExchanges(
  before: RouteTable,
  after: RouteTable,
  { configured_services, instances }: Snapshot,
): string[] {
  return configured_services.flatMap(({ name, config, desired }) => {
    const { strategy, max_surge } = config.update
    const overlaps = strategy !== 'recreate' && max_surge !== 0 && !config.exclusive
    if (desired !== 'running' || !overlaps) return []
    const [were, are] = [targetsOf(before, name), targetsOf(after, name)]
    const gaveWay = instances.filter(
      ({ id, why, state }) =>
        were.has(id) && !are.has(id) && EXCHANGED.test(why) && state !== 'lost',
    )
    const came = [...are].filter((id) => !were.has(id)).length
    const tooMany = Math.max(0, were.size - config.concurrency)
    return gaveWay.length > came + tooMany
      ? [`I10: ${gaveWay.length} of ${name} gave way, ${came} took their places`]
      : []
  })
}

/** I11: by the table that is in force. */
export function mixedGroups(table: RouteTable, snapshot: Snapshot): string[] {
  const revisions = new Map(snapshot.instances.map(({ id, revision }) => [id, revision]))
  return snapshot.configured_services.flatMap((service) => {
    if (service.config.update.strategy !== 'blue_green') return []
    const programs = new Set<number>()
    for (const id of targetsOf(table, service.name)) {
      const revision = revisions.get(id)
      if (revision !== undefined) programs.add(programOf(service, revision))
    }
    return programs.size > 1 ? [`I11: ${service.name} serves by ${programs.size} programs`] : []
  })
}

/** I2: what is left when all is quiet. */
export function otherPrograms({ configured_services, instances }: Snapshot): string[] {
  const services = new Map(configured_services.map((service) => [service.name, service]))
  return instances.flatMap((instance) => {
    const service: Service | undefined = services.get(instance.service)
    if (service === undefined || isFinal(instance) || isCurrent(service, instance)) return []
    return [`I2: ${instance.id} of ${instance.service} still runs revision ${instance.revision}`]
  })
}

function targetsOf({ routes }: RouteTable, service: string): Set<string> {
  const route = routes.find((one) => one.service === service)
  return new Set(route?.targets.map(({ instance }) => instance))
}
