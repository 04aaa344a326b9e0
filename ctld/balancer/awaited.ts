// Decides of which instances the data plane may have requests in flight, and so which must not be
// stopped yet: those in a table, those that it names itself, until it says that they are drained.

import type { RouteTable } from '#ctld/ports.ts'

export type Awaited = {
  published(table: RouteTable): void
  /** By the table of this version; true: it is the truth and not the past. */
  drained(instance: string, version: number): boolean
  /**
   * A connection begins, and the other end names all that it may have requests for. `drained`:
   * they ended while there was no connection. `routed`: nobody knew of them here.
   */
  greeted(there: readonly string[]): { drained: string[]; routed: string[] }
}

export function createAwaited(): Awaited {
  /** With the version of the last table that had it; 0: none that was published here. */
  const lastIn = new Map<string, number>()
  let inTable = new Set<string>()

  return {
    published({ version, routes }) {
      inTable = new Set(routes.flatMap(({ targets }) => targets.map(({ instance }) => instance)))
      for (const instance of inTable) lastIn.set(instance, version)
    },
    drained(instance, version) {
      const last = lastIn.get(instance)
      // A table that is on its way, or came after it was said, has the instance.
      if (last === undefined || last > version || inTable.has(instance)) return false
      lastIn.delete(instance)
      return true
    },
    greeted(there) {
      const routed = there.filter((instance) => !lastIn.has(instance))
      const known = new Set(there)
      const gone = (instance: string) => !known.has(instance) && !inTable.has(instance)
      const drained = [...lastIn.keys()].filter(gone)
      for (const instance of drained) lastIn.delete(instance)
      // Versions count for one connection: the table is sent on it anew.
      for (const instance of there) if (!inTable.has(instance)) lastIn.set(instance, 0)
      return { drained, routed }
    },
  }
}
