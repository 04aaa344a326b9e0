// Notes what became of each request: in the counters of its service and, where it is wanted, as a
// line of the access log.

import type { RequestHead } from '#ctld/balancer/data-plane/http1/request-head.ts'
import type { Exchange } from './exchange.io.ts'
import type { Ended } from './tally.ts'

export type Journal = {
  ended(exchange: Exchange, ended: Ended, instance: string): void
  /** It belongs to no service. `head`: where there was a valid one. */
  rejected(client: string, status: number, head: RequestHead | undefined): void
  rejections(): Record<string, number>
  /** undefined: none is written. */
  logTo(write: LineWriter | undefined): void
}

export type LineWriter = (line: Line) => void

/** One line of the access log. Times are milliseconds; -1: it did not come that far. */
export type Line = Ended & {
  client: string
  service: string
  instance: string
  method: string
  host: string
  path: string
  connectMs: number
  retries: number
  wasReused: boolean
  requestId: string
  error: string
}

export function createJournal(): Journal {
  const rejected: Record<string, number> = {}
  let write: LineWriter | undefined

  return {
    ended(exchange, ended, instance) {
      const { lane, asked } = exchange
      lane.tally.ended(ended)
      if (write === undefined) return
      write({
        ...ended,
        client: asked.from,
        service: lane.service,
        instance,
        method: asked.method,
        host: asked.host,
        path: asked.path,
        connectMs: exchange.connectMs,
        retries: exchange.retries,
        wasReused: exchange.wasReused,
        requestId: asked.requestId,
        error: exchange.error,
      })
    },

    rejected(client, status, head) {
      rejected[status] = (rejected[status] ?? 0) + 1
      if (write === undefined) return
      write({
        client,
        status,
        method: head?.method ?? '',
        host: head?.host ?? '',
        path: head?.path ?? '',
        endedBy: 'balancer',
        phase: 'request',
        service: '',
        instance: '',
        queueMs: -1,
        connectMs: -1,
        firstByteMs: -1,
        totalMs: 0,
        bytesIn: 0,
        bytesOut: 0,
        retries: 0,
        wasReused: false,
        requestId: '',
        error: '',
      })
    },

    rejections: () => ({ ...rejected }),
    logTo(next) {
      write = next
    },
  }
}
