// What must hold between those keys of a service's configuration that say how it is updated. Works
// on unchecked data, so that these faults are named together with those of single keys.

import { numberAt, partOf, textAt } from './loose.ts'
import type { Fault } from './schema.ts'

export function updateFaults(data: unknown): Fault[] {
  const update = partOf(data, 'update')
  const strategy = textAt(update, 'strategy')
  if (strategy !== 'canary' && strategy !== 'blue_green') return []
  const faults: Fault[] = []
  const concurrency = numberAt(data, 'concurrency')
  if (strategy === 'canary' && concurrency === 1) {
    const what =
      'canary needs a concurrency of at least 2, since never more than that serve: raise it, or ' +
      'use blue_green'
    faults.push({ path: ['update', 'strategy'], what })
  }
  const overlaps = `${strategy} starts new instances beside the old ones`
  if (partOf(data, 'exclusive') === true) {
    faults.push({ path: ['exclusive'], what: `${overlaps}: use rolling or recreate` })
  }
  if (numberAt(update, 'max_surge') === 0) {
    const what = `0 means nothing here: ${overlaps}; remove it, or use rolling`
    faults.push({ path: ['update', 'max_surge'], what })
  }
  return faults
}
