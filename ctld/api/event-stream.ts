// The cluster's history as server-sent events. A reader pulls: what it has not taken waits in the
// store, not in memory, and a reader that takes nothing for STALL_MS is closed. Its last id is
// its cursor; with it (Last-Event-ID) it goes on where it was.

import { Readable } from 'node:stream'
import { TucanoError } from '#shared/errors.ts'
import type { ClusterEvent } from '#shared/model.ts'
import { type ApiContext, onceRouted } from './context.ts'

export const STREAMS_MAX = 100
export const HEARTBEAT_MS = 15_000
export const STALL_MS = 30_000
const BATCH_MAX = 100
const BUFFER_BYTES = 64 * 1024

export type EventStreams = {
  /** Throws `unavailable` when STREAMS_MAX are open. */
  open(after: number, signal: AbortSignal): Readable
}

export function createEventStreams(context: ApiContext): EventStreams {
  let open = 0
  return {
    open(after, signal) {
      if (open >= STREAMS_MAX) {
        throw new TucanoError('unavailable', `there are ${STREAMS_MAX} event streams already`)
      }
      open += 1
      let stalled = () => {}
      const stream = Readable.from(
        chunks(
          context,
          after,
          signal,
          (cancel) => {
            stalled = cancel
          },
          () => stream.destroy(),
        ),
        { objectMode: false, highWaterMark: BUFFER_BYTES },
      )
      stream.once('close', () => {
        stalled()
        open -= 1
      })
      return stream
    },
  }
}

async function* chunks(
  context: ApiContext,
  after: number,
  signal: AbortSignal,
  onWatch: (cancel: () => void) => void,
  giveUp: () => void,
): AsyncGenerator<string> {
  const { ctld, changes, clock } = context
  let cursor = after
  const watch = () => {
    const cancel = clock.after(STALL_MS, giveUp)
    onWatch(cancel)
    return cancel
  }
  let stop = watch()
  yield 'retry: 2000\n\n'
  stop()
  while (!signal.aborted) {
    const isNews = () => (ctld.snapshot().lastEventCursor > cursor ? true : undefined)
    const news = await changes.until(isNews, HEARTBEAT_MS, signal)
    if (signal.aborted) return
    const events =
      news === true ? await onceRouted(context, await ctld.events(cursor, BATCH_MAX)) : []
    cursor = events.at(-1)?.cursor ?? cursor
    stop = watch()
    yield events.length === 0 ? ': still here\n\n' : events.map(frameOf).join('')
    stop()
  }
}

function frameOf(event: ClusterEvent): string {
  return `id: ${event.cursor}\ndata: ${JSON.stringify(event)}\n\n`
}
