// What must hold between a service's secrets and its other keys, and what follows from volumes for
// keys that are not said. Works on unchecked data, so that all faults are named together.

import { itemsOf, partOf, textAt } from './loose.ts'
import type { Fault } from './schema.ts'

export function secretsFaults(data: unknown): Fault[] {
  const given = {
    variable: new Set(entriesOf(partOf(data, 'env')).map(([name]) => name)),
    file: new Set<string>(),
  }
  return entriesOf(partOf(data, 'secrets')).flatMap(([name, delivery]) => {
    const path = ['secrets', name]
    // What is no mapping is a fault of its own.
    if (!isMapping(delivery)) return []
    if (partOf(delivery, 'variable') === undefined && partOf(delivery, 'file') === undefined) {
      return [{ path, what: 'expected one of variable or file: how the program gets it' }]
    }
    return (['variable', 'file'] as const).flatMap((way) => {
      const as = textAt(delivery, way)
      if (as === undefined || !given[way].has(as)) {
        if (as !== undefined) given[way].add(as)
        return []
      }
      return [{ path: [...path, way], what: `given twice: ${as}` }]
    })
  })
}

export function volumesFaults(data: unknown): Fault[] {
  const volumes = itemsOf(data, 'volumes')
  return volumes.flatMap((volume, index) =>
    volumes.indexOf(volume) === index
      ? []
      : [{ path: ['volumes', index], what: `given twice: ${JSON.stringify(volume)}` }],
  )
}

/**
 * A program with data of its own stays where its data is, alone on it, and its successor waits
 * until it has ended: unless the user says otherwise. Strategies that overlap say otherwise.
 */
export function withVolumeDefaults(data: unknown): unknown {
  if (itemsOf(data, 'volumes').length === 0) return data
  const update = partOf(data, 'update')
  const strategy = partOf(update, 'strategy')
  const overlaps = strategy === 'blue_green' || strategy === 'canary'
  const saysSurge = partOf(update, 'max_surge') !== undefined
  const given = partOf(data, 'sticky')
  const sticky = given === undefined ? {} : given
  return {
    max_per_node: 1,
    ...(overlaps || saysSurge ? {} : { exclusive: true }),
    ...(data as Record<string, unknown>),
    ...(isMapping(sticky) ? { sticky: { node: true, ...sticky } } : {}),
  }
}

function entriesOf(value: unknown): [string, unknown][] {
  return isMapping(value) ? Object.entries(value) : []
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
