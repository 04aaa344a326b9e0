// Instants that were written down before the wall clock was set back lie in the future. Nothing
// must wait for hours because of that: they are brought back to the present. Pure.

import { durationMs } from '#shared/duration.ts'
import type { Deployment, Instance, Rebalance, Service, ServiceTraffic } from '#shared/model.ts'
import { PAUSE_MAX } from '#shared/traffic-control.ts'
import type { NodeMark } from './document.ts'

const HOUR_MS = 3_600_000
const RETRY_MS_MAX = 60_000

export function timelyInstance(instance: Instance, now: number): Instance {
  const { changedAt, healthyAt, retryAt, drainUntil, stopRetryAt, failures } = instance
  const hour = now + HOUR_MS
  return {
    ...instance,
    changedAt: Math.min(changedAt, now),
    ...(failures === undefined
      ? {}
      : { failures: failures.map(({ node, at }) => ({ node, at: Math.min(at, now) })) }),
    ...(healthyAt === undefined ? {} : { healthyAt: Math.min(healthyAt, now) }),
    ...(retryAt === undefined ? {} : { retryAt: Math.min(retryAt, now + RETRY_MS_MAX) }),
    ...(drainUntil === undefined ? {} : { drainUntil: Math.min(drainUntil, hour) }),
    ...(stopRetryAt === undefined ? {} : { stopRetryAt: Math.min(stopRetryAt, hour) }),
  }
}

/** A pause ends in time, and a canary stays at its share for no longer than it should. */
export function timelyService(service: Service, now: number): Service {
  const { rollout } = service
  return {
    ...service,
    changedAt: Math.min(service.changedAt, now),
    traffic: timelyTraffic(service.traffic, now),
    ...(rollout === undefined
      ? {}
      : { rollout: { ...rollout, since: Math.min(rollout.since, now) } }),
  }
}

/** It is watched, and its deadline comes. */
export function timelyDeployment(deployment: Deployment, now: number): Deployment {
  const { createdAt, progress, watchSince } = deployment
  return {
    ...deployment,
    createdAt: Math.min(createdAt, now),
    ...(progress === undefined
      ? {}
      : { progress: { ...progress, at: Math.min(progress.at, now) } }),
    ...(watchSince === undefined ? {} : { watchSince: Math.min(watchSince, now) }),
  }
}

/** A drain has the time that it was given, from the present on. */
export function timelyMark(mark: NodeMark, now: number): NodeMark {
  if (mark.drain === undefined || mark.drain.since <= now) return mark
  const { since, until } = mark.drain
  return { ...mark, drain: { ...mark.drain, since: now, until: until - (since - now) } }
}

/** The next move begins after the pause, and one that takes too long is given up. */
export function timelyRebalance(was: Rebalance, pauseMs: number, now: number): Rebalance {
  const { createdAt, movingSince, nextAt } = was
  return {
    ...was,
    createdAt: Math.min(createdAt, now),
    nextAt: Math.min(nextAt, now + pauseMs),
    ...(movingSince === undefined ? {} : { movingSince: Math.min(movingSince, now) }),
  }
}

function timelyTraffic(traffic: ServiceTraffic, now: number): ServiceTraffic {
  if (traffic.state !== 'paused') return traffic
  const until = Math.min(traffic.until, now + durationMs(PAUSE_MAX))
  return { ...traffic, since: Math.min(traffic.since, now), until }
}
