// How far a deployment has come (S26), from its service and its instances. Pure.

import { hasPlace, isFinal, isHolding, isServing } from '#ctld/instance.ts'
import { isCurrent } from '#ctld/revision.ts'
import { durationMs } from '#shared/duration.ts'
import type { Deployment, DeploymentState, Instance, Service } from '#shared/model.ts'
import { isOnTrial, reachedBy } from './trial.ts'

const settled: ReadonlySet<DeploymentState> = new Set<DeploymentState>([
  'complete_running',
  'incomplete_running',
  'complete_termination',
  'incomplete_termination',
  'superseded',
  'reverted',
])

export function isSettled(deployment: Deployment): boolean {
  return settled.has(deployment.state)
}

/** The deployment as it stands now; the same object when nothing changed. */
export function nextDeployment(
  was: Deployment,
  service: Service | undefined,
  mine: readonly Instance[],
  now: number,
): Deployment {
  if (isSettled(was)) return was
  const isLatest = service?.deployment === was.id
  if (!isLatest && !(service === undefined && was.kind === 'remove')) {
    return { ...was, state: 'superseded', why: 'a newer one took over', finishedAt: now }
  }
  const isEnding = was.kind === 'stop' || was.kind === 'remove'
  const standing = isEnding ? terminationOf(was, mine) : judgedOf(was, service, mine)
  const { watchSince: _, ...rest } = was
  const next: Deployment = { ...rest, ...watched(was, standing, service, now) }
  const isNews = next.state !== was.state || next.why !== was.why
  const failure = isNews ? (failureOf(was, mine) ?? was.failure) : was.failure
  const known = failure ?? failureOf(was, mine)
  if (known !== undefined) next.failure = known
  if (service !== undefined && isOnTrial(was, service)) {
    next.progress = progressOf({ was, next }, service, mine, now)
  }
  if (isSettled(next)) next.finishedAt = now
  return isSame(was, next) ? was : next
}

/** Wall instant at which it has been watched for long enough; Infinity: it is not watched. */
export function watchedUntil(
  { state, watchSince }: Deployment,
  service: Service | undefined,
): number {
  if (state !== 'watching' || watchSince === undefined || service === undefined) return Infinity
  return watchSince + durationMs(service.config.update.guard.watch)
}

type Standing = { state: DeploymentState; why: string }

/** What is through and on trial is watched for a while, beginning anew when it was not whole. */
function watched(
  was: Deployment,
  standing: Standing,
  service: Service | undefined,
  now: number,
): Standing & { watchSince?: number } {
  if (service === undefined || standing.state !== 'complete_running') return standing
  if (!isOnTrial(was, service)) return standing
  const { watch } = service.config.update.guard
  const watching = { state: 'watching', why: `${standing.why}, watched for ${watch}` } as const
  const watchSince = was.state === 'watching' ? (was.watchSince ?? now) : now
  const isOver = watchedUntil({ ...was, ...watching, watchSince }, service) <= now
  return isOver ? { ...standing, watchSince } : { ...watching, watchSince }
}

function progressOf(
  { was, next }: { was: Deployment; next: Deployment },
  service: Service,
  mine: readonly Instance[],
  now: number,
) {
  const reached = reachedBy(service, mine)
  const { progress } = was
  // It was through: what it lacks by now it lacks from now on.
  if (was.state === 'watching' && next.state !== 'watching') return { reached, at: now }
  return progress === undefined || reached > progress.reached ? { reached, at: now } : progress
}

function isSame(was: Deployment, is: Deployment): boolean {
  return (
    is.state === was.state &&
    is.why === was.why &&
    is.failure === was.failure &&
    is.progress === was.progress &&
    is.watchSince === was.watchSince
  )
}

/** While it is on trial nobody but its judge ends it: what is left half done is taken back. */
function judgedOf(
  was: Deployment,
  service: Service | undefined,
  mine: readonly Instance[],
): Standing {
  const standing = runningOf(was, service, mine)
  const isGivenUp = standing.state === 'incomplete_running'
  const isJudged = isGivenUp && service !== undefined && isOnTrial(was, service)
  return isJudged ? { ...standing, state: 'partial_err' } : standing
}

function runningOf(
  was: Deployment,
  service: Service | undefined,
  mine: readonly Instance[],
): Standing {
  const wanted = service?.desired === 'running' ? service.config.concurrency : 0
  const isOfIt = (instance: Instance) =>
    service === undefined ? instance.revision === was.revision : isCurrent(service, instance)
  const current = mine.filter(isOfIt)
  const serving = current.filter((one) => isServing(one) && hasPlace(one)).length
  const failed = current.filter(
    (instance) => instance.deployment === was.id && isFailure(instance),
  ).length
  // One without a place is either told to end already or kept ready for a way back.
  const leaving = mine.filter((instance) => hasPlace(instance) && !isOfIt(instance)).length
  const tally = `${serving} of ${wanted} running`
  const holding = current.filter(isHolding).length
  // First, because what crashed may have been replaced.
  if (serving >= wanted && leaving === 0 && holding <= wanted) {
    return { state: 'complete_running', why: tally }
  }
  if (failed > 0 && holding === serving) {
    const former = mine.filter((instance) => isServing(instance) && !isOfIt(instance)).length
    const goOn = former === 0 ? '' : `; ${former} of the former revision go on serving`
    return { state: 'incomplete_running', why: `${tally}, ${failed} failed to start${goOn}` }
  }
  if (failed > 0) return { state: 'partial_err', why: `${tally}, ${failed} failed` }
  if (serving > 0) return { state: 'partial_ok', why: tally }
  return { state: 'deploying', why: tally }
}

/** Given up: it never started, or it started and then crashed until its agent gave up. */
function isFailure(instance: Instance): boolean {
  return instance.state === 'failed_to_start' || instance.state === 'unexpected_crashed'
}

function terminationOf(was: Deployment, mine: readonly Instance[]): Standing {
  const left = mine.filter((instance) => !isFinal(instance)).length
  const since = mine.filter((instance) => isFinal(instance) && instance.changedAt >= was.createdAt)
  const bad = since.filter((instance) => instance.state === 'failed_to_terminate').length
  if (left === 0) {
    return bad > 0
      ? { state: 'incomplete_termination', why: `${bad} could not be stopped` }
      : { state: 'complete_termination', why: 'all stopped' }
  }
  const why = `${left} still to stop`
  if (bad > 0) return { state: 'partial_term_err', why }
  return since.length > 0 ? { state: 'partial_term_ok', why } : { state: 'terminating', why }
}

/** The newest failure of this deployment, with what its user needs to mend it. */
function failureOf(was: Deployment, mine: readonly Instance[]): Deployment['failure'] | undefined {
  const failed = mine
    .filter((instance) => instance.deployment === was.id && instance.failure !== undefined)
    .toSorted((a, b) => b.changedAt - a.changedAt)[0]
  if (failed?.failure === undefined) return undefined
  return { ...failed.failure, instance: failed.id, node: failed.node }
}
