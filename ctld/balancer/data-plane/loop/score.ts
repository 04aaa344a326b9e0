// Counts how an instance did with the requests that it was given: how long until it answered, and
// how many it failed. A deployment is judged by that.

import { bucketOf } from '#ctld/balancer/data-plane/latency.ts'
import type { Upstream } from './upstream.ts'

const US_PER_MS = 1_000
const SERVER_ERROR = 500

type Scored = Pick<Upstream, 'took' | 'counters'>

/** `ms`: from its being given the request to the first byte of its answer. */
export function scoreAnswer(upstream: Scored, status: number, ms: number): void {
  took(upstream, ms)
  if (status >= SERVER_ERROR) upstream.counters.failed += 1
}

/** It took the request, and `ms` later it is known that no answer comes. */
export function scoreNoAnswer(upstream: Scored, ms: number): void {
  took(upstream, ms)
  upstream.counters.failed += 1
}

/** It did not answer to the end. One that had failed by its status fails once. */
export function scoreCut(upstream: Scored, status: number): void {
  if (status < SERVER_ERROR) upstream.counters.failed += 1
}

function took({ took }: Scored, ms: number): void {
  const bucket = bucketOf(ms * US_PER_MS)
  took[bucket] = (took[bucket] as number) + 1
}
