// Where and when an instance failed: each try to start and each crash, as the instance remembers
// them itself, so that they outlive a restart of the controller. Pure.

import type { Instance } from '#shared/model.ts'

/** Failures that an instance remembers, the newest ones. */
export const FAILURES_KEPT_MAX = 10

/** `is`, the instance after an event at `now`, with what failed by that event. */
export function withFailures(was: Instance, is: Instance, now: number): Instance {
  const count = Math.min(failureCount(was, is), FAILURES_KEPT_MAX)
  if (count === 0) return is
  const added = Array.from({ length: count }, () => ({ node: was.node, at: now }))
  return { ...is, failures: [...(was.failures ?? []), ...added].slice(-FAILURES_KEPT_MAX) }
}

function failureCount(was: Instance, is: Instance): number {
  if (is === was) return 0
  const isTryOver = is.retryAt !== undefined && was.retryAt === undefined
  // What did not come back with its node did not fail by itself.
  const isEnd =
    is.state !== was.state &&
    was.state !== 'lost' &&
    (is.state === 'failed_to_start' || is.state === 'unexpected_crashed')
  if (isTryOver || isEnd) return 1
  // Its agent started it again by itself.
  return was.state === is.state ? Math.max(is.restarts - was.restarts, 0) : 0
}
