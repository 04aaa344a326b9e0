// The life of one instance on its agent as a pure table of transitions (M15, M26, S04, S16, S17),
// drawn in docs/state-machines.md. converge.ts decides what to do next; here stands what follows
// from it and from what the world answers. An event that a step does not list changes nothing.

import type { InstancePage, ProgramEnd, ProgramMark } from '#agentd/ports.ts'
import { unreachable } from '#shared/assert.ts'
import type { FailureDetail, InstancePhase } from '#shared/model.ts'
import type { AssignedInstance } from '#shared/wire.ts'
import { type Cause, cleared, ended, exitFailure, over } from './process-end.ts'

export const FIRST_PROBE_MS = 50
/** SIGKILL is sent again after this time to what is still there. */
export const KILL_AGAIN_MS = 5_000
/** A page that could not be removed is tried again after this time. */
const FORGET_AGAIN_MS = 5_000

export type Process = {
  page: InstancePage
  step: Step
  /** Where its image was made ready by this run of the agent. */
  folder: string | undefined
  /** Ports that somebody else took between choice and bind (F29). */
  avoid: readonly number[]
  /** The newest answer of its health check. */
  lastProbe: string | undefined
  /** Counts its answers: one that was asked for in a former step is of no interest. */
  asked: number
}

export type Step =
  | { at: 'waiting' }
  | { at: 'preparing'; phase: 'waiting' | 'fetching' | 'building' }
  | { at: 'prepared' }
  /** `early`: it ended before its start was known to have succeeded. */
  | { at: 'launching'; early: { mark: ProgramMark; end: ProgramEnd } | undefined }
  | { at: 'probing'; deadline: number; delayMs: number; probeAt: number; isAsking: boolean }
  | Serving
  /** What is left of the program is killed; `cause` says what comes then. */
  | { at: 'clearing'; cause: Cause; isBegun: boolean }
  | { at: 'backoff'; until: number }
  | { at: 'stopping'; killAt: number; isForced: boolean }
  | { at: 'ended'; forgetAt: number }
  | { at: 'forgetting' }

export type Serving = {
  at: 'serving'
  isHealthy: boolean
  /** Failed checks in a row, or passed ones in a row. */
  failed: number
  passed: number
  healthySince: number
  /** The longest time without a break that it was healthy, up to its last failed check. */
  healthyMs: number
  probeAt: number
  isAsking: boolean
}

/** Decided by converge. */
export type OrderKind =
  | 'prepare'
  | 'start'
  | 'probe'
  | 'give_up_start'
  | 'give_up_health'
  | 'clear'
  | 'restart'
  | 'stop'
  | 'kill'
  | 'forget'

export type ProcessEvent =
  | { kind: OrderKind }
  | { kind: 'spec'; spec: AssignedInstance }
  | { kind: 'phase'; phase: 'fetching' | 'building' }
  | { kind: 'prepared'; folder: string }
  | { kind: 'not_prepared'; failure: FailureDetail }
  | { kind: 'launched'; mark: ProgramMark; port: number }
  | { kind: 'not_launched'; error: string; port: number }
  | { kind: 'probed'; asked: number; ok: boolean; words: string }
  | { kind: 'exited'; mark: ProgramMark; end: ProgramEnd }
  | { kind: 'cleared'; isPortFree: boolean; logTail: string[]; random: number }
  | { kind: 'not_forgotten' }

export function newProcess(spec: AssignedInstance): Process {
  const page: InstancePage = {
    id: spec.id,
    spec,
    port: 0,
    program: undefined,
    restarts: 0,
    failures: 0,
    wasHealthy: false,
    // Nothing ran, so nothing is to be stopped.
    ended: spec.want === 'stop' ? 'terminated' : undefined,
    failure: undefined,
  }
  return { ...restored(page), step: page.ended === undefined ? { at: 'waiting' } : over() }
}

/** From a page of a former run of the agent, before it is known what became of its program. */
export function restored(page: InstancePage): Process {
  const step: Step = page.ended === undefined ? { at: 'waiting' } : over()
  return { page, step, folder: undefined, avoid: [], lastProbe: undefined, asked: 0 }
}

/** Its program outlived a former run of the agent: what was healthy keeps its traffic (F03). */
export function adopted(was: Process, now: number): Process {
  if (!was.page.wasHealthy) return { ...was, step: probing(was, now) }
  return { ...was, step: { ...serving(was, now), probeAt: now + FIRST_PROBE_MS } }
}

/** The machine was restarted under it (F25): the controller decides where it runs next. */
export function lostByReboot(was: Process): Process {
  const failure = { error: 'the machine was restarted' }
  return ended({ ...was, page: { ...was.page, program: undefined } }, 'crashed', failure)
}

