// How far a deployment has come (S26), from its service and its instances. Pure.

import { isFinal, isHolding, isServing } from '#ctld/instance.ts'
import type { Deployment, DeploymentState, Instance, Service } from '#shared/model.ts'

const settled: ReadonlySet<DeploymentState> = new Set<DeploymentState>([
  'complete_running',
  'incomplete_running',
  'complete_termination',
  'incomplete_termination',
  'superseded',
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
  const { state, why } =
    was.kind === 'stop' || was.kind === 'remove'
      ? terminationOf(was, mine)
      : runningOf(was, service, mine)
  const failure = failureOf(was, mine)
  if (state === was.state && why === was.why && failure === undefined) return was
  if (state === was.state && why === was.why && was.failure !== undefined) return was
  const next = { ...was, state, why, ...(failure === undefined ? {} : { failure }) }
  return settled.has(state) ? { ...next, finishedAt: now } : next
}

type Standing = { state: DeploymentState; why: string }

function runningOf(
  was: Deployment,
  service: Service | undefined,
  mine: readonly Instance[],
): Standing {
  const wanted = service?.desired === 'running' ? service.config.concurrency : 0
  const programRevision = service?.programRevision ?? was.revision
  const current = mine.filter((instance) => instance.revision >= programRevision)
  const serving = current.filter(isServing).length
  const failed = current.filter(
    (instance) => instance.deployment === was.id && isFailure(instance),
  ).length
  const leaving = mine.filter(
    (instance) => isHolding(instance) && instance.revision < programRevision,
  ).length
  const tally = `${serving} of ${wanted} running`
  const holding = current.filter(isHolding).length
  // First, because what crashed may have been replaced.
  if (serving >= wanted && leaving === 0 && holding <= wanted) {
    return { state: 'complete_running', why: tally }
  }
  if (failed > 0 && holding === serving) {
    const former = mine.filter(
      (instance) => isServing(instance) && instance.revision < programRevision,
    ).length
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
