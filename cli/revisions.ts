// Which revision serves when it is not the wanted one: after an update that failed, or during it.
// Pure.

import { isCurrent } from '#shared/revision.ts'
import type { ServiceDetail } from './answers.ts'
import { countText } from './words.ts'

/**
 * `revision 3 goes on serving (2 instances)`; undefined: none of a former program serves. A change
 * of the number alone leaves the program, and with it the instances, as they are.
 */
export function formerOf(detail: ServiceDetail | undefined): string | undefined {
  if (detail === undefined) return undefined
  const { service, instances } = detail
  const counts = new Map<number, number>()
  for (const instance of instances) {
    const { state, healthy, revision } = instance
    if (state !== 'started' || !healthy || isCurrent(service, instance)) continue
    counts.set(revision, (counts.get(revision) ?? 0) + 1)
  }
  if (counts.size === 0) return undefined
  return [...counts]
    .toSorted(([a], [b]) => b - a)
    .map(([revision, count]) => `revision ${revision} goes on serving (${countText(count)})`)
    .join(', ')
}
