// Decides which builds may be deleted.

import type { Built } from './image-ports.ts'

/** Builds kept although nothing uses them: going back to the last version needs no new build. */
export const UNUSED_BUILDS_MAX = 3

/** Keys of the builds that go: of those not in use, all but the newest three. */
export function expiredBuilds(
  builds: readonly Built[],
  inUse: ReadonlySet<string>,
  keep: number = UNUSED_BUILDS_MAX,
): string[] {
  return builds
    .filter((build) => !inUse.has(build.digest))
    .sort((a, b) => b.builtAt - a.builtAt || (a.key < b.key ? -1 : 1))
    .slice(keep)
    .map((build) => build.key)
}
