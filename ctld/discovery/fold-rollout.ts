// Folds how far a canary has come into its service, and tells of it.

import type { Rollout } from '#shared/model.ts'
import { tellNews, type World } from './world.ts'

/** undefined: it is over. */
export function foldRollout(
  world: World,
  name: string,
  rollout: Rollout | undefined,
  now: number,
): void {
  const service = world.tables.services.get(name)
  if (service === undefined) return
  const { rollout: was, ...rest } = service
  world.tables.services.put(name, { ...rest, ...(rollout === undefined ? {} : { rollout }) })
  if (rollout === undefined || rollout.percent === was?.percent) return
  tellNews(world, now, 'service.canary', 'canary gets its share', {
    service: name,
    revision: service.revision,
    step: rollout.step,
    percent: rollout.percent,
  })
}
