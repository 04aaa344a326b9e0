// Judges a deployment that is on trial: let it go on, or go back to the revision that worked. Pure.
// It goes by what its instances do and, in guard.ts, by what the balancer sees of them.

import { isServing } from '#ctld/instance.ts'
import { durationMs } from '#shared/duration.ts'
import type { Deployment, Instance, Service } from '#shared/model.ts'
import { type GuardFigures, guardFault } from './guard.ts'
import { crashesOf, onTrial, triesFailed } from './trial.ts'

/** Tries of one instance to start. There are more, but no longer at the cost of the users' time. */
export const TRIES_FAILED_MAX = 3
/** One crash may be the machine's; the second one is the program's. */
export const CRASHES_MAX = 2

export type Case = {
  deployment: Deployment
  service: Service
  /** All that there is of the service. */
  mine: readonly Instance[]
  /** undefined: the balancer was not asked yet, or does not answer; that holds up nothing. */
  figures: GuardFigures | undefined
  /** Wall instant of the controller's start: time in which nobody looked does not count. */
  upSince: number
}

export type Verdict =
  | { kind: 'go_on'; wakeAt: number }
  | { kind: 'revert'; why: string; failure: Deployment['failure'] }

export function judge(one: Case, now: number): Verdict {
  const tried = onTrial(one.deployment, one.service, one.mine)
  const fault =
    neverHealthy(tried) ?? crashing(tried) ?? regressed(one, tried) ?? overdue(one, tried, now)
  if (fault !== undefined) return { kind: 'revert', ...fault }
  return { kind: 'go_on', wakeAt: deadlineOf(one, tried) }
}

type Fault = { why: string; failure: Deployment['failure'] }

function neverHealthy(tried: readonly Instance[]): Fault | undefined {
  const failed = tried.filter((instance) => triesFailed(instance) >= TRIES_FAILED_MAX)
  const worst = newestFailure(failed) ?? failed[0]
  if (worst === undefined) return undefined
  const error = worst.failure?.error ?? worst.why
  return {
    why: `failed to start ${triesFailed(worst)} times on ${worst.node}: ${error}`,
    failure: failureOf(worst, error),
  }
}

function crashing(tried: readonly Instance[]): Fault | undefined {
  const crashed = tried.filter((instance) => crashesOf(instance) > 0)
  const count = crashed.reduce((sum, instance) => sum + crashesOf(instance), 0)
  if (count < CRASHES_MAX) return undefined
  const worst = newestFailure(crashed) ?? crashed[0]
  if (worst === undefined) return undefined
  const error = worst.failure?.error ?? worst.why
  return { why: `crashed ${count} times: ${error}`, failure: failureOf(worst, error) }
}

function regressed({ service, figures }: Case, tried: readonly Instance[]): Fault | undefined {
  const error = figures === undefined ? undefined : guardFault(service.config.update.guard, figures)
  const [any] = tried.filter(isServing)
  if (error === undefined) return undefined
  return { why: error, failure: any === undefined ? undefined : failureOf(any, error) }
}

function overdue(one: Case, tried: readonly Instance[], now: number): Fault | undefined {
  if (now < deadlineOf(one, tried)) return undefined
  const { concurrency, update } = one.service.config
  const serving = tried.filter(isServing).length
  const late = newestFailure(tried) ?? tried.find((instance) => !isServing(instance))
  const why = `no progress within ${update.deadline}: ${serving} of ${concurrency} healthy`
  return {
    why,
    failure: late === undefined ? undefined : failureOf(late, late.failure?.error ?? why),
  }
}

/**
 * Wall instant; Infinity: none, because it is through, or something else has its own deadline. What
 * the configuration itself makes it wait for is no lack of progress.
 */
function deadlineOf({ deployment, service, upSince }: Case, tried: readonly Instance[]): number {
  if (deployment.state === 'watching') return Number.POSITIVE_INFINITY
  const isBuilding = ({ phase }: Instance) => phase === 'fetching' || phase === 'building'
  if (tried.some(isBuilding)) return Number.POSITIVE_INFINITY
  const { deadline, min_healthy, pause } = service.config.update
  const { drain, grace } = service.config.stop
  const since = Math.max(deployment.progress?.at ?? deployment.createdAt, upSince)
  const paused = service.rollout === undefined ? 0 : durationMs(pause)
  const ending = endsFirst(service) ? durationMs(drain) + durationMs(grace) : 0
  return since + durationMs(deadline) + durationMs(min_healthy) + paused + ending
}

/** The new one cannot start before the old one has ended its requests and itself. */
function endsFirst({ config: { exclusive, update } }: Service): boolean {
  return exclusive || update.max_surge === 0 || update.strategy === 'recreate'
}

function newestFailure(instances: readonly Instance[]): Instance | undefined {
  return instances
    .filter(({ failure }) => failure !== undefined)
    .toSorted((a, b) => b.changedAt - a.changedAt || (a.id < b.id ? -1 : 1))[0]
}

function failureOf(instance: Instance, error: string): Deployment['failure'] {
  return { ...instance.failure, error, instance: instance.id, node: instance.node }
}
