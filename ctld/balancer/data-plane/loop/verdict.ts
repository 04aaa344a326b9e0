// Decides what happens when an instance did not answer: another one, or which status (Q09, F04).
// What was never sent may go to another instance whatever it is; what was sent is repeated only
// if repeating it does no harm; once the client has seen a byte of an answer nothing is repeated.

import type { Problem } from './answers.ts'

/** Tries of one request that may have reached a program. */
export const TRIES_SENT_MAX = 3
/** Instances that may refuse the connection before the request is given up. */
export const TRIES_UNSENT_MAX = 16

export type Failure = {
  /** `timeout`: connected, but silent for too long. `invalid`: what it sent is not HTTP. */
  kind: 'lost' | 'timeout' | 'invalid'
  /** Had the request's head been handed to an open connection? */
  wasSent: boolean
  /** Had the connection brought an answer before? Then it may have been closed as idle. */
  wasReused: boolean
  error: string
}

export type Tries = { sent: number; unsent: number }

export type Verdict = 'another' | Problem

/** `another`: while there is an instance that was not tried yet. */
export function judge(failure: Failure, isRepeatable: boolean, tries: Tries): Verdict {
  if (failure.kind === 'timeout') {
    return { status: 504, detail: 'the instance did not answer in time' }
  }
  if (failure.kind === 'invalid') {
    return { status: 502, detail: 'the instance sent no valid answer' }
  }
  const isLeft = failure.wasSent
    ? isRepeatable && tries.sent < TRIES_SENT_MAX
    : tries.unsent < TRIES_UNSENT_MAX
  return isLeft ? 'another' : lastWord(tries)
}

/**
 * When no instance is left to try. If none of them could even be reached the service is down, not
 * faulty: 503, as for a service without instances (F38). If one may have worked on it, 502.
 */
export function lastWord({ sent }: Tries): Problem {
  return sent === 0
    ? { status: 503, detail: 'no instance of the service could be reached' }
    : { status: 502, detail: 'the instance closed the connection before it answered' }
}
