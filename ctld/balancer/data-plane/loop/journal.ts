// Notes what became of each request: in the counters of its service and, where it is wanted, as a
// line of the access log.

import type { RequestHead } from '#ctld/balancer/data-plane/http1/request-head.ts'
import type { TcpEnding } from '#ctld/balancer/data-plane/tcp/tcp-session.io.ts'
import type { Clock } from '#shared/ports.ts'
import { accessLine, createStamp } from './access-line.ts'
import type { Account } from './account.ts'
import type { Ended } from './tally.ts'
import type { Lane } from './upstream.ts'

export type Journal = {
  ended(account: Account): void
  endedTcp(lane: Lane, client: string, ending: TcpEnding): void
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

/** Writes each as a line of JSON. */
export function lineWriter(
  to: { append(line: string): void },
  clock: Pick<Clock, 'wall'>,
): LineWriter {
  const stamp = createStamp()
  return (line) => {
    to.append(
      accessLine({
        at: stamp(clock.wall()),
        client: line.client,
        service: line.service,
        instance: line.instance,
        method: line.method,
        host: line.host,
        path: line.path,
        status: line.status,
        bytesIn: line.bytesIn,
        bytesOut: line.bytesOut,
        queueUs: microseconds(line.queueMs),
        connectUs: microseconds(line.connectMs),
        firstByteUs: microseconds(line.firstByteMs),
        totalUs: microseconds(line.totalMs),
        retries: line.retries,
        isReused: line.wasReused,
        endedBy: line.endedBy,
        phase: line.phase,
        requestId: line.requestId,
        error: line.error,
      }),
    )
  }
}

function microseconds(ms: number): number {
  return ms <= 0 ? 0 : Math.round(ms * 1_000)
}

const blank: Line = {
  client: '',
  service: '',
  instance: '',
  method: '',
  host: '',
  path: '',
  status: 0,
  endedBy: '',
  phase: '',
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
}

export function createJournal(): Journal {
  const rejected: Record<string, number> = {}
  let write: LineWriter | undefined

  return {
    ended(account) {
      const { lane, asked } = account
      lane.tally.ended(account)
      write?.({
        client: asked.from,
        service: lane.service,
        instance: account.instance,
        method: asked.method,
        host: asked.host,
        path: asked.path,
        status: account.status,
        endedBy: account.endedBy,
        phase: account.phase,
        queueMs: account.queueMs,
        connectMs: account.connectMs,
        firstByteMs: account.firstByteMs,
        totalMs: account.totalMs,
        bytesIn: account.bytesIn,
        bytesOut: account.bytesOut,
        retries: account.retries,
        wasReused: account.wasReused,
        requestId: asked.requestId,
        error: account.error,
      })
    },

    endedTcp(lane, client, ending) {
      const { how, queueMs, connectMs, totalMs, bytesIn, bytesOut, retries, error } = ending
      const hasEndedWell = how === 'end' && ending.phase === 'tunnel'
      const ended: Ended = {
        status: 0,
        endedBy: hasEndedWell ? '' : ending.endedBy,
        phase: hasEndedWell ? '' : ending.phase,
        queueMs,
        firstByteMs: -1,
        totalMs,
        bytesIn,
        bytesOut,
      }
      lane.tally.ended(ended)
      lane.tally.counters.retries += retries
      write?.({
        ...blank,
        ...ended,
        client,
        service: lane.service,
        instance: ending.instance ?? '',
        connectMs,
        retries,
        error: error ?? '',
      })
    },

    rejected(client, status, head) {
      rejected[status] = (rejected[status] ?? 0) + 1
      if (write === undefined) return
      write({
        ...blank,
        client,
        status,
        method: head?.method ?? '',
        host: head?.host ?? '',
        path: head?.path ?? '',
        endedBy: 'balancer',
        phase: 'request',
      })
    },

    rejections: () => ({ ...rejected }),
    logTo(next) {
      write = next
    },
  }
}