/** The same object when the event means nothing to its step. */
export function next(was: Process, event: ProcessEvent, now: number): Process {
  if (event.kind === 'spec') return withSpec(was, event.spec)
  const { step } = was
  switch (step.at) {
    case 'waiting':
      if (event.kind === 'prepare') return at(was, { at: 'preparing', phase: 'waiting' })
      return event.kind === 'stop' ? ended(was, 'terminated') : was
    case 'preparing':
      return whilePreparing(was, step, event)
    case 'prepared':
      if (event.kind === 'start') return at(was, { at: 'launching', early: undefined })
      return event.kind === 'stop' ? ended(was, 'terminated') : was
    case 'launching':
      return whileLaunching(was, step, event, now)
    case 'probing':
      return whileProbing(was, step, event, now)
    case 'serving':
      return whileServing(was, step, event, now)
    case 'clearing':
      if (event.kind === 'clear') return at(was, { ...step, isBegun: true })
      return event.kind === 'cleared' && step.isBegun ? cleared(was, step.cause, event, now) : was
    case 'backoff':
      if (event.kind === 'restart') return restarted(was)
      return event.kind === 'stop' ? ended(was, 'terminated') : was
    case 'stopping':
      if (event.kind === 'kill') {
        return at(was, { at: 'stopping', isForced: true, killAt: now + KILL_AGAIN_MS })
      }
      return isItsEnd(was, event) ? clearing(was, { kind: 'stop', isForced: step.isForced }) : was
    case 'ended':
      return event.kind === 'forget' ? at(was, { at: 'forgetting' }) : was
    case 'forgetting':
      if (event.kind !== 'not_forgotten') return was
      return at(was, { at: 'ended', forgetAt: now + FORGET_AGAIN_MS })
    default:
      return unreachable(step)
  }
}

export function phaseOf({ page, step }: Process): InstancePhase {
  switch (step.at) {
    case 'waiting':
      return 'waiting'
    case 'preparing':
      return step.phase
    case 'prepared':
    case 'launching':
    case 'probing':
      return 'starting'
    case 'serving':
      return step.isHealthy ? 'started' : 'unhealthy'
    case 'clearing':
      if (step.cause.kind === 'stop') return 'stopping'
      return page.wasHealthy ? 'backoff' : 'starting'
    case 'backoff':
      return 'backoff'
    case 'stopping':
      return 'stopping'
    case 'ended':
    case 'forgetting':
      return page.ended ?? 'terminated'
    default:
      return unreachable(step)
  }
}

function whilePreparing(
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

function whileLaunching(
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
      const is: Process = { ...was, page, lastProbe: undefined, step: probing(was, now) }
      if (step.early === undefined) return is
      return next(is, { kind: 'exited', ...step.early }, now)
    }
    default:
      return was
  }
}

function whileProbing(
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

function whileServing(was: Process, step: Serving, event: ProcessEvent, now: number): Process {
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

function withSpec(was: Process, spec: AssignedInstance): Process {
  const { page, step } = was
  if (JSON.stringify(page.spec) === JSON.stringify(spec)) return was
  if (page.ended === undefined || spec.attempt <= page.spec.attempt || step.at === 'forgetting') {
    return { ...was, page: { ...page, spec } }
  }
  // A higher attempt at what has ended here: it begins anew (S20).
  return { ...newProcess(spec), asked: was.asked }
}

function restarted(was: Process): Process {
  const page = { ...was.page, restarts: was.page.restarts + 1 }
  return { ...was, page, step: { at: 'waiting' } }
}

function probing(was: Process, now: number): Step {
  return {
    at: 'probing',
    deadline: now + was.page.spec.health.start_timeout_ms,
    delayMs: FIRST_PROBE_MS,
    probeAt: now + FIRST_PROBE_MS,
    isAsking: false,
  }
}

function serving(was: Process, now: number): Serving {
  const probeAt = now + intervalOf(was)
  const counts = { failed: 0, passed: 0, healthySince: now, healthyMs: 0 }
  return { at: 'serving', isHealthy: true, ...counts, probeAt, isAsking: false }
}

function stopping(was: Process, now: number): Process {
  const killAt = now + was.page.spec.stop.grace_ms
  return at(was, { at: 'stopping', killAt, isForced: false })
}

function clearing(was: Process, cause: Cause): Process {
  return at(was, { at: 'clearing', cause, isBegun: false })
}

function failing(was: Process, failure: FailureDetail, hasExited: boolean, healthyMs = 0): Process {
  return clearing(was, { kind: 'failure', hasExited, healthyMs, failure })
}

function longestHealthyMs(step: Serving, now: number): number {
  return Math.max(step.healthyMs, step.isHealthy ? now - step.healthySince : 0)
}

/** A pid that is somebody else's now must not end this one (F24). */
function isItsEnd(
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

function at(was: Process, step: Step): Process {
  return { ...was, step }
}
