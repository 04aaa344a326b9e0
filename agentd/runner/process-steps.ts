// What follows from an event while a program is made ready, started, served and stopped. The table
// that leads here is in process.ts.

import type { FailureDetail } from '#shared/model.ts'
import type { Process, ProcessEvent, Serving, Step } from './process.ts'
import { type Cause, ended, exitFailure } from './process-end.ts'

export const FIRST_PROBE_MS = 50
/** SIGKILL is sent again after this time to what is still there. */
export const KILL_AGAIN_MS = 5_000
export function whilePreparing(
  was: Process,
  step: Step & { at: 'preparing' },
  event: ProcessEvent,
): Process {
  switch (event.kind) {
    case 'phase':
      return step.phase === event.phase ? was : at(was, { at: 'preparing', phase: event.phase })
    case 'prepared':
      return { ...was, folder: event.folder, step: { at: 'prepared' } }
    case 'not_prepared':
      return failing(was, event.failure, false)
    case 'stop': // The build goes on for whoever else waits for it; this instance does not.
      return ended(was, 'terminated')
    default:
      return was
  }
}

export function whileLaunching(
  was: Process,
  step: Step & { at: 'launching' },
  event: ProcessEvent,
  now: number,
): Process {
  switch (event.kind) {
    case 'exited':
      return at(was, { at: 'launching', early: { mark: event.mark, end: event.end } })
    case 'not_launched': {
      const page = { ...was.page, port: event.port }
      return failing({ ...was, page }, { error: event.error }, false)
    }
    case 'launched': {
      const page = { ...was.page, port: event.port, program: event.mark }
      const begun = probing(was, now)
      const is: Process = { ...was, page, lastProbe: undefined, step: begun }
      if (step.early === undefined) return is
      return whileProbing(is, begun, { kind: 'exited', ...step.early }, now)
    }
    default:
      return was
  }
}

export function whileProbing(
  was: Process,
  step: Step & { at: 'probing' },
  event: ProcessEvent,
  now: number,
): Process {
  switch (event.kind) {
    case 'probe':
      return { ...was, asked: was.asked + 1, step: { ...step, isAsking: true } }
    case 'probed': {
      if (event.asked !== was.asked) return was
      const is = { ...was, lastProbe: event.words }
      if (event.ok) return firstHealthy(is, now)
      const delayMs = Math.min(step.delayMs * 2, intervalOf(was))
      return at(is, { ...step, isAsking: false, delayMs, probeAt: now + delayMs })
    }
    case 'give_up_start': {
      const seconds = was.page.spec.health.start_timeout_ms / 1_000
      const error = `not healthy within ${seconds} s of its start`
      return failing(was, { error }, false)
    }
    case 'exited':
      if (!isItsEnd(was, event)) return was
      return failing(was, exitFailure(event.end, 'before it was healthy'), true)
    case 'stop':
      return stopping(was, now)
    default:
      return was
  }
}

export function whileServing(
  was: Process,
  step: Serving,
  event: ProcessEvent,
  now: number,
): Process {
  switch (event.kind) {
    case 'probe':
      return { ...was, asked: was.asked + 1, step: { ...step, isAsking: true } }
    case 'probed': {
      if (event.asked !== was.asked) return was
      const probeAt = now + intervalOf(was)
      const known = { ...step, isAsking: false, probeAt }
      const is = { ...was, lastProbe: event.words }
      return at(is, event.ok ? passed(is, known, now) : failed(is, known, now))
    }
    case 'give_up_health': {
      const error = `health check failed: ${was.lastProbe ?? 'no answer'}`
      return failing(was, { error }, false, longestHealthyMs(step, now))
    }
    case 'exited':
      if (!isItsEnd(was, event)) return was
      return failing(was, exitFailure(event.end, ''), true, longestHealthyMs(step, now))
    case 'stop':
      return stopping(was, now)
    default:
      return was
  }
}

function passed(was: Process, step: Serving, now: number): Serving {
  const count = step.passed + 1
  if (step.isHealthy || count < was.page.spec.health.rise) {
    return { ...step, passed: count, failed: step.isHealthy ? 0 : was.page.spec.health.fall }
  }
  return { ...step, isHealthy: true, passed: count, failed: 0, healthySince: now }
}

function failed(was: Process, step: Serving, now: number): Serving {
  const count = step.failed + 1
  const isHealthy = step.isHealthy && count < was.page.spec.health.fall
  return { ...step, isHealthy, failed: count, passed: 0, healthyMs: longestHealthyMs(step, now) }
}

function firstHealthy(was: Process, now: number): Process {
  const page = { ...was.page, failure: undefined, wasHealthy: true }
  return { ...was, page, avoid: [], step: serving(was, now) }
}

export function probing(was: Process, now: number): Step & { at: 'probing' } {
  return {
    at: 'probing',
    deadline: now + was.page.spec.health.start_timeout_ms,
    delayMs: FIRST_PROBE_MS,
    probeAt: now + FIRST_PROBE_MS,
    isAsking: false,
  }
}

export function serving(was: Process, now: number): Serving {
  const probeAt = now + intervalOf(was)
  const counts = { failed: 0, passed: 0, healthySince: now, healthyMs: 0 }
  return { at: 'serving', isHealthy: true, ...counts, probeAt, isAsking: false }
}

export function stopping(was: Process, now: number): Process {
  const killAt = now + was.page.spec.stop.grace_ms
  return at(was, { at: 'stopping', killAt, isForced: false })
}

export function clearing(was: Process, cause: Cause): Process {
  return at(was, { at: 'clearing', cause, isBegun: false })
}

function failing(was: Process, failure: FailureDetail, hasExited: boolean, healthyMs = 0): Process {
  const page = { ...was.page, failure }
  return clearing({ ...was, page }, { kind: 'failure', hasExited, healthyMs, failure })
}

function longestHealthyMs(step: Serving, now: number): number {
  return Math.max(step.healthyMs, step.isHealthy ? now - step.healthySince : 0)
}

/** A pid that is somebody else's now must not end this one (F24). */
export function isItsEnd(
  { page: { program } }: Process,
  event: ProcessEvent,
): event is ProcessEvent & { kind: 'exited' } {
  if (event.kind !== 'exited' || program === undefined) return false
  const { mark } = event
  return (
    mark.pid === program.pid && mark.startTime === program.startTime && mark.boot === program.boot
  )
}

function intervalOf({ page }: Process): number {
  return Math.max(page.spec.health.interval_ms, FIRST_PROBE_MS)
}

export function at(was: Process, step: Step): Process {
  return { ...was, step }
}
