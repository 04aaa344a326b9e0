// Decides what to do so that what runs on this node becomes what was assigned to it (M26, Q07).
// Pure: the same arguments give the same actions in the same order. It never waits; when only
// time can help, it says until when in `wakeAt`. An instance that is not assigned is stopped, and
// so is one that shall not run on when the controller is silent.

import { unreachable } from '#shared/assert.ts'
import type { AssignedInstance } from '#shared/wire.ts'
import { livenessOf, readinessFailuresMax, startupOf } from './checks.ts'
import type { OrderKind, Probing, Process, Serving } from './process.ts'

export type Action = { kind: OrderKind; id: string; why: string }

type Decision = { action?: Omit<Action, 'id'>; wakeAt?: number }

/** When the controller was last heard, and the shortest silence that says anything. */
export type Contact = { heardAt: number; silenceMsMin: number }

type Moment = { now: number; contact: Contact }

/** `wakeAt` is Infinity when nothing waits for time to pass. */
export function converge(
  assigned: ReadonlyMap<string, AssignedInstance>,
  processes: ReadonlyMap<string, Process>,
  moment: Moment,
): { actions: Action[]; wakeAt: number } {
  const actions: Action[] = []
  let wakeAt = Number.POSITIVE_INFINITY
  for (const id of [...processes.keys()].sort()) {
    const decision = decide(processes.get(id) as Process, assigned.get(id), moment)
    if (decision.action !== undefined) actions.push({ ...decision.action, id })
    else wakeAt = Math.min(wakeAt, decision.wakeAt ?? wakeAt)
  }
  return { actions, wakeAt }
}

function decide(process: Process, wanted: AssignedInstance | undefined, moment: Moment): Decision {
  const { step } = process
  const { now } = moment
  const stopOr = (otherwise: () => Decision) =>
    stopped(wanted, moment) ?? until(wanted, moment, otherwise())
  switch (step.at) {
    case 'waiting':
      return stopOr(() => act('prepare', process.folder ? 'start again' : 'assigned'))
    case 'preparing':
      return stopOr(() => ({}))
    case 'prepared':
      return stopOr(() => act('start', 'its image is ready'))
    case 'probing':
      return stopOr(() => awaitStart(process, step, now))
    case 'serving':
      return stopOr(() => watch(process, step, now))
    case 'backoff':
      return stopOr(() => due('restart', step.until, now, 'its back-off is over'))
    case 'clearing':
      return step.isBegun ? {} : act('clear', 'its program is gone or has to go')
    case 'stopping':
      return due('kill', step.killAt, now, 'it did not end within its grace')
    case 'ended':
      if (wanted !== undefined) return {}
      return due('forget', step.forgetAt, now, 'it has ended and is not assigned any more')
    case 'launching': // It cannot be stopped before it is known what was started.
    case 'forgetting':
      return {}
    default:
      return unreachable(step)
  }
}

function awaitStart({ page }: Process, step: Probing, now: number): Decision {
  const { fall = Number.POSITIVE_INFINITY } = startupOf(page.spec)
  if (now >= step.deadline) return act('give_up_start', 'its start took too long')
  if (step.failed >= fall) return act('give_up_start', `${step.failed} startup checks failed`)
  if (step.isAsking) return { wakeAt: step.deadline }
  if (now >= step.probeAt) return act('probe', 'is it healthy yet?')
  return { wakeAt: Math.min(step.deadline, step.probeAt) }
}

function watch({ page }: Process, step: Serving, now: number): Decision {
  const { spec } = page
  if (!step.isHealthy && step.failed >= readinessFailuresMax(spec)) {
    return act('give_up_health', `${step.failed} health checks failed`)
  }
  const check = livenessOf(spec)
  const { liveness } = step
  if (check !== undefined && liveness.failed >= check.fall) {
    return act('give_up_health', `${liveness.failed} liveness checks failed`)
  }
  const ready = step.isAsking ? {} : due('probe', step.probeAt, now, 'is it still healthy?')
  if (ready.action !== undefined || check === undefined || liveness.isAsking) return ready
  return sooner(ready, due('probe_liveness', liveness.probeAt, now, 'does it still live?'))
}

/** What ends it; undefined: nothing does. */
function stopped(
  wanted: AssignedInstance | undefined,
  { now, contact }: Moment,
): Decision | undefined {
  if (wanted === undefined) return act('stop', 'it is not assigned to this node (any more)')
  if (wanted.want === 'stop') return act('stop', 'the controller asked for it')
  return now >= cutOffAt(wanted, contact) ? act('cut_off', 'the controller is silent') : undefined
}

function until(
  wanted: AssignedInstance | undefined,
  { contact }: Moment,
  decision: Decision,
): Decision {
  return wanted === undefined ? decision : sooner(decision, { wakeAt: cutOffAt(wanted, contact) })
}

/** Infinity: it runs on, however long the controller is silent. */
function cutOffAt({ partition_stop_ms }: AssignedInstance, contact: Contact): number {
  if (partition_stop_ms === undefined) return Number.POSITIVE_INFINITY
  return contact.heardAt + Math.max(partition_stop_ms, contact.silenceMsMin)
}

function sooner(one: Decision, other: Decision): Decision {
  if (one.action !== undefined) return one
  if (other.action !== undefined) return other
  const never = Number.POSITIVE_INFINITY
  return { wakeAt: Math.min(one.wakeAt ?? never, other.wakeAt ?? never) }
}

function due(kind: OrderKind, at: number, now: number, why: string): Decision {
  return now >= at ? act(kind, why) : { wakeAt: at }
}

function act(kind: OrderKind, why: string): Decision {
  return { action: { kind, why } }
}
