// Sums of requests: how many, how many failed, how long they took. Pure.

import { countOf, latencyAt } from '#ctld/balancer/balancer.ts'
import type { InstanceCounters, ServiceCounters } from '#ctld/balancer/data-plane/counters.ts'
import type { Latencies } from '#ctld/balancer/data-plane/latency.ts'
import type { Figures } from '#shared/model.ts'

const P99 = 0.99
const US_PER_MS = 1_000
const SERVER_ERROR = 500

export type Tally = { requests: number; failed: number; latencies: Latencies }

export function newTally(): Tally {
  return { requests: 0, failed: 0, latencies: {} }
}

/** Adds `more` to `sum`. */
export function add(sum: Tally, more: Tally): void {
  sum.requests += more.requests
  sum.failed += more.failed
  addLatencies(sum, more.latencies)
}

export function addLatencies({ latencies }: Tally, more: Latencies): void {
  for (const [bucket, count] of Object.entries(more)) {
    latencies[bucket] = (latencies[bucket] ?? 0) + count
  }
}

/** What an instance did in all. A data plane of a former version does not tell it. */
export function ofInstance({ failed = 0, latency = {} }: Partial<InstanceCounters>): Tally {
  return { requests: countOf(latency), failed, latencies: latency }
}

/** What the service's clients got in all: an answer that came to no end is no good one. */
export function ofService({ requests, statuses, endings }: ServiceCounters): Tally {
  let failed = (endings['instance body'] ?? 0) + (endings['balancer body'] ?? 0)
  for (const [status, count] of Object.entries(statuses)) {
    if (Number(status) >= SERVER_ERROR) failed += count
  }
  return { requests, failed, latencies: {} }
}

/** What came on top since `last`. Counts that fell were forgotten, and say nothing. */
export function since(last: Tally, now: Tally): Tally {
  const latencies: Latencies = {}
  for (const [bucket, count] of Object.entries(now.latencies)) {
    const more = count - (last.latencies[bucket] ?? 0)
    if (more > 0) latencies[bucket] = more
  }
  return {
    requests: Math.max(0, now.requests - last.requests),
    failed: Math.max(0, now.failed - last.failed),
    latencies,
  }
}

/** 0..1; 0 when nothing was counted. */
export function shareOf({ requests, failed }: Tally): number {
  return requests === 0 ? 0 : Math.min(1, failed / requests)
}

/** Milliseconds; null: nothing was counted. */
export function p99Of({ latencies }: Tally): number | null {
  const us = latencyAt(latencies, P99)
  return us === null ? null : us / US_PER_MS
}

/** Milliseconds to one digit behind the point. */
export function figuresOf(tally: Tally): Figures {
  const p99 = p99Of(tally)
  const { requests, failed } = tally
  return { requests, failed, p99Ms: p99 === null ? null : Math.round(p99 * 10) / 10 }
}
