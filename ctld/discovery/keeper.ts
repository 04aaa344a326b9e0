// Keeps the world on disk: one commit at the end of each step that changed something. When the
// disk refuses, what is declared cannot change any more (requests get the reason), but watching,
// balancing and re-placing go on from memory, and every second the whole backlog is tried again.

import type { Store, StoreChanges } from '#ctld/ports.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import type { ClusterEvent } from '#shared/model.ts'
import { documentOf, tellNews, type World } from './world.ts'

/** Events that wait for a disk that refuses; older ones are dropped. */
const BACKLOG_MAX = 10_000

export type Keeper = {
  startAt(lastEventCursor: number): void
  /** Resolves to the failure, if there was one; then nothing counts as committed. */
  commit(world: World): Promise<TucanoError | undefined>
  /** Notes the outcome of the last commit and tells of a change; true: there is news to decide. */
  noteHealth(world: World, failure: TucanoError | undefined, now: number): boolean
  degraded(): string | null
  /** This life's epoch is on disk: before that it must not stand in an order, or a later life
   * might take a lower one and no agent would obey it. */
  isEpochDurable(): boolean
  lastEventCursor(): number
}

export function createKeeper(store: Store): Keeper {
  let cursor = 0
  let degraded: string | null = null
  let isEpochDurable = false

  function changesOf(world: World): StoreChanges {
    const { tables } = world
    const isDocumentDirty = [tables.services, tables.nodes, tables.facts].some((table) => {
      const { put, remove } = table.changes()
      return put.length + remove.length > 0
    })
    return {
      ...(isDocumentDirty ? { document: documentOf(world) } : {}),
      instances: tables.instances.changes(),
      deployments: tables.deployments.changes(),
      events: world.news.map(
        (news, index): ClusterEvent => ({ cursor: cursor + index + 1, ...news }),
      ),
    }
  }

  return {
    startAt(last) {
      cursor = last
    },
    async commit(world) {
      if (!world.tables.isDirty() && world.news.length === 0) return undefined
      if (world.news.length > BACKLOG_MAX) world.news = world.news.slice(-BACKLOG_MAX)
      try {
        await store.commit(changesOf(world))
      } catch (error) {
        return error instanceof TucanoError
          ? error
          : new TucanoError('store_failed', messageOf(error), { cause: error })
      }
      world.tables.committed()
      isEpochDurable = true
      cursor += world.news.length
      world.news = []
      return undefined
    },
    noteHealth(world, failure, now) {
      const words = failure?.message ?? null
      if ((words === null) === (degraded === null)) {
        degraded = words
        return false
      }
      degraded = words
      const text = words ?? 'the state is on disk again'
      const what = words === null ? 'ends' : 'begins'
      world.occurrences.push({ incident: 'store', subject: 'data folder', what, text })
      tellNews(world, now, words === null ? 'store.recovered' : 'store.failed', text, {})
      return true
    },
    degraded: () => degraded,
    isEpochDurable: () => isEpochDurable,
    lastEventCursor: () => cursor,
  }
}
