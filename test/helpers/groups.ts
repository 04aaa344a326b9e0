// Removes the control groups that an agent made which a test has killed.

import { existsSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { groupsIn, removeGroup } from '#agentd/isolation/group.io.ts'
import type { Place } from '#agentd/isolation/hierarchy.ts'

/** Kills all that is in them. `dataFolder` is the agent's. */
export async function removeGroups(dataFolder: string): Promise<void> {
  for (const place of placesIn(dataFolder)) {
    for (const name of await groupsIn(place)) await removeGroup(place, name)
    for (const folder of new Set(Object.values(place.folders))) {
      if (existsSync(folder)) rmdirSync(folder)
    }
  }
}

function placesIn(dataFolder: string): Place[] {
  try {
    return JSON.parse(readFileSync(join(dataFolder, 'groups.json'), 'utf8')) as Place[]
  } catch {
    return [] // It made none.
  }
}
