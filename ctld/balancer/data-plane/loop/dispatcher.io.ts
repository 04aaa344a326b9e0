// Sends requests to instances at the end of a turn of the event loop. By then every connection that
// an instance closed in the meantime is known and out of its pool: the look at a connection before
// it is used again. And requests of several clients may leave as one write on one connection.

import type { Engine } from './engine.ts'
import type { Exchange } from './exchange.io.ts'
import { InstanceConnection } from './instance-connection.io.ts'
import { GROUP_MAX, mayShare } from './quickness.ts'
import type { Upstream } from './upstream.ts'

/** What must not be repeated takes only a connection that was in use a moment ago. */
const FRESH_MS = 1_000

export type Dispatcher = {
  /** The exchange has claimed its instance. */
  submit(exchange: Exchange): void
  /** They shared a connection and are sent again, each by itself. They keep their claim. */
  sendAgain(exchanges: readonly Exchange[]): void
}

export function createDispatcher(engineOf: () => Engine): Dispatcher {
  const dirty: Upstream[] = []
  let isScheduled = false

  function flushAll(): void {
    isScheduled = false
    const now = engineOf().clock.now()
    // What comes in meanwhile is for the next turn.
    for (const upstream of dirty.splice(0)) flush(upstream, now)
  }

  function flush(upstream: Upstream, now: number): void {
    const batch = upstream.batch as Exchange[]
    upstream.batch = []
    const isShareable = batch.length > 1 && mayShare(upstream, now)
    let group: Exchange[] = []
    for (const exchange of batch) {
      if (exchange.isOver) continue
      if (isShareable && exchange.mayShare) {
        group.push(exchange)
        if (group.length < GROUP_MAX) continue
        send(upstream, group, now)
        group = []
      } else {
        send(upstream, [exchange], now)
      }
    }
    if (group.length > 0) send(upstream, group, now)
  }

  function send(upstream: Upstream, group: Exchange[], now: number): void {
    const [first] = group as [Exchange]
    // A tunnel never comes back into the pool.
    const isAlone = first.wantsFresh || first.asked.protocol !== ''
    const idle = isAlone ? undefined : idleOf(upstream, first, now)
    if (idle !== undefined) upstream.counters.reuses += group.length
    const connection = idle ?? new InstanceConnection(engineOf(), upstream)
    for (const exchange of group) exchange.sentOn(connection)
    connection.send(group)
  }

  /** The one that was used last. Those that stand longer than their program allows are dropped. */
  function idleOf(
    upstream: Upstream,
    first: Exchange,
    now: number,
  ): InstanceConnection | undefined {
    const { idle } = upstream
    const last = idle.at(-1) as InstanceConnection | undefined
    if (last === undefined) return undefined
    if (last.idleUntil <= now) {
      // It was put there last, so all the others stand even longer.
      for (const connection of [...idle]) connection.destroy()
      return undefined
    }
    const isSafeToUse = now - last.idleSince <= FRESH_MS && upstream.doubtedUntil <= now
    if (!first.isRepeatable && !isSafeToUse) return undefined
    idle.pop()
    return last
  }

  function submit(exchange: Exchange): void {
    const upstream = exchange.upstream as Upstream
    if (upstream.batch.length === 0) dirty.push(upstream)
    upstream.batch.push(exchange)
    if (isScheduled) return
    isScheduled = true
    setImmediate(flushAll)
  }

  return {
    submit,
    sendAgain(exchanges) {
      for (const exchange of exchanges) {
        if (exchange.isOver) continue
        exchange.mayShare = false
        submit(exchange)
      }
    },
  }
}
