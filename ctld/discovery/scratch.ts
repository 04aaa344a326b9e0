// A world to try things out in: the same facts, in tables of its own. What is done to it is neither
// written nor told, and nothing of it comes back.

import type { World } from './world.ts'

/** Records are replaced, never changed, so the tables and the sightings need no deeper copy. */
export function scratchOf(world: World): World {
  return {
    ...world,
    tables: world.tables.copy(),
    seen: new Map(world.seen),
    news: [],
    occurrences: [],
  }
}
