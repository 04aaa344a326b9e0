// What becomes of an instance by an event that its state lists: the fields that change with it.
// Which event leads where is told in instance.ts. Pure.

import type { FailureDetail, FinalState, Instance, InstancePhase } from '#shared/model.ts'
import type { InstanceEvent } from './instance.ts'

/** One try and five more (S21). */
export const START_TRIES_MAX = 6
export const STOP_TRIES_MAX = 6

const START_RETRY_MS = [1_000, 2_000, 4_000, 8_000, 16_000]

/** Only an agent that gave up on it tells of a crash loop; other ends say nothing of one (F05). */
export function restartsInRow(event: InstanceEvent): number {
  return event.kind === 'crashed' ? event.restarts : 0
}

export function started(
  was: Instance,
  event: { port: number; pid: number | undefined; restarts: number },
  now: number,
): Instance {
  const { failure: _, retryAt: __, pid: ___, ...rest } = was
  // A program that was started again was not healthy in between, though nobody saw it.
  const isUnbroken = was.healthy && was.restarts === event.restarts
  return {
    ...became(rest, 'started', 'its health check passed', now),
    healthyAt: isUnbroken ? (was.healthyAt ?? now) : now,
    ...(event.pid === undefined ? {} : { pid: event.pid }),
    port: event.port,
    restarts: event.restarts,
    healthy: true,
    phase: 'started',
  }
}

export function unhealthy(
  was: Instance,
  event: { phase: InstancePhase; restarts: number; failure?: FailureDetail },
  now: number,
): Instance {
  if (!was.healthy && was.phase === event.phase && was.restarts === event.restarts) {
    // The last lines of its output come when what was left of it is gone.
    const { failure } = event
    if (failure?.log_tail === undefined || was.failure?.log_tail !== undefined) return was
    return { ...was, failure }
  }
  const { healthyAt: _, ...rest } = was
  return {
    ...rest,
    healthy: false,
    phase: event.phase,
    restarts: event.restarts,
    changedAt: now,
    why: event.failure?.error ?? 'its health check fails',
    ...(event.failure === undefined ? {} : { failure: event.failure }),
  }
}

/** Its start is over, but it never said that it is ready for requests. */
export function notReady(was: Instance, event: InstanceEvent & { kind: 'unhealthy' }): Instance {
  if (event.phase !== 'unhealthy' || was.retryAt !== undefined) return was
  if (was.phase === event.phase) return was
  const { failure } = event
  const why = `started, but not ready: ${failure?.error ?? 'its readiness check fails'}`
  return { ...was, phase: event.phase, why, ...(failure === undefined ? {} : { failure }) }
}

export function failedToStart(was: Instance, failure: FailureDetail, now: number): Instance {
  const waitMs = START_RETRY_MS[was.attempt - 1]
  if (was.attempt >= START_TRIES_MAX || waitMs === undefined) {
    const why = `failed to start ${START_TRIES_MAX} times: ${failure.error}`
    return { ...ended(was, 'failed_to_start', why, now), failure }
  }
  const why = `try ${was.attempt} of ${START_TRIES_MAX} failed: ${failure.error}`
  return { ...was, why, failure, retryAt: now + waitMs, changedAt: now, phase: 'failed_to_start' }
}

export function retried(
  was: Instance,
  event: { node: string; why: string },
  now: number,
): Instance {
  const { retryAt: _, phase: __, ...rest } = was
  return { ...rest, node: event.node, attempt: was.attempt + 1, why: event.why, changedAt: now }
}

export function stopAgain(was: Instance, stopMs: number, now: number): Instance {
  if (was.stopTry >= STOP_TRIES_MAX) {
    const why = `its agent did not stop it in ${STOP_TRIES_MAX} tries`
    return ended(was, 'failed_to_terminate', why, now)
  }
  return { ...was, stopTry: was.stopTry + 1, stopRetryAt: now + stopMs }
}

/** Its place in the route table is given up with the state in which it had it. */
export function became(
  was: Instance,
  state: Instance['state'],
  why: string,
  now: number,
): Instance {
  const admitted = was.admitted && was.state === 'started' && state === 'started'
  return { ...was, state, admitted, why, changedAt: now }
}

export function ended(was: Instance, state: FinalState, why: string, now: number): Instance {
  const {
    retryAt: _,
    drainUntil: __,
    stopRetryAt: ___,
    phase: ____,
    healthyAt: _____,
    ...rest
  } = was
  return { ...became(rest, state, why, now), healthy: false }
}

export function failureOf(event: { kind: string; failure?: FailureDetail }): FailureDetail {
  return event.failure ?? { error: 'ended before it was healthy' }
}
