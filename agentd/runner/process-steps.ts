// What follows from an event while a program is made ready, started, served and stopped. The table
// that leads here is in process.ts.

import type { FailureDetail } from '#shared/model.ts'
import {
  isStartApart,
  livenessOf,
  readinessFailuresMax,
  readinessOf,
  readinessWords,
  startupOf,
} from './checks.ts'
import type { Probing, Process, ProcessEvent, Serving, Step, Watch } from './process.ts'
import { type Cause, ended, exitFailure } from './process-end.ts'

export const FIRST_PROBE_MS = 50
const STARTUP_PATIENCE = 8
/** How often one that has started is asked whether it is ready, until it was for the first time. */
const FIRST_READY_MS = 500
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
      const first = probing(was, now)
      const unasked = { lastProbe: undefined, lastLiveness: undefined }
      const is: Process = { ...was, page, ...unasked, step: first }
      if (step.early === undefined) return is
      return whileProbing(is, first, { kind: 'exited', ...step.early }, now)
    }
    default:
      return was
  }
}

export function whileProbing(
  was: Process,
  step: Probing,
  event: ProcessEvent,
  now: number,
): Process {
  switch (event.kind) {
    case 'probe':
      return { ...was, asked: was.asked + 1, step: { ...step, isAsking: true } }
    case 'probed':
      return isAwaited(was, step, event) ? startupProbed(was, step, event, now) : was
    case 'give_up_start':
      return failing(was, { error: startFailure(was, step, now) }, false)
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
    case 'probed':
      return isAwaited(was, step, event) ? readinessProbed(was, step, event, now) : was
    case 'probe_liveness': {
      const liveness = { ...step.liveness, isAsking: true }
      return { ...was, askedLiveness: was.askedLiveness + 1, step: { ...step, liveness } }
    }
    case 'liveness_probed': {
      if (!step.liveness.isAsking || event.asked !== was.askedLiveness) return was
      const liveness = watched(was, step.liveness, event.ok, now)
      return { ...was, lastLiveness: event.words, step: { ...step, liveness } }
    }
    case 'give_up_health':
      return failing(was, healthFailure(was, step), false, longestHealthyMs(step, now))
    case 'exited':
      if (!isItsEnd(was, event)) return was
      return failing(was, exitFailure(event.end, ''), true, longestHealthyMs(step, now))
    case 'stop':
      return stopping(was, now)
    default:
      return was
  }
}

/** The answer to a question about a former program says nothing of this one. */
function isAwaited({ asked }: Process, step: Probing | Serving, event: { asked: number }): boolean {
  return step.isAsking && event.asked === asked
}

type Answer = { ok: boolean; words: string }

function startupProbed(was: Process, step: Probing, { ok, words }: Answer, now: number): Process {
  const { spec } = was.page
  const startup = startupOf(spec)
  const is = { ...was, lastProbe: words }
  const passed = ok ? step.passed + 1 : 0
  if (passed >= startup.rise) return isStartApart(spec) ? begun(is, now) : firstHealthy(is, now)
  const failed = ok ? 0 : step.failed + 1
  const probeAt = now + startupDelayMs(was, step, ok, now)
  return at(is, { ...step, isAsking: false, passed, failed, probeAt })
}

/**
 * Whoever waits for a deploy waits for this check: it is asked often at first, and after an eighth
 * of the time that the start has taken so far. Where failed ones are counted, time is the measure.
 */
function startupDelayMs({ page }: Process, step: Probing, ok: boolean, now: number): number {
  const { interval_ms, fall } = startupOf(page.spec)
  const intervalMs = Math.max(interval_ms, FIRST_PROBE_MS)
  if (ok || fall !== undefined) return intervalMs
  const tookMs = now - (step.deadline - page.spec.health.start_timeout_ms)
  return Math.min(Math.max(Math.floor(tookMs / STARTUP_PATIENCE), FIRST_PROBE_MS), intervalMs)
}

function startFailure({ page }: Process, step: Probing, now: number): string {
  const seconds = page.spec.health.start_timeout_ms / 1_000
  return now >= step.deadline
    ? `not healthy within ${seconds} s of its start`
    : `startup check failed ${step.failed} times in a row`
}

