// Folds an agent's report (M13, M32, M33) into what is known of its node and its instances.

import type { InstanceEvent } from '#ctld/instance.ts'
import { isFinal } from '#ctld/instance.ts'
import type { FailureDetail, Instance } from '#shared/model.ts'
import type { InstanceStatus, Report } from '#shared/wire.ts'
import { foldInstance } from './fold-instance.ts'
import { factsOf, seenOf, tellNews, type World } from './world.ts'

const FORMER_SESSIONS_MAX = 8

/** false: it is older than one that was folded already, and changed nothing (S05). */
export function foldReport(world: World, report: Report, generation: number, now: number): boolean {
  const seen = seenOf(world, report.node)
  if (isOld(seen, report)) return false
  const isNewSession = seen.session !== report.agent.session
  const former =
    isNewSession && seen.session !== undefined
      ? [...seen.formerSessions, seen.session].slice(-FORMER_SESSIONS_MAX)
      : seen.formerSessions
  world.seen.set(report.node, {
    ...seen,
    seenAt: now,
    hasReported: true,
    wasSeen: true,
    intervalMs: report.interval_ms,
    failedProbes: 0,
    session: report.agent.session,
    formerSessions: former,
    sequence: report.sequence,
    boot: report.agent.boot,
    agentVersion: report.agent.version,
    isolation: report.isolation,
    epoch: report.epoch,
    generation: report.generation,
    ...(report.metrics === undefined ? {} : { metrics: report.metrics, metricsAt: now }),
  })
  noteSize(world, report)
  for (const status of report.instances) foldStatus(world, report.node, status, now)
  foldMissing(world, report, generation, now)
  return true
}

/** It outlives a restart of the controller, and is known of dead nodes too. */
function noteSize(world: World, { node, metrics, isolation }: Report): void {
  const mark = world.tables.nodes.get(node)
  if (mark === undefined) return
  const size = metrics && { cores: metrics.cores, memory: metrics.memory_total }
  const isNewSize =
    size !== undefined && (size.cores !== mark.size?.cores || size.memory !== mark.size.memory)
  const isNewIsolation = isolation !== undefined && isolation.mode !== mark.isolation
  if (!isNewSize && !isNewIsolation) return
  world.tables.nodes.put(node, {
    ...mark,
    ...(size === undefined ? {} : { size }),
    ...(isolation === undefined ? {} : { isolation: isolation.mode }),
  })
}

function isOld(
  seen: { session: string | undefined; formerSessions: string[]; sequence: number },
  report: Report,
): boolean {
  const { session } = report.agent
  if (seen.session === session) return report.sequence <= seen.sequence
  return seen.formerSessions.includes(session)
}

function foldStatus(world: World, node: string, status: InstanceStatus, now: number): void {
  const instance = world.tables.instances.get(status.id)
  if (instance === undefined) {
    // Later nobody can tell which program it is: the declared one takes its place.
    if (now < world.rebuildUntil) adopt(world, node, status, now)
    return
  }
  // One owner per instance (I5): what another node says of it counts for nothing (F42).
  if (instance.node !== node || instance.service !== status.service) return
  // A report that left before the retry was ordered.
  if (status.attempt < instance.attempt) return
  const event = eventOf(status)
  if (event !== undefined) foldInstance(world, status.id, event, now)
}

function eventOf(status: InstanceStatus): InstanceEvent | undefined {
  const failure: FailureDetail = status.failure
    ? detailOf(status.failure)
    : { error: `reported as ${status.phase}` }
  const restarts = status.restarts
  switch (status.phase) {
    case 'started':
      if (status.port === undefined) return undefined
      return { kind: 'started', port: status.port, pid: status.pid, restarts }
    case 'unhealthy':
    case 'backoff':
      return { kind: 'unhealthy', phase: status.phase, restarts, failure }
    case 'starting':
    case 'waiting':
    case 'fetching':
    case 'building':
      // An instance that was started and starts again is not healthy meanwhile.
      return restarts > 0
        ? { kind: 'unhealthy', phase: status.phase, restarts }
        : { kind: 'progress', phase: status.phase }
    case 'stopping':
      return { kind: 'progress', phase: status.phase }
    case 'terminated':
      return { kind: 'terminated' }
    case 'cut_off':
      return { kind: 'cut_off', failure }
    case 'killed':
      return { kind: 'killed', failure }
    case 'crashed':
      return { kind: 'crashed', failure, restarts }
    case 'failed_to_start':
      return { kind: 'failed_to_start', attempt: status.attempt, failure }
  }
}

/** Without the keys that are undefined. */
function detailOf(failure: NonNullable<InstanceStatus['failure']>): FailureDetail {
  return JSON.parse(JSON.stringify(failure)) as FailureDetail
}

/** What an agent that obeys the newest order does not have is gone. */
function foldMissing(world: World, report: Report, generation: number, now: number): void {
  if (report.epoch !== factsOf(world).epoch || report.generation !== generation) return
  if (generation === 0) return
  const reported = new Set(report.instances.map((status) => status.id))
  for (const instance of world.tables.instances.values()) {
    if (instance.node !== report.node || isFinal(instance) || reported.has(instance.id)) continue
    if (instance.retryAt !== undefined) continue
    const failure = { error: 'its agent does not have it' }
    foldInstance(world, instance.id, { kind: 'killed', failure }, now)
  }
}

/** The records were lost: a running instance of a configured service is taken as it is (Q16). */
function adopt(world: World, node: string, status: InstanceStatus, now: number): void {
  const service = world.tables.services.get(status.service)
  if (service === undefined || service.desired !== 'running') return
  // What runs there is from before the change.
  if (service.changedAt > world.startedAt) return
  if (status.phase !== 'started' || status.port === undefined) return
  const instance: Instance = {
    id: status.id,
    service: service.name,
    revision: service.revision,
    deployment: service.deployment,
    node,
    state: 'started',
    attempt: status.attempt,
    createdAt: now,
    changedAt: now,
    why: 'taken over from its agent: its record was lost',
    port: status.port,
    healthy: true,
    healthyAt: now,
    admitted: false,
    phase: 'started',
    restarts: status.restarts,
    stopTry: 0,
  }
  world.tables.instances.put(instance.id, instance)
  tellNews(world, now, 'instance.adopted', 'instance taken over from its agent', {
    instance: instance.id,
    service: service.name,
    node,
  })
}
