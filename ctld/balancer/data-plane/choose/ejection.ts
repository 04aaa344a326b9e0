// Decides for how long an instance that fails is skipped: 1 s, then 2 s, 4 s … 10 s. When the time
// is over one request is let through to try it: its outcome brings the instance back or ejects it
// for longer. That the last one is never ejected is up to `onlyEjectedLeft`.

export const EJECTION_FIRST_MS = 1_000
export const EJECTION_MAX_MS = 10_000
/** Failed answers in a row that eject; a failed connection does so at once. */
export const HARD_FAILURES_MAX = 5
/** A trial whose outcome is not known by then, such as a long poll, does not keep others out. */
export const TRIAL_MS = 10_000

/**
 * One for each instance, in each loop.
 *
 *     in ──unreachable, 5 × failedHard──> ejected ──time is over, chosen──> on trial
 *     ^                                      ^                              │      │
 *     │                                      └───unreachable, failedHard────┘      │
 *     └─────────────────────────────────succeeded──────────────────────────────────┘
 */
export type Ejection = {
  /** Failed answers in a row. */
  failures: number
  /** Ejections since it last succeeded; 0: it is in. */
  ejections: number
  /** Skipped until then, by the monotonic clock; during a trial by all others. */
  until: number
  isOnTrial: boolean
}

export function newEjection(): Ejection {
  return { failures: 0, ejections: 0, until: Number.NEGATIVE_INFINITY, isOnTrial: false }
}

/** Must it be skipped now? */
export function isEjected({ until }: Ejection, now: number): boolean {
  return until > now
}

/** It gets a request now, also as the last resort. After an ejection that is its trial. */
export function chosen(ejection: Ejection, now: number): void {
  if (ejection.ejections === 0) return
  ejection.isOnTrial = true
  ejection.until = now + TRIAL_MS
}

/** Its request ended without a word about the instance, because the client left. */
export function undecided(ejection: Ejection, now: number): void {
  if (!ejection.isOnTrial) return
  ejection.isOnTrial = false
  ejection.until = now
}

/** No connection was had. True: this ejects it; false: it is ejected already. */
export function unreachable(ejection: Ejection, now: number): boolean {
  return isKnown(ejection, now) ? false : eject(ejection, now)
}

/** It took the request and gave no answer, or one that is none. True: this ejects it. */
export function failedHard(ejection: Ejection, now: number): boolean {
  if (isKnown(ejection, now)) return false
  ejection.failures += 1
  if (!ejection.isOnTrial && ejection.failures < HARD_FAILURES_MAX) return false
  return eject(ejection, now)
}

/**
 * It answered. While it is ejected only the trial counts: requests from before may still be
 * answered on old connections by a program that takes no new ones.
 */
export function succeeded(ejection: Ejection): void {
  if (ejection.ejections > 0 && !ejection.isOnTrial) return
  ejection.failures = 0
  ejection.ejections = 0
  ejection.until = Number.NEGATIVE_INFINITY
  ejection.isOnTrial = false
}

/**
 * Is there nobody left but ejected ones among those that `isOut` does not rule out (because the
 * request was there already)? Then they are tried all the same: a small cluster has no spare
 * instances, and one that may work is better than none. One that is merely full is somebody.
 */
export function onlyEjectedLeft<T>(
  candidates: readonly T[],
  isOut: (candidate: T) => boolean,
  ejectionOf: (candidate: T) => Ejection,
  now: number,
): boolean {
  let isSomebodyLeft = false
  for (const candidate of candidates) {
    if (isOut(candidate)) continue
    if (!isEjected(ejectionOf(candidate), now)) return false
    isSomebodyLeft = true
  }
  return isSomebodyLeft
}

/** Failures of the same moment are one: those of an ejected instance say nothing new. */
function isKnown(ejection: Ejection, now: number): boolean {
  return isEjected(ejection, now) && !ejection.isOnTrial
}

function eject(ejection: Ejection, now: number): true {
  const forMs = Math.min(EJECTION_FIRST_MS * 2 ** ejection.ejections, EJECTION_MAX_MS)
  ejection.failures = 0
  ejection.ejections += 1
  ejection.until = now + forMs
  ejection.isOnTrial = false
  return true
}
