// Decides whether requests of several clients may share a connection to an instance, one behind the
// other. An instance proves itself by answers that are quick, framed and keep the connection; a
// single slow or large one sends its requests on connections of their own for a while.

import { type ResponseHead, UNTIL_CLOSE } from '#ctld/balancer/data-plane/http1/response-head.ts'
import type { Upstream } from './upstream.ts'

/** Answers in a row. */
const PROVEN_ANSWERS = 32
/** What an answer may make the next one wait. A program at its limit has some ten for everybody. */
const QUICK_MS = 25
const SMALL_BYTES = 64 * 1024
/** After that those behind a slow answer are sent again, each on a connection of its own. */
export const QUEUE_PATIENCE_MS = 50
/** Requests on one connection at a time. */
export const GROUP_MAX = 32
/** A busy machine makes everybody wait now and then, so it begins with little. */
export const ALONE_START_MS = 1_000
const ALONE_MAX_MS = 60_000
/** Quick answers in a row after which the former times are forgotten. */
const FORGIVEN_ANSWERS = 10_000

export function mayShare(upstream: Upstream, now: number): boolean {
  return (
    upstream.quickAnswers >= PROVEN_ANSWERS &&
    upstream.aloneUntil <= now &&
    upstream.lane.route.pipelining
  )
}

/** `tookMs`: since it was the first in its queue. `length`: of its body, negative if not known. */
export function noteQuickness(
  upstream: Upstream,
  head: ResponseHead,
  answer: { tookMs: number; length: number },
): void {
  const isQuick =
    answer.tookMs <= QUICK_MS &&
    answer.length <= SMALL_BYTES &&
    answer.length !== UNTIL_CLOSE &&
    head.keepAlive &&
    head.minor === 1
  upstream.quickAnswers = isQuick ? upstream.quickAnswers + 1 : 0
  if (upstream.quickAnswers === FORGIVEN_ANSWERS) upstream.aloneMs = ALONE_START_MS
}

/** Requests that shared a connection had to be sent again: for longer each time. */
export function noteStuck(upstream: Upstream, now: number): void {
  upstream.quickAnswers = 0
  upstream.aloneUntil = now + upstream.aloneMs
  upstream.aloneMs = Math.min(upstream.aloneMs * 2, ALONE_MAX_MS)
}
