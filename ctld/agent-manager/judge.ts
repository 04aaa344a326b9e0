// Judges whether a worker is alive, suspect, dead or coming back (Q04, Q05), from when it was last
// heard and what the probes said. Pure. All instants are of the controller's own clock, by the
// moment of receipt: a worker's clock is never asked.

import type { NodeState } from '#shared/model.ts'

export type Limits = {
  missedReports: number
  livenessMs: number | undefined
  probes: number
  /** Time that each probe has; one that is refused at once uses it up too. */
  probeMs: number
  startupGraceMs: number
  restartAttempts: number
  restartBackoffMs: number
}

/** What the controller knows of one worker since its own start. */
export type Sighting = {
  /** Last report, or the controller's start while there was none. */
  seenAt: number
  hasReported: boolean
  intervalMs: number
  /** Probes of the agent that failed in a row since it became suspect. */
  failedProbes: number
  isProbing: boolean
  /** When the last probe began. */
  lastProbeAt: number
  /** Restart attempts since its death was confirmed; one at a time. */
  attempts: number
  isRestarting: boolean
  lastAttemptAt: number
}

export type Verdict = {
  state: NodeState
  why: string
  /** What to do about it now. */
  order: 'nothing' | 'probe' | 'restart'
  wakeAt: number
}

export function judge(state: NodeState, sighting: Sighting, limits: Limits, now: number): Verdict {
  const silentMs = now - sighting.seenAt
  const patienceMs = patienceOf(sighting, limits)
  switch (state) {
    case 'unknown':
    case 'alive':
      return silentMs < patienceMs
        ? stay(state, sighting.seenAt + patienceMs)
        : suspect(sighting, silentMs)
    case 'suspect':
      return silentMs < patienceMs && sighting.hasReported
        ? {
            state: 'alive',
            why: 'reports again',
            order: 'nothing',
            wakeAt: sighting.seenAt + patienceMs,
          }
        : probed(sighting, limits, silentMs, now)
    case 'reviving':
      return revived(sighting, limits, now)
    case 'dead':
      return stay(state, Number.POSITIVE_INFINITY)
  }
}

/** How long a worker may be silent. */
export function patienceOf(sighting: Sighting, limits: Limits): number {
  if (!sighting.hasReported) return limits.startupGraceMs
  return limits.livenessMs ?? limits.missedReports * sighting.intervalMs
}

function stay(state: NodeState, wakeAt: number): Verdict {
  return { state, why: '', order: 'nothing', wakeAt }
}

function suspect(sighting: Sighting, silentMs: number): Verdict {
  const why = silence(sighting, silentMs)
  return { state: 'suspect', why, order: 'probe', wakeAt: Number.POSITIVE_INFINITY }
}

function probed(sighting: Sighting, limits: Limits, silentMs: number, now: number): Verdict {
  if (sighting.isProbing) return stay('suspect', Number.POSITIVE_INFINITY)
  // An agent that is just being restarted refuses at once: it has the whole time to come back.
  const dueAt = sighting.lastProbeAt + limits.probeMs
  if (dueAt > now) return stay('suspect', dueAt)
  if (sighting.failedProbes >= limits.probes) {
    const probes = `${sighting.failedProbes} probes of its agent failed`
    const why = `${silence(sighting, silentMs)} and ${probes}`
    return { state: 'reviving', why, order: 'nothing', wakeAt: now }
  }
  return { state: 'suspect', why: '', order: 'probe', wakeAt: Number.POSITIVE_INFINITY }
}

function revived(sighting: Sighting, limits: Limits, now: number): Verdict {
  if (sighting.isRestarting) return stay('reviving', Number.POSITIVE_INFINITY)
  const dueAt = sighting.attempts === 0 ? now : sighting.lastAttemptAt + limits.restartBackoffMs
  if (dueAt > now) return stay('reviving', dueAt)
  if (sighting.attempts >= limits.restartAttempts) {
    const why = `${sighting.attempts} restart attempts failed`
    return { state: 'dead', why, order: 'nothing', wakeAt: Number.POSITIVE_INFINITY }
  }
  return { state: 'reviving', why: '', order: 'restart', wakeAt: Number.POSITIVE_INFINITY }
}

function silence({ hasReported }: Sighting, silentMs: number): string {
  return hasReported
    ? `no report for ${seconds(silentMs)}`
    : `not seen since the controller's start ${seconds(silentMs)} ago`
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

/**
 * Nodes that vanished within one window when they are more than half of those that were there:
 * then the controller itself is probably the one that is cut off, and nothing is moved (Q04).
 * Two of three count; one of two does not, and a single worker never.
 */
export function massFailure(
  nodes: readonly { name: string; state: NodeState; vanishedAt: number | undefined }[],
  windowMs: number,
  now: number,
): string[] {
  const gone = nodes.filter(
    ({ vanishedAt }) => vanishedAt !== undefined && now - vanishedAt <= windowMs,
  )
  const present = nodes.filter(({ state }) => state === 'alive').length
  const isMost = gone.length >= 2 && gone.length * 2 > gone.length + present
  return isMost ? gone.map(({ name }) => name) : []
}