/** Its start is over: now it is asked whether it is ready, and whether it lives. */
function begun(was: Process, now: number): Process {
  const step = serving(was, now)
  const probeAt = now + FIRST_PROBE_MS
  const is = { ...was, lastProbe: undefined }
  return at(is, { ...step, isHealthy: false, wasReady: false, probeAt })
}

function firstHealthy(was: Process, now: number): Process {
  return at(everHealthy(was), serving(was, now))
}

function everHealthy(was: Process): Process {
  return { ...was, page: { ...was.page, failure: undefined, wasHealthy: true }, avoid: [] }
}

function readinessProbed(was: Process, step: Serving, { ok, words }: Answer, now: number): Process {
  const { spec } = was.page
  const known = { ...step, isAsking: false, probeAt: now + readyDelayMs(was, step, ok) }
  const is = { ...was, lastProbe: words }
  if (!ok) return at(is, failed(is, known, now))
  if (step.isHealthy) return at(is, { ...known, passed: step.passed + 1, failed: 0 })
  const passed = step.passed + 1
  if (step.wasReady && passed < readinessOf(spec).rise) {
    return at(is, { ...known, passed, failed: readinessOf(spec).fall })
  }
  const healthy = { ...known, isHealthy: true, wasReady: true, failed: 0, healthySince: now }
  return at(step.wasReady ? is : everHealthy(is), { ...healthy, passed })
}

function readyDelayMs(was: Process, step: Serving, ok: boolean): number {
  const intervalMs = intervalOf(was)
  return step.wasReady || ok ? intervalMs : Math.min(intervalMs, FIRST_READY_MS)
}

function failed(was: Process, step: Serving, now: number): Serving {
  const count = step.failed + 1
  const isHealthy = step.isHealthy && count < readinessOf(was.page.spec).fall
  return { ...step, isHealthy, failed: count, passed: 0, healthyMs: longestHealthyMs(step, now) }
}

function watched(was: Process, watch: Watch, ok: boolean, now: number): Watch {
  const check = livenessOf(was.page.spec)
  const passed = ok ? watch.passed + 1 : 0
  const isForgotten = passed >= (check?.rise ?? 1)
  const failed = ok ? (isForgotten ? 0 : watch.failed) : watch.failed + 1
  return { passed, failed, probeAt: now + livenessDelayMs(was), isAsking: false }
}

function livenessDelayMs({ page }: Process): number {
  return Math.max(livenessOf(page.spec)?.interval_ms ?? 0, FIRST_PROBE_MS)
}

function healthFailure({ page, lastProbe, lastLiveness }: Process, step: Serving): FailureDetail {
  const { spec } = page
  if (step.failed >= readinessFailuresMax(spec)) {
    return { error: `${readinessWords(spec)} failed: ${lastProbe ?? 'no answer'}` }
  }
  const words = lastLiveness ?? 'no answer'
  return { error: `liveness check failed: ${words}`, last_probe: words }
}

export function probing(was: Process, now: number): Probing {
  return {
    at: 'probing',
    deadline: now + was.page.spec.health.start_timeout_ms,
    probeAt: now + FIRST_PROBE_MS,
    isAsking: false,
    passed: 0,
    failed: 0,
  }
}

export function serving(was: Process, now: number): Serving {
  const probeAt = now + intervalOf(was)
  const counts = { failed: 0, passed: 0, healthySince: now, healthyMs: 0 }
  const first = { passed: 0, failed: 0, probeAt: now + livenessDelayMs(was), isAsking: false }
  const ready = { isHealthy: true, wasReady: true }
  return { at: 'serving', ...ready, ...counts, probeAt, isAsking: false, liveness: first }
}

export function stopping(was: Process, now: number): Process {
  const killAt = now + was.page.spec.stop.grace_ms
  return at(was, { at: 'stopping', killAt, isForced: false, isCutOff: false })
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
  return Math.max(readinessOf(page.spec).interval_ms, FIRST_PROBE_MS)
}

export function at(was: Process, step: Step): Process {
  return { ...was, step }
}
