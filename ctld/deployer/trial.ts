// What a deployment has to prove: whether it is on trial at all, how far it has come, and how its
// instances did so far. Pure.

import { hasPlace, isHolding, isServing } from '#ctld/instance.ts'
import { isCurrent, programOf } from '#ctld/revision.ts'
import type { Deployment, Instance, Service } from '#shared/model.ts'

/**
 * It brings another program than the one that worked last, and may be taken back: then it is judged
 * while it goes on, and watched for a while when it is through. A way back is not on trial: it
 * could only lead there and back again.
 */
export function isOnTrial({ kind }: Deployment, service: Service): boolean {
  const { goodRevision, config, desired } = service
  if (goodRevision === undefined || !config.update.auto_revert || desired !== 'running')
    return false
  if (kind === 'revert' || kind === 'stop' || kind === 'remove') return false
  return programOf(service, goodRevision) !== service.programRevision
}

/** Those of the declared program to which something happened since the deployment began. */
export function onTrial(
  { createdAt }: Deployment,
  service: Service,
  mine: readonly Instance[],
): Instance[] {
  return mine.filter((one) => one.changedAt >= createdAt && isCurrent(service, one))
}

/** Grows with each instance that comes further, each old one that goes, each step of a canary. */
export function reachedBy(service: Service, mine: readonly Instance[]): number {
  let reached = service.rollout?.step ?? 0
  for (const instance of mine) {
    if (!isCurrent(service, instance)) reached -= isHolding(instance) ? 1 : 0
    else reached += Number(isServing(instance)) + Number(hasPlace(instance))
  }
  return reached
}

/** Tries to start that ended in vain. */
export function triesFailed({ state, attempt, retryAt }: Instance): number {
  if (state === 'failed_to_start') return attempt
  if (state !== 'deploying') return 0
  return retryAt === undefined ? attempt - 1 : attempt
}

/** How often it ended by itself after it had been healthy, whoever starts it again. */
export function crashesOf({ state, phase, restarts, failure }: Instance): number {
  switch (state) {
    case 'started':
      // Not before it is told in full: the record needs its last lines.
      return restarts + (phase === 'backoff' && failure?.log_tail !== undefined ? 1 : 0)
    case 'unexpected_crashed':
      // Without one it was lost with its worker: the program had no part in that.
      return restarts + (failure === undefined ? 0 : 1)
    case 'unexpected_terminated':
      return restarts + 1
    default:
      return restarts
  }
}
