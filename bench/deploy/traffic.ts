// Requests by the clock, on connections that stay and on new ones, and what became of each: how
// many, how many failed and why, and how long they took in each phase of what is measured.

import { createAnswerReader } from '#bench/balancer/load/answer-reader.ts'
import { type Client, type Dialogue, openClient } from '#bench/balancer/load/client.ts'
import { createLatencies, type Latencies } from '#bench/latencies.ts'

/** What is due while nobody is free waits; beyond this the run is of no use. */
const BEHIND_SECONDS_MAX = 20
/** Of the requests; the others go on connections that stay. */
const FRESH_SHARE = 0.1

export type Phase = 'before' | 'during' | 'after'

export type Seen = {
  requests: number
  failed: number
  failures: Record<string, number>
  p99Ms: Record<Phase, number>
}

export type Traffic = {
  phase(phase: Phase): void
  /** Resolves when so many requests in all have been answered. */
  reach(requests: number): Promise<void>
  requests(): number
  /** No more requests; resolves when the last is answered. */
  stop(): Promise<Seen>
}

export type TrafficOptions = {
  port: number
  host: string
  body: Buffer
  /** Requests per second. */
  rate: number
  connections: number
}

export async function startTraffic(options: TrafficOptions): Promise<Traffic> {
  const latencies: Record<Phase, Latencies> = {
    before: createLatencies(),
    during: createLatencies(),
    after: createLatencies(),
  }
  const failures = new Map<string, number>()
  const waiting: { requests: number; resolve: () => void; reject: (error: Error) => void }[] = []
  let phase: Phase = 'before'
  let answered = 0
  let failed = 0

  function note(why: string | undefined, ms: number): void {
    answered += 1
    latencies[phase].add(ms)
    if (why !== undefined) {
      failed += 1
      failures.set(why, (failures.get(why) ?? 0) + 1)
    }
    while ((waiting[0]?.requests ?? Number.POSITIVE_INFINITY) <= answered) {
      waiting.shift()?.resolve()
    }
  }

  const stay = createStream(options, { share: 1 - FRESH_SHARE, isFresh: false, note })
  const fresh = createStream(options, { share: FRESH_SHARE, isFresh: true, note })
  const begin = performance.now()
  let isGoing = true
  const turn = () => {
    if (!isGoing) return
    const now = performance.now()
    const behind = Math.max(stay.sendDue(begin, now), fresh.sendDue(begin, now))
    if (behind > BEHIND_SECONDS_MAX) {
      isGoing = false
      const error = new Error(`${behind.toFixed(1)} s behind the rate of ${options.rate}/s`)
      for (const { reject } of waiting.splice(0)) reject(error)
      return
    }
    // Timers are a millisecond wide, which is narrow enough beside what is looked for.
    setTimeout(turn, 1)
  }
  turn()

  return {
    phase(next) {
      phase = next
    },
    reach: (requests) =>
      new Promise((resolve, reject) => {
        if (answered >= requests) return resolve()
        if (!isGoing) return reject(new Error('the traffic has ended'))
        waiting.push({ requests, resolve, reject })
        waiting.sort((left, right) => left.requests - right.requests)
      }),
    requests: () => answered,
    async stop() {
      isGoing = false
      await Promise.all([stay.close(), fresh.close()])
      const p99Ms = (of: Phase) => latencies[of].summary().p99Ms
      return {
        requests: answered,
        failed,
        failures: Object.fromEntries([...failures].sort()),
        p99Ms: { before: p99Ms('before'), during: p99Ms('during'), after: p99Ms('after') },
      }
    },
  }
}

type Stream = {
  /** Sends what is due at `now`; answers how many seconds it is behind. */
  sendDue(begin: number, now: number): number
  close(): Promise<void>
}

function createStream(
  { port, host, body, rate, connections }: TrafficOptions,
  kind: {
    share: number
    isFresh: boolean
    note: (why: string | undefined, ms: number) => void
  },
): Stream {
  const dialogue: Dialogue = {
    request:
      `GET / HTTP/1.1\r\nHost: ${host}\r\n` + `${kind.isFresh ? 'Connection: close\r\n' : ''}\r\n`,
    createReader: () => createAnswerReader(body),
    isLast: kind.isFresh,
  }
  const gapMs = 1_000 / (rate * kind.share)
  const clients = new Set<Client>()
  const free: Client[] = []
  const dueOf = new Map<Client, number>()
  let sent = 0
  let isClosed = false
  let onQuiet: (() => void) | undefined

  function add(): void {
    if (isClosed) return
    const client = openClient(port, dialogue, {
      ready: (one) => void free.push(one),
      answered(one) {
        took(one, undefined)
        if (kind.isFresh) replace(one)
        else free.push(one)
      },
      failed(one, why) {
        took(one, why)
        const at = free.indexOf(one)
        if (at !== -1) free.splice(at, 1)
        replace(one)
      },
    })
    clients.add(client)
  }

  function replace(one: Client): void {
    clients.delete(one)
    add()
  }

  /** A connection that breaks while nothing is asked on it is a failure too: it was accepted. */
  function took(one: Client, why: string | undefined): void {
    const now = performance.now()
    const due = dueOf.get(one)
    dueOf.delete(one)
    if (!isClosed || due !== undefined) kind.note(why, now - (due ?? now))
    if (dueOf.size === 0) onQuiet?.()
  }

  for (let index = 0; index < connections; index += 1) add()
  return {
    sendDue(begin, now) {
      for (let due = begin + sent * gapMs; due <= now; due = begin + sent * gapMs) {
        const client = free.pop()
        if (client === undefined) return (now - due) / 1_000
        sent += 1
        dueOf.set(client, due)
        client.send()
      }
      return 0
    },
    async close() {
      isClosed = true
      if (dueOf.size > 0) {
        await new Promise<void>((resolve) => {
          onQuiet = resolve
        })
      }
      for (const client of clients) client.close()
    },
  }
}
