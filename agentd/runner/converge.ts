// Decides what to do so that what runs on this node becomes what was assigned to it (M26, Q07).
// Pure: the same arguments give the same actions in the same order. It never waits; when only
// time can help, it says until when in `wakeAt`. An instance that is not assigned is stopped.

import { unreachable } from '#shared/assert.ts'
import type { AssignedInstance } from '#shared/wire.ts'
import type { OrderKind, Process, Serving } from './process.ts'

/** Failed checks beyond those that made it unhealthy, in multiples of `fall`, until a kill. */
const PATIENCE = 2

export type Action = { kind: OrderKind; id: string; why: string }

type Decision = { action?: Omit<Action, 'id'>; wakeAt?: number }

/** `wakeAt` is Infinity when nothing waits for time to pass. */
export function converge(
  assigned: ReadonlyMap<string, AssignedInstance>,
  processes: ReadonlyMap<string, Process>,
  now: number,
): { actions: Action[]; wakeAt: number } {
  const actions: Action[] = []
  let wakeAt = Number.POSITIVE_INFINITY
  for (const id of [...processes.keys()].sort()) {
    const decision = decide(processes.get(id) as Process, assigned.get(id), now)
    if (decision.action !== undefined) actions.push({ ...decision.action, id })
    else wakeAt = Math.min(wakeAt, decision.wakeAt ?? wakeAt)
  }
  return { actions, wakeAt }
}

function decide(process: Process, wanted: AssignedInstance | undefined, now: number): Decision {
  const { step } = process
  switch (step.at) {
    case 'waiting':
      return stopOr(wanted, () => act('prepare', process.folder ? 'start again' : 'assigned'))
    case 'preparing':
      return stopOr(wanted, () => ({}))
    case 'prepared':
      return stopOr(wanted, () => act('start', 'its image is ready'))
    case 'probing':
      return stopOr(wanted, () => {
        if (now >= step.deadline) return act('give_up_start', 'its start took too long')
        if (step.isAsking) return { wakeAt: step.deadline }
        if (now >= step.probeAt) return act('probe', 'is it healthy yet?')
        return { wakeAt: Math.min(step.deadline, step.probeAt) }
      })
    case 'serving':
      return stopOr(wanted, () => watch(process, step, now))
    case 'backoff':
      return stopOr(wanted, () => due('restart', step.until, now, 'its back-off is over'))
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

function watch({ page }: Process, step: Serving, now: number): Decision {
  const { fall } = page.spec.health
  if (!step.isHealthy && step.failed >= fall + PATIENCE * fall) {
    return act('give_up_health', `${step.failed} health checks failed`)
  }
  return step.isAsking ? {} : due('probe', step.probeAt, now, 'is it still healthy?')
}

function stopOr(wanted: AssignedInstance | undefined, otherwise: () => Decision): Decision {
  if (wanted === undefined) return act('stop', 'it is not assigned to this node (any more)')
  return wanted.want === 'stop' ? act('stop', 'the controller asked for it') : otherwise()
}

function due(kind: OrderKind, at: number, now: number, why: string): Decision {
  return now >= at ? act(kind, why) : { wakeAt: at }
}

function act(kind: OrderKind, why: string): Decision {
  return { action: { kind, why } }
}
