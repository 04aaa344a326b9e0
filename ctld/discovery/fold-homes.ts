// Remembers on which workers the instances of a service that is never moved have their data: one
// worker for each place. It outlives the instances, and a time in which the service is stopped.

import { isHolding } from '#ctld/instance.ts'
import { isCurrent } from '#ctld/revision.ts'
import type { Instance, Service } from '#shared/model.ts'
import { isSameList } from '#shared/same-list.ts'
import type { World } from './world.ts'

export function foldHomes(world: World): void {
  const { services, instances } = world.tables
  const bound = services.values().filter(({ config, homes }) => config.sticky?.node || homes)
  if (bound.length === 0) return
  const byService = Map.groupBy(instances.values(), ({ service }) => service)
  for (const service of bound) {
    const homes = homesOf(service, byService.get(service.name) ?? [])
    if (isSameList(homes ?? [], service.homes ?? [])) continue
    const { homes: _, ...rest } = service
    services.put(service.name, homes === undefined ? rest : { ...rest, homes })
  }
}

function homesOf(service: Service, mine: readonly Instance[]): string[] | undefined {
  if (service.config.sticky?.node !== true) return undefined
  const had = service.homes ?? []
  // One that never started has left nothing on its worker.
  const here = mine
    .filter((instance) => instance.state === 'started' || instance.state === 'lost')
    .map(({ node }) => node)
  const isWhole =
    service.desired === 'running' &&
    here.length === service.config.concurrency &&
    mine.filter(isHolding).every((instance) => isCurrent(service, instance))
  const lasting = isWhole ? had.filter((home) => here.includes(home)) : had
  return withAll(lasting, here, isWhole)
}

/** `homes`, so that each worker stands there at least as often as in `here`; or just as often. */
function withAll(homes: readonly string[], here: readonly string[], isExact: boolean): string[] {
  const left = new Map<string, number>()
  for (const node of here) left.set(node, (left.get(node) ?? 0) + 1)
  const kept = homes.filter((home) => {
    const count = left.get(home) ?? 0
    if (count > 0) left.set(home, count - 1)
    return count > 0 || !isExact
  })
  return [...kept, ...[...left].flatMap(([node, count]) => Array<string>(count).fill(node))]
}
