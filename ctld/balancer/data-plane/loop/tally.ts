// Counts what happens to the requests of one service in one loop, as cheaply as it can be done,
// and tells it in the words of counters.ts.

import {
  newServiceCounters,
  record,
  type ServiceCounters,
} from '#ctld/balancer/data-plane/counters.ts'

export const ENDED_BY = ['', 'client', 'instance', 'balancer'] as const
export const PHASES = ['', 'request', 'queue', 'connect', 'head', 'body', 'tunnel'] as const
export type EndedBy = (typeof ENDED_BY)[number]
export type Phase = (typeof PHASES)[number]

const STATUSES = 1_000
const US_PER_MS = 1_000

export type Ended = {
  /** 0: no answer reached the client. */
  status: number
  endedBy: EndedBy
  phase: Phase
  /** Milliseconds; -1: it did not come that far. */
  queueMs: number
  firstByteMs: number
  totalMs: number
  bytesIn: number
  bytesOut: number
}

export class Tally {
  readonly counters: ServiceCounters = newServiceCounters()
  readonly #statuses = new Float64Array(STATUSES)
  readonly #endings = new Float64Array(ENDED_BY.length * PHASES.length)

  ended(one: Ended): void {
    const { counters } = this
    counters.requests += 1
    counters.bytesIn += one.bytesIn
    counters.bytesOut += one.bytesOut
    this.#statuses[one.status] = (this.#statuses[one.status] as number) + 1
    record(counters.total, one.totalMs * US_PER_MS)
    if (one.firstByteMs >= 0) record(counters.firstByte, one.firstByteMs * US_PER_MS)
    if (one.queueMs > 0) {
      counters.queued += 1
      record(counters.queue, one.queueMs * US_PER_MS)
    }
    if (one.endedBy === '') return
    const at = ENDED_BY.indexOf(one.endedBy) * PHASES.length + PHASES.indexOf(one.phase)
    this.#endings[at] = (this.#endings[at] as number) + 1
  }

  /** A copy, with the gauges of this moment. */
  told(gauges: Pick<ServiceCounters, 'waiting' | 'inFlight' | 'instances'>): ServiceCounters {
    const statuses: Record<string, number> = {}
    for (const [status, count] of this.#statuses.entries()) {
      if (count > 0) statuses[status] = count
    }
    const endings: Record<string, number> = {}
    for (const [at, count] of this.#endings.entries()) {
      if (count === 0) continue
      const who = ENDED_BY[Math.floor(at / PHASES.length)]
      endings[`${who} ${PHASES[at % PHASES.length]}`.trim()] = count
    }
    return structuredClone({ ...this.counters, ...gauges, statuses, endings })
  }
}
