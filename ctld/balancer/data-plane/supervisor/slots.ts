// Decides where each instance's requests in flight are counted, and when an instance that left the
// table is drained: when no loop that had it in a table has a request for it any more. Members
// are the loops and, during an upgrade, the program that was before.

import { assert } from '#shared/assert.ts'
import { TucanoError } from '#shared/errors.ts'

/** An instance is drained: since the table of this serial, the first without it. */
export type Drained = { instance: string; serial: number }

export type Slots = {
  /** A table came. Throws `limit_reached`, and nothing changes, when there are too few slots. */
  apply(serial: number, instances: Iterable<string>): Drained[]
  /** The member was handed this table; until it says otherwise it may have requests for these. */
  posted(member: string, serial: number, instances: Iterable<string>): void
  /** By the table of this serial the member has no request for the instance. */
  emptied(member: string, instance: string, serial: number): Drained[]
  /** The member ended, and all its requests with it. */
  gone(member: string): Drained[]
  /** Of every instance that is known. */
  table(): Record<string, number>
  /** In the table, or out of it and not drained. Sorted. */
  routed(): string[]
}

type Entry = {
  slot: number
  /** undefined: it is in the table. */
  leftBy: number | undefined
  /** Members that may have requests for it, with the last table in which they were given it. */
  holders: Map<string, number>
}

export function createSlots(slotsMax: number): Slots {
  const entries = new Map<string, Entry>()
  const free: number[] = []
  let used = 0

  return {
    apply(serial, instances) {
      const wanted = new Set(instances)
      const fresh = [...wanted].filter((instance) => !entries.has(instance))
      if (fresh.length > free.length + slotsMax - used) {
        throw new TucanoError(
          'limit_reached',
          `the balancer counts ${slotsMax} instances at the most, those that are draining included`,
        )
      }
      for (const instance of fresh) {
        entries.set(instance, { slot: nextSlot(), leftBy: undefined, holders: new Map() })
      }
      for (const [instance, entry] of entries) {
        entry.leftBy = wanted.has(instance) ? undefined : (entry.leftBy ?? serial)
      }
      return drained()
    },
    posted(member, serial, instances) {
      for (const instance of instances) entries.get(instance)?.holders.set(member, serial)
    },
    emptied(member, instance, serial) {
      const holders = entries.get(instance)?.holders
      // It was given the instance again in a table that it had not read when it said so.
      if (holders === undefined || serial <= (holders.get(member) ?? Infinity)) return []
      holders.delete(member)
      return drained([instance])
    },
    gone(member) {
      for (const { holders } of entries.values()) holders.delete(member)
      return drained()
    },
    table: () => Object.fromEntries([...entries].map(([instance, { slot }]) => [instance, slot])),
    routed: () => [...entries.keys()].sort(),
  }

  function drained(among: Iterable<string> = [...entries.keys()]): Drained[] {
    const found: Drained[] = []
    for (const instance of among) {
      const entry = entries.get(instance)
      if (entry?.leftBy === undefined || entry.holders.size > 0) continue
      entries.delete(instance)
      free.push(entry.slot)
      found.push({ instance, serial: entry.leftBy })
    }
    return found
  }

  function nextSlot(): number {
    const slot = free.pop() ?? used++
    assert(slot < slotsMax, 'a slot is free')
    return slot
  }
}
