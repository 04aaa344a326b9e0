// Decides what happens when an instance did not answer: another one, or which status (Q09, F04).
// What was never sent may go to another instance whatever it is; what was sent is repeated only
// if repeating it does no harm; once the client has seen a byte of an answer nothing is repeated.

/** Tries of one request that may have reached a program. */
export const TRIES_SENT_MAX = 3
/** Instances that may refuse the connection before the request is given up. */
export const TRIES_UNSENT_MAX = 16

export type Failure = {
  /** Had the request's head been handed to the connection? */
  wasSent: boolean
  /** `headers_timeout`: connected, but silent for too long. `invalid`: not HTTP, either way. */
  kind: 'lost' | 'headers_timeout' | 'invalid'
  isRepeatable: boolean
  triesSent: number
  triesUnsent: number
}

export type Verdict = 'another' | { status: number; title: string; detail: string }

/** `another`: while there is an instance that was not tried yet. */
export function judgeFailure(failure: Failure): Verdict {
  if (failure.kind === 'headers_timeout') {
    return answer(504, 'gateway timeout', 'the instance did not answer in time')
  }
  if (failure.kind === 'invalid') {
    return answer(502, 'bad gateway', 'the instance sent no valid answer')
  }
  if (!failure.wasSent)
    return failure.triesUnsent < TRIES_UNSENT_MAX ? 'another' : lastWord(failure)
  if (failure.isRepeatable && failure.triesSent < TRIES_SENT_MAX) return 'another'
  return lastWord(failure)
}

/**
 * When no instance is left to try. If none of them could even be reached the service is down, not
 * faulty: 503, as for a service without instances (F38). If one may have worked on it, 502.
 */
export function lastWord({ triesSent }: { triesSent: number }): Exclude<Verdict, 'another'> {
  return triesSent === 0
    ? answer(503, 'service unavailable', 'no instance of the service could be reached')
    : answer(502, 'bad gateway', 'the instance closed the connection before it answered')
}

/** Safe methods without a body; RFC 9110 section 9.2.1. */
export function isRepeatable(method: string, hasBody: boolean): boolean {
  return !hasBody && (method === 'GET' || method === 'HEAD' || method === 'OPTIONS')
}

function answer(status: number, title: string, detail: string): Exclude<Verdict, 'another'> {
  return { status, title, detail }
}
