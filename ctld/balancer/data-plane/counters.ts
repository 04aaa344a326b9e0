// What the data plane counts, per service and per instance, and how the counts of several loops
// become one. Counters only grow; gauges (in flight, waiting, open) are the moment's.

import type { Latencies } from './latency.ts'

export type DataPlaneCounters = {
  /** Since when it counts, ms since 1970. */
  startedAt: number
  tableVersion: number
  loops: number
  connections: { accepted: number; open: number; refused: number }
  /** Requests that belong to no service, by status (400, 404, 408 …). */
  rejected: Record<string, number>
  services: Record<string, ServiceCounters>
}

export type ServiceCounters = {
  requests: number
  /** By status, `101` for tunnels; `0`: the client left before an answer. */
  statuses: Record<string, number>
  /** By who ended it and in which phase: `client body`, `instance head`, `balancer queue` … */
  endings: Record<string, number>
  retries: number
  retriesDenied: number
  /** Requests that waited because every instance was full, none was there, or it was paused. */
  queued: number
  waiting: number
  inFlight: number
  bytesIn: number
  bytesOut: number
  /** Microseconds from the request's head to the end of its answer. */
  total: Histogram
  /** Microseconds from the request's head to the first byte of the answer. */
  firstByte: Histogram
  queue: Histogram
  instances: Record<string, InstanceCounters>
}

export type InstanceCounters = {
  requests: number
  inFlight: number
  connectAttempts: number
  connectErrors: number
  /** Requests that went on a connection that had served before. */
  reuses: number
  /** Reused connections that died before a byte of the answer. */
  reuseDeaths: number
  responseErrors: number
  idleConnections: number
  openConnections: number
  ejections: number
  connect: Histogram
  /** Requests that it answered with 5xx, or not to the end. */
  failed: number
  /** Of each request that it answered or gave up: until the first byte of the answer. */
  latency: Latencies
  /** Loops that have it in their table. Counts of one that left are told for a while longer. */
  inTable: number
}

/** Upper bounds in microseconds, then the sum and the count; the last bucket has no bound. */
export const HISTOGRAM_BOUNDS_US: readonly number[] = [
  100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
  2_500_000, 5_000_000, 10_000_000,
]

/** `counts` has one more than the bounds and is not cumulative. */
export type Histogram = { counts: number[]; sumUs: number; count: number }

export function newHistogram(): Histogram {
  return { counts: new Array(HISTOGRAM_BOUNDS_US.length + 1).fill(0), sumUs: 0, count: 0 }
}

export function record(histogram: Histogram, us: number): void {
  let bucket = 0
  while (bucket < HISTOGRAM_BOUNDS_US.length && us > (HISTOGRAM_BOUNDS_US[bucket] as number)) {
    bucket += 1
  }
  histogram.counts[bucket] = (histogram.counts[bucket] as number) + 1
  histogram.sumUs += us
  histogram.count += 1
}

export function newServiceCounters(): ServiceCounters {
  return {
    requests: 0,
    statuses: {},
    endings: {},
    retries: 0,
    retriesDenied: 0,
    queued: 0,
    waiting: 0,
    inFlight: 0,
    bytesIn: 0,
    bytesOut: 0,
    total: newHistogram(),
    firstByte: newHistogram(),
    queue: newHistogram(),
    instances: {},
  }
}

export function newInstanceCounters(): InstanceCounters {
  return {
    requests: 0,
    inFlight: 0,
    connectAttempts: 0,
    connectErrors: 0,
    reuses: 0,
    reuseDeaths: 0,
    responseErrors: 0,
    idleConnections: 0,
    openConnections: 0,
    ejections: 0,
    connect: newHistogram(),
    failed: 0,
    latency: {},
    inTable: 0,
  }
}

/** The sum of what several loops counted. All objects of one shape add up key by key. */
export function sumOf(all: readonly DataPlaneCounters[]): DataPlaneCounters {
  const [first, ...rest] = all
  if (first === undefined) throw new RangeError('nothing to sum')
  const sum = structuredClone(first)
  for (const one of rest) add(sum as unknown as Tree, one as unknown as Tree)
  return {
    ...sum,
    startedAt: Math.min(...all.map(({ startedAt }) => startedAt)),
    tableVersion: Math.min(...all.map(({ tableVersion }) => tableVersion)),
  }
}

type Tree = { [key: string]: number | Tree }

// Arrays are trees whose keys are their places.
function add(sum: Tree, more: Tree): void {
  for (const [key, value] of Object.entries(more)) {
    const known = sum[key]
    if (known === undefined) sum[key] = structuredClone(value)
    else if (typeof value === 'number') sum[key] = (known as number) + value
    else add(known as Tree, value)
  }
}
