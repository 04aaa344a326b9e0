// The life of one instance as the controller sees it (S20–S25), as a pure table of transitions.
// Drawn in docs/state-machines.md. An event that a state does not list changes nothing (S25).

import type { FailureDetail, FinalState, Instance, InstancePhase, Service } from '#shared/model.ts'
import { withFailures } from './failures.ts'
import {
  became,
  ended,
  failedToStart,
  failureOf,
  notReady,
  restartsInRow,
  retried,
  started,
  stopAgain,
  unhealthy,
} from './instance-changes.ts'

export { START_TRIES_MAX, STOP_TRIES_MAX } from './instance-changes.ts'

/** Tries on the first worker; the others go to the next ones of the ring (S21). */
export const TRIES_PER_NODE = 3
/** How long beyond its grace an agent may take to report that an instance has stopped. */
export const STOP_MARGIN_MS = 10_000

/** Restarts after which an agent gives up (F05); such an end is a crash loop. */
export const CRASH_LOOP_RESTARTS = 5
/** The longest pause before a service in a crash loop is started again. */
export const CRASH_PAUSE_MS_MAX = 3_600_000

export type InstanceEvent =
  | { kind: 'progress'; phase: InstancePhase }
  | { kind: 'started'; port: number; pid: number | undefined; restarts: number }
  | { kind: 'unhealthy'; phase: InstancePhase; restarts: number; failure?: FailureDetail }
  | { kind: 'failed_to_start'; attempt: number; failure: FailureDetail }
  | { kind: 'retry'; node: string; why: string }
  | { kind: 'admit'; why: string }
  | { kind: 'withdraw'; why: string }
  | { kind: 'terminated' }
  /** Its agent heard nothing from the controller and stopped it, as `on_partition` says. */
  | { kind: 'cut_off'; failure: FailureDetail }
  | { kind: 'crashed'; failure: FailureDetail; restarts: number }
  | { kind: 'killed'; failure: FailureDetail }
  | { kind: 'terminate'; why: string; drainMs: number; stopMs: number }
  | { kind: 'drained'; why: string; stopMs: number }
  | { kind: 'stop_overdue'; stopMs: number }
  | { kind: 'node_lost'; why: string }

const finals: ReadonlySet<string> = new Set<FinalState>([
  'failed_to_start',
  'never_started',
  'unexpected_terminated',
  'unexpected_crashed',
  'terminated',
  'crashed',
  'failed_to_terminate',
])

export function isFinal(instance: Instance): boolean {
  return finals.has(instance.state)
}

/** It ended badly in this deployment: while it counts, its place is not simply filled again. */
export function stillCounts(instance: Instance, service: Service, now: number): boolean {
  if (instance.deployment !== service.deployment) return false
  if (instance.state === 'failed_to_start') return true
  return isCrashLoop(instance) && now - instance.changedAt < CRASH_PAUSE_MS_MAX
}

export function isCrashLoop({ state, restarts }: Instance): boolean {
  return state === 'unexpected_crashed' && restarts >= CRASH_LOOP_RESTARTS
}

/** Will serve or does: it holds one of its service's places. */
export function isHolding(instance: Instance): boolean {
  return instance.state === 'deploying' || instance.state === 'started'
}

/** It could take requests. Whether it gets any, its place in the route table decides. */
export function isServing(instance: Instance): boolean {
  return instance.state === 'started' && instance.healthy
}

/** It has a place in the route table, of which there are as many as `concurrency`. */
export function hasPlace(instance: Instance): boolean {
  return instance.state === 'started' && instance.admitted
}

/** The instance after the event; the same object when the event means nothing to its state. */
export function nextInstance(was: Instance, event: InstanceEvent, now: number): Instance {
  return withFailures(was, stepOf(was, event, now), now)
}

function stepOf(was: Instance, event: InstanceEvent, now: number): Instance {
  if (isFinal(was)) return was
  switch (was.state) {
    case 'deploying':
      return whileDeploying(was, event, now)
    case 'pre_terminating':
      return whilePreTerminating(was, event, now)
    case 'started':
      return whileStarted(was, event, now)
    case 'terminating':
      return whileTerminating(was, event, now)
    case 'lost':
      return whileLost(was, event, now)
    default:
      return was
  }
}

