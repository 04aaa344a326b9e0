// All that the controller knows: durable tables, and what it has seen of each worker since its
// start. Only the fold-*.ts files beside this one write to it.

import type { Sighting } from '#ctld/agent-manager/judge.ts'
import type { Occurrence } from '#ctld/notifier/incident.ts'
import type { Loaded } from '#ctld/ports.ts'
import { withGood } from '#ctld/revision.ts'
import type { ControllerConfig, Machine } from '#shared/configuration.ts'
import { durationMs } from '#shared/duration.ts'
import type {
  ClusterEvent,
  Deployment,
  Instance,
  NodeMetrics,
  Rebalance,
  Service,
} from '#shared/model.ts'
import type { Isolation } from '#shared/wire.ts'
import { completeInstance } from './complete-document.ts'
import {
  CONFIG_HISTORY_MAX,
  type ConfigVersion,
  DOCUMENT_FORMAT,
  type Incident,
  type NodeMark,
  type OutboxMail,
  type StateDocument,
} from './document.ts'
import { createTables, type Tables } from './tables.ts'
import {
  timelyDeployment,
  timelyInstance,
  timelyMark,
  timelyRebalance,
  timelyService,
} from './timely.ts'

/** The single records: what there is one of. */
export type Facts = {
  id: 'facts'
  epoch: number
  cursor: string | null
  frozen: { since: number; nodes: string[] } | null
  rebalance: Rebalance | null
  rebalanceDueAt: number | null
  config: ConfigVersion[]
  incidents: Incident[]
  outbox: OutboxMail[]
}

export type Records = {
  services: Service
  instances: Instance
  deployments: Deployment
  nodes: NodeMark
  facts: Facts
}

/** What is known of a worker since the controller's start; gone with it. */
export type Seen = Sighting & {
  session: string | undefined
  /** Sessions before that one: a late report of theirs is ignored. */
  formerSessions: string[]
  sequence: number
  boot: string | undefined
  agentVersion: string | undefined
  isolation: Isolation | undefined
  epoch: number
  generation: number
  metrics: NodeMetrics | undefined
  metricsAt: number
  /** When it was last lost from sight, having been seen before. */
  vanishedAt: number | undefined
  downAt: number | undefined
  wasSeen: boolean
}

export type News = Omit<ClusterEvent, 'cursor'>

export type World = {
  tables: Tables<Records>
  seen: Map<string, Seen>
  /** Versions of each secret that can be read, ascending. Their values are none of the world's. */
  secrets: ReadonlyMap<string, readonly number[]>
  /** The configuration in force. */
  config: ControllerConfig
  /** The one that this process started with: its ports and folders are of that. */
  started: ControllerConfig
  /** Transitions since the last commit, to be written and told. */
  news: News[]
  occurrences: Occurrence[]
  startedAt: number
  /** Until then instances are taken from the agents' reports: their records were lost. */
  rebuildUntil: number
}

export function createWorld(loaded: Loaded, config: ControllerConfig, now: number): World {
  const tables = createTables<Records>(['services', 'instances', 'deployments', 'nodes', 'facts'])
  const document = loaded.document
  tables.facts.put('facts', {
    id: 'facts',
    // Never lower than before, and after a lost or restored state still above what agents obey:
    // seconds since 1970, or one more than the last.
    epoch: Math.max((document?.epoch ?? 0) + 1, Math.floor(now / 1_000)),
    cursor: document?.cursor ?? null,
    frozen: document?.frozen ?? null,
    ...rebalanceOf(document, config, now),
    config: document?.config ?? [],
    incidents: document?.incidents ?? [],
    outbox: document?.outbox ?? [],
  })
  for (const service of document?.services ?? []) {
    tables.services.put(service.name, timelyService(marked(service, loaded), now))
  }
  for (const deployment of loaded.deployments) {
    tables.deployments.put(deployment.id, timelyDeployment(deployment, now))
  }
  for (const service of document?.services ?? []) {
    const { deployment } = service
    if (tables.deployments.get(deployment) !== undefined) continue
    tables.deployments.put(deployment, deploymentOf(service))
  }
  for (const kept of loaded.instances) {
    tables.instances.put(kept.id, timelyInstance(completeInstance(kept), now))
  }
  const isLost = loaded.instances.length === 0 && (document?.services.length ?? 0) > 0
  const world: World = {
    tables,
    seen: new Map(),
    secrets: new Map(),
    config,
    started: config,
    news: [],
    occurrences: [],
    startedAt: now,
    rebuildUntil: isLost ? now + durationMs(config.health.startup_grace) : now,
  }
  const ran = new Set(loaded.instances.filter(isStarted).map(({ node }) => node))
  for (const kept of document?.nodes ?? []) {
    const mark = timelyMark(kept, now)
    // Unknown, but something ran there: the former life ended before it could report to that one.
    const wasThere = mark.state === 'unknown' && ran.has(mark.name)
    const wasSeen = mark.state === 'alive' || mark.state === 'suspect' || wasThere
    tables.nodes.put(mark.name, wasSeen ? { ...mark, state: 'unknown' } : mark)
    const seen = unseen(now)
    world.seen.set(mark.name, { ...seen, wasSeen, downAt: isDown(mark) ? now : undefined })
  }
  return world
}

