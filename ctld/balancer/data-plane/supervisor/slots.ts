// Decides where each instance's requests in flight are counted, and when an instance that left the
// table is drained: when no member that had it in a table has a request for it any more. Members
// are the loops and, during an upgrade, the program that was before.

import { assert } from '#shared/assert.ts'
import { TucanoError } from '#shared/errors.ts'

export type Slots = {
  /** A table came. Throws `limit_reached`, and nothing changes, when there are too few slots. */
  apply(instances: Iterable<string>): string[]
  /**
   * The member was handed this table; until it says otherwise it may have requests for these. An
   * instance that nobody knew is one that left the table.
   */
  posted(member: string, version: number, instances: Iterable<string>): void
  /** By the table of this version the member has no request for the instance. */
  emptied(member: string, instance: string, version: number): string[]
  /** The member ended, and all its requests with it. */
  gone(member: string): string[]
  /** Of every instance that is known. */
  table(): Record<string, number>
  /** In the table, or out of it and not drained. Sorted. */
  routed(): string[]
}

type Entry = {
  slot: number
  isInTable: boolean
  /** Members that may have requests for it, with the last table in which they were given it. */
  holders: Map<string, number>
}

/** What answers with instances answers with those that are drained now. */
export function createSlots(slotsMax: number): Slots {
  const entries = new Map<string, Entry>()
  const free: number[] = []
  let used = 0

  return {
    apply(instances) {
      const wanted = new Set(instances)
      const fresh = [...wanted].filter((instance) => !entries.has(instance))
      if (fresh.length > free.length + slotsMax - used) {
        throw new TucanoError(
          'limit_reached',
          `the balancer counts ${slotsMax} instances at the most, those that are draining included`,
        )
      }
      for (const instance of fresh) add(instance)
      for (const [instance, entry] of entries) entry.isInTable = wanted.has(instance)
      return drained(entries.keys())
    },
    posted(member, version, instances) {
      for (const instance of instances) {
        const entry = entries.get(instance) ?? add(instance)
        entry.holders.set(member, version)
      }
    },
    emptied(member, instance, version) {
      const holders = entries.get(instance)?.holders
      // It was given the instance again in a table that it had not read when it said so.
      if (holders === undefined || version <= (holders.get(member) ?? Infinity)) return []
      holders.delete(member)
      return drained([instance])
    },
    gone(member) {
      for (const { holders } of entries.values()) holders.delete(member)
      return drained(entries.keys())
    },
    table: () => Object.fromEntries([...entries].map(([instance, { slot }]) => [instance, slot])),
    routed: () => [...entries.keys()].sort(),
  }

  function drained(among: Iterable<string>): string[] {
    const found = [...among].filter((instance) => {
      const entry = entries.get(instance)
      return entry !== undefined && !entry.isInTable && entry.holders.size === 0
    })
    for (const instance of found) {
      free.push(entries.get(instance)?.slot as number)
      entries.delete(instance)
    }
    return found
  }

  function add(instance: string): Entry {
    const slot = free.pop() ?? used++
    assert(slot < slotsMax, 'a slot is free')
    const entry = { slot, isInTable: false, holders: new Map<string, number>() }
    entries.set(instance, entry)
    return entry
  }
}
