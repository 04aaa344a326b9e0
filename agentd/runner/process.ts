// The life of one instance on its agent as a pure table of transitions (M15, M26, S04, S16, S17),
// drawn in docs/state-machines.md. converge.ts decides what to do next; here stands what follows
// from it and from what the world answers. An event that a step does not list changes nothing.

import type { InstancePage, ProgramEnd, ProgramMark } from '#agentd/ports.ts'
import { unreachable } from '#shared/assert.ts'
import type { FailureDetail, InstancePhase } from '#shared/model.ts'
import type { AssignedInstance } from '#shared/wire.ts'
import { readinessWords } from './checks.ts'
import { type Cause, type Cleared, cleared, ended, over } from './process-end.ts'
import {
  at,
  clearing,
  FIRST_PROBE_MS,
  isItsEnd,
  KILL_AGAIN_MS,
  probing,
  serving,
  whileLaunching,
  whilePreparing,
  whileProbing,
  whileServing,
} from './process-steps.ts'

/** A page that could not be removed is tried again after this time. */
const FORGET_AGAIN_MS = 5_000

export type Process = {
  page: InstancePage
  step: Step
  /** Where its image was made ready by this run of the agent. */
  folder: string | undefined
  /** Ports that somebody else took between choice and bind (F29). */
  avoid: readonly number[]
  /** The newest answer of its check, and of the one of liveness where that is another. */
  lastProbe: string | undefined
  lastLiveness: string | undefined
  /** Count what was asked: an answer that is meant for a former step is of no interest. */
  asked: number
  askedLiveness: number
}

export type Step =
  | { at: 'waiting' }
  | { at: 'preparing'; phase: 'waiting' | 'fetching' | 'building' }
  | { at: 'prepared' }
  /** `early`: it ended before its start was known to have succeeded. */
  | { at: 'launching'; early: { mark: ProgramMark; end: ProgramEnd } | undefined }
  | ({ at: 'probing' } & Beginning)
  | Serving
  /** What is left of the program is killed; `cause` says what comes then. */
  | { at: 'clearing'; cause: Cause; isBegun: boolean }
  | { at: 'backoff'; until: number }
  | { at: 'stopping'; killAt: number; isForced: boolean; isCutOff: boolean }
  | { at: 'ended'; forgetAt: number }
  | { at: 'forgetting' }

export type Probing = Step & { at: 'probing' }

/** `passed`, `failed`: answers in a row. */
type Beginning = {
  deadline: number
  probeAt: number
  isAsking: boolean
  passed: number
  failed: number
}

export type Serving = {
  at: 'serving'
  isHealthy: boolean
  /** false: it has started and was never ready since. */
  wasReady: boolean
  /** Failed checks in a row, or passed ones in a row. */
  failed: number
  passed: number
  healthySince: number
  /** The longest time without a break that it was healthy, up to its last failed check. */
  healthyMs: number
  probeAt: number
  isAsking: boolean
  liveness: Watch
}

/** A check that goes on beside the one that decides about requests. */
export type Watch = { passed: number; failed: number; probeAt: number; isAsking: boolean }

/** Decided by converge. */
export type OrderKind =
  | 'prepare'
  | 'start'
  | 'probe'
  | 'probe_liveness'
  | 'give_up_start'
  | 'give_up_health'
  | 'clear'
  | 'restart'
  | 'stop'
  | 'cut_off'
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
  | { kind: 'liveness_probed'; asked: number; ok: boolean; words: string }
  | { kind: 'exited'; mark: ProgramMark; end: ProgramEnd }
  | ({ kind: 'cleared' } & Cleared)
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
  const unknown = { folder: undefined, lastProbe: undefined, lastLiveness: undefined }
  return { page, step, ...unknown, avoid: [], asked: 0, askedLiveness: 0 }
}

/** Its program outlived a former run of the agent: what was healthy keeps its traffic (F03). */
export function adopted(was: Process, now: number): Process {
  if (!was.page.wasHealthy) return { ...was, step: probing(was, now) }
  return { ...was, step: { ...serving(was, now), probeAt: now + FIRST_PROBE_MS } }
}

/** The machine was restarted under it (F25): the controller decides where it runs next. */
export function lostByReboot(was: Process): Process {
  const failure = { error: 'the machine was restarted' }
  return ended({ ...was, page: { ...was.page, program: undefined } }, 'killed', failure)
}

/** The same object when the event means nothing to its step. */
export function next(was: Process, event: ProcessEvent, now: number): Process {
  if (event.kind === 'spec') return withSpec(was, event.spec)
  if (event.kind === 'cut_off') return cutOff(was, now)
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
        return at(was, { ...step, isForced: true, killAt: now + KILL_AGAIN_MS })
      }
      return isItsEnd(was, event) ? clearing(was, { ...step, kind: 'stop' }) : was
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
      return page.restarts > 0 ? 'starting' : 'waiting'
    case 'preparing':
      // Of a restart only what takes long is worth telling.
      return step.phase === 'waiting' && page.restarts > 0 ? 'starting' : step.phase
    case 'prepared':
    case 'launching':
    case 'probing':
      return 'starting'
    case 'serving':
      if (step.isHealthy) return 'started'
      // Before its first answer nothing is known against it.
      return step.wasReady || step.failed > 0 ? 'unhealthy' : 'starting'
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

/** Why there are no requests for it. */
export function unhealthyFailure({ page, lastProbe }: Process): FailureDetail {
  return { error: `${readinessWords(page.spec)} failed: ${lastProbe ?? 'no answer'}` }
}

/** Stopped as by an order; why is told when there is somebody to hear it. */
function cutOff(was: Process, now: number): Process {
  const is = next(was, { kind: 'stop' }, now)
  if (is === was) return was
  const seconds = (was.page.spec.partition_stop_ms ?? 0) / 1_000
  const error = `stopped: the controller was silent for more than ${seconds} s (on_partition)`
  const page = { ...is.page, failure: { error } }
  if (page.ended !== undefined) return { ...is, page: { ...page, ended: 'cut_off' } }
  return is.step.at === 'stopping' ? { ...is, page, step: { ...is.step, isCutOff: true } } : is
}

function withSpec(was: Process, spec: AssignedInstance): Process {
  const { page, step } = was
  if (JSON.stringify(page.spec) === JSON.stringify(spec)) return was
  if (page.ended === undefined || spec.attempt <= page.spec.attempt || step.at === 'forgetting') {
    return { ...was, page: { ...page, spec } }
  }
  // A higher attempt at what has ended here: it begins anew (S20).
  const { asked, askedLiveness } = was
  return { ...newProcess(spec), asked, askedLiveness }
}

function restarted(was: Process): Process {
  const page = { ...was.page, restarts: was.page.restarts + 1 }
  return { ...was, page, step: { at: 'waiting' } }
}