function rebalanceOf(
  document: StateDocument | undefined,
  { rebalance: { pause, after } }: ControllerConfig,
  now: number,
): Pick<Facts, 'rebalance' | 'rebalanceDueAt'> {
  const { rebalance = null, rebalanceDueAt = null } = document ?? {}
  return {
    rebalance: rebalance && timelyRebalance(rebalance, durationMs(pause), now),
    rebalanceDueAt: rebalanceDueAt && Math.min(rebalanceDueAt, now + durationMs(after)),
  }
}

/** Before revisions were marked as good, one whose deployment had come to a good end was. */
function marked(service: Service, { deployments }: Loaded): Service {
  const { goodRevision, deployment: last, revision } = service
  const isGood = deployments.some(({ id, state }) => id === last && state === 'complete_running')
  return goodRevision === undefined && isGood ? withGood(service, revision) : service
}

/** Confirmed dead, whether or not it is being restarted. */
export function isDown({ state }: NodeMark): boolean {
  return state === 'reviving' || state === 'dead'
}

function isStarted({ state }: Instance): boolean {
  return state === 'started'
}

/** The controller died between the document and the records: what was begun is followed anew. */
function deploymentOf({ name, deployment, revision, desired, changedAt }: Service): Deployment {
  const kinds = { running: 'deploy', stopped: 'stop', removed: 'remove' } as const
  return {
    id: deployment,
    service: name,
    revision,
    kind: kinds[desired],
    state: desired === 'running' ? 'deploying' : 'terminating',
    why: 'its record was lost',
    createdAt: changedAt,
  }
}

export function unseen(now: number): Seen {
  return {
    seenAt: now,
    hasReported: false,
    intervalMs: 2_000,
    failedProbes: 0,
    isProbing: false,
    lastProbeAt: Number.NEGATIVE_INFINITY,
    attempts: 0,
    isRestarting: false,
    lastAttemptAt: Number.NEGATIVE_INFINITY,
    session: undefined,
    formerSessions: [],
    sequence: 0,
    boot: undefined,
    agentVersion: undefined,
    isolation: undefined,
    epoch: 0,
    generation: 0,
    metrics: undefined,
    metricsAt: Number.NEGATIVE_INFINITY,
    vanishedAt: undefined,
    downAt: undefined,
    wasSeen: false,
  }
}

export function factsOf(world: World): Facts {
  const facts = world.tables.facts.get('facts')
  if (facts === undefined) throw new Error('the world has no facts')
  return facts
}

export function setFacts(world: World, change: Partial<Facts>): void {
  world.tables.facts.put('facts', { ...factsOf(world), ...change })
}

/** Workers of the topology in its order, then those that are leaving it. */
export function workersOf(world: World): Machine[] {
  const listed = world.config.topology.filter((machine) => machine.kind === 'worker')
  const names = new Set(listed.map((machine) => machine.name))
  const leaving = world.tables.nodes
    .values()
    .flatMap((mark) => (mark.leaving === null || names.has(mark.name) ? [] : [mark.leaving]))
  return [...listed, ...leaving]
}

export function isDrained(world: World, machine: Machine): boolean {
  const mark = world.tables.nodes.get(machine.name)
  return machine.drain || mark?.drained === true || (mark?.leaving ?? null) !== null
}

export function seenOf(world: World, node: string): Seen {
  const seen = world.seen.get(node) ?? unseen(world.startedAt)
  world.seen.set(node, seen)
  return seen
}

export function tellNews(
  world: World,
  at: number,
  kind: string,
  text: string,
  fields: News['fields'],
): void {
  world.news.push({ at, kind, text, fields })
}

export function documentOf(world: World): StateDocument {
  const { id: _, config, ...facts } = factsOf(world)
  return {
    format: DOCUMENT_FORMAT,
    ...facts,
    config: config.slice(-CONFIG_HISTORY_MAX),
    services: world.tables.services.values(),
    nodes: world.tables.nodes.values(),
  }
}

export function limitsOf(world: World, machine: Machine) {
  const health = world.config.health
  return {
    missedReports: health.missed_reports,
    livenessMs:
      health.liveness_timeout === undefined ? undefined : durationMs(health.liveness_timeout),
    probes: health.probes,
    probeMs: durationMs(health.probe_timeout),
    startupGraceMs: durationMs(health.startup_grace),
    restartAttempts: machine.restart?.attempts ?? 3,
    restartBackoffMs: durationMs(machine.restart?.backoff ?? '5s'),
  }
}