function whileDeploying(was: Instance, event: InstanceEvent, now: number): Instance {
  switch (event.kind) {
    case 'progress':
      return was.phase === event.phase ? was : { ...was, phase: event.phase }
    case 'started':
      return started(was, event, now)
    case 'unhealthy':
      return notReady(was, event)
    case 'cut_off':
      return ended(was, 'never_started', event.failure.error, now)
    case 'failed_to_start':
      if (event.attempt !== was.attempt || was.retryAt !== undefined) return was
      return failedToStart(was, event.failure, now)
    case 'retry':
      return retried(was, event, now)
    case 'terminated':
    case 'killed':
    case 'crashed':
      // Its agent says so with each report: the wait for the next try must not begin anew.
      return was.retryAt === undefined ? failedToStart(was, failureOf(event), now) : was
    case 'terminate':
      // An attempt that waits for its retry runs nowhere: there is nothing to stop.
      if (was.retryAt !== undefined) return ended(was, 'never_started', event.why, now)
      return {
        ...became(was, 'pre_terminating', event.why, now),
        stopTry: 1,
        stopRetryAt: now + event.stopMs,
      }
    case 'node_lost':
      return became(was, 'lost', event.why, now)
    default:
      return was
  }
}

function whilePreTerminating(was: Instance, event: InstanceEvent, now: number): Instance {
  switch (event.kind) {
    case 'progress':
      return was.phase === event.phase ? was : { ...was, phase: event.phase }
    case 'started':
      return { ...became(was, 'terminating', was.why, now), port: event.port, healthy: false }
    case 'failed_to_start':
    case 'terminated':
    case 'cut_off':
    case 'killed':
    case 'crashed':
      return ended(was, 'never_started', was.why, now)
    case 'stop_overdue':
      return stopAgain(was, event.stopMs, now)
    case 'node_lost':
      return ended(was, 'never_started', event.why, now)
    default:
      return was
  }
}

function whileStarted(was: Instance, event: InstanceEvent, now: number): Instance {
  switch (event.kind) {
    case 'started': {
      const same =
        was.healthy &&
        was.port === event.port &&
        was.pid === event.pid &&
        was.restarts === event.restarts
      return same ? was : { ...started(was, event, now), why: 'healthy again' }
    }
    case 'unhealthy':
      return unhealthy(was, event, now)
    case 'progress':
      // Nobody asked it to stop, but it takes no requests any more.
      if (event.phase !== 'stopping') return was
      return unhealthy(was, { ...event, restarts: was.restarts }, now)
    case 'cut_off':
      return ended(was, 'terminated', event.failure.error, now)
    case 'admit':
      return was.admitted ? was : { ...was, admitted: true, why: event.why, changedAt: now }
    case 'withdraw':
      return was.admitted ? { ...was, admitted: false, why: event.why, changedAt: now } : was
    case 'terminated':
      return ended(was, 'unexpected_terminated', 'ended without being asked to', now)
    case 'crashed':
    case 'killed':
    // Its agent forgot, by kill -9, that it was healthy once.
    case 'failed_to_start':
      return {
        ...ended(was, 'unexpected_crashed', event.failure.error, now),
        failure: event.failure,
        restarts: restartsInRow(event),
      }
    case 'terminate':
      return {
        ...became(was, 'terminating', event.why, now),
        drainUntil: now + event.drainMs,
        stopTry: 0,
      }
    case 'node_lost':
      return became(was, 'lost', event.why, now)
    default:
      return was
  }
}

function whileTerminating(was: Instance, event: InstanceEvent, now: number): Instance {
  switch (event.kind) {
    case 'drained':
      if (was.stopTry > 0) return was
      return { ...was, why: event.why, stopTry: 1, stopRetryAt: now + event.stopMs }
    case 'terminated':
    case 'cut_off':
      return ended(was, 'terminated', was.why, now)
    case 'crashed':
    case 'killed':
    case 'failed_to_start':
      return { ...ended(was, 'crashed', event.failure.error, now), failure: event.failure }
    case 'stop_overdue':
      return stopAgain(was, event.stopMs, now)
    case 'node_lost':
      return ended(was, 'failed_to_terminate', `${event.why}; stopped if it comes back`, now)
    default:
      return was
  }
}

/** Its node died. If the node returns with it running it is adopted, not started again (Q05). */
function whileLost(was: Instance, event: InstanceEvent, now: number): Instance {
  switch (event.kind) {
    case 'started':
      return { ...started(was, event, now), why: 'came back with its node' }
    case 'progress':
      if (event.phase === 'stopping') return was
      return { ...became(was, 'deploying', 'came back with its node', now), phase: event.phase }
    case 'cut_off':
      return ended(was, 'terminated', event.failure.error, now)
    case 'unhealthy':
      return { ...unhealthy(was, event, now), state: 'started', why: 'came back with its node' }
    case 'failed_to_start':
    case 'terminated':
    case 'crashed':
    case 'killed':
      return {
        ...ended(was, 'unexpected_crashed', 'did not come back with its node', now),
        restarts: restartsInRow(event),
      }
    case 'terminate':
      return ended(was, 'failed_to_terminate', `${event.why}; its node is dead`, now)
    default:
      return was
  }
}
