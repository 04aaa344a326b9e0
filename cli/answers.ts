// What the API answers, as far as commands read it. A test holds these types to the schemas that
// the controller answers with.

import type {
  ClusterEvent,
  Deployment,
  IncidentKind,
  Instance,
  Move,
  NodeDrain,
  NodeMetrics,
  NodeState,
  Service,
} from '#shared/model.ts'
import type { Isolation } from '#shared/wire.ts'

export type Pending = { service: string; count: number; why: string }

export type TrafficSummary =
  | { state: 'open' }
  | { state: 'paused'; since: number; until: number }
  | { state: 'maintenance'; since: number }

export type ServiceSummary = {
  name: string
  state: 'running' | 'starting' | 'partial' | 'down' | 'stopping' | 'stopped' | 'removing'
  desired: Service['desired']
  traffic: TrafficSummary
  running: number
  wanted: number
  nodes: Record<string, number>
  revision: number
  deployment: string
  port: number
  public: boolean
  hosts: string[]
}

export type SecretAnswer = {
  name: string
  version: number
  updatedAt: number
  usedBy: { service: string; version: number }[]
}
export type SecretSetAnswer = SecretAnswer & { isNew: boolean }

export type HistoryAnswer = {
  service: string
  revision: number
  goodRevision: number | null
  revisions: {
    revision: number
    program: number
    at: number
    worked: boolean
    instances: number
    changed: string[] | null
  }[]
  deployments: Deployment[]
}

export type DiffAnswer = {
  service: string
  from: number
  to: number
  changes: { key: string; before?: unknown; after?: unknown }[]
}

export type ServiceDetail = {
  service: Service
  summary: ServiceSummary
  instances: Instance[]
  deployment: Deployment | null
  pending: Pending[]
}

export type NodeAnswer = {
  name: string
  ip: string
  agent_port: number
  labels: Record<string, string>
  state: NodeState
  why: string
  changedAt: number
  silentMs: number | null
  drained: boolean
  drain: NodeDrain | null
  cordoned: boolean
  metrics: NodeMetrics | null
  agentVersion: string | null
  isolation: Isolation | null
  instanceCount: number
}

/** Milliseconds; null: nothing was counted. */
export type Times = { p50: number | null; p90: number | null; p99: number | null }

export type BalancerInstance = {
  instance: string
  node: string | null
  requests: number
  inFlight: number
  connectAttempts: number
  connectErrors: number
  reuses: number
  reuseDeaths: number
  responseErrors: number
  failed: number
  idleConnections: number
  openConnections: number
  ejections: number
  connect: Times
  answer: Times
}

export type BalancerService = {
  service: string
  traffic: TrafficSummary | null
  requests: number
  statuses: Record<string, number>
  errors: number
  endings: Record<string, number>
  retries: number
  retriesDenied: number
  queued: number
  waiting: number
  inFlight: number
  bytesIn: number
  bytesOut: number
  total: Times
  firstByte: Times
  queue: Times
  instances: BalancerInstance[]
}

export type BalancerAnswer = {
  startedAt: number
  tableVersion: number
  loops: number
  connections: { accepted: number; open: number; refused: number }
  rejected: Record<string, number>
  services: BalancerService[]
}

export type HoldUp = { instance: string; service: string; why: string; isStuck: boolean }
export type DrainAnswer = { node: NodeAnswer; holds: HoldUp[] }

export type RebalancePlan = {
  moves: Move[]
  staying: { service: string; why: string }[]
  isCut: boolean
}

export type Frozen = { since: number; nodes: string[] } | null

export type Incident = {
  id: string
  kind: IncidentKind
  subjects: string[]
  state: 'gathering' | 'open' | 'recovered'
  openedAt: number
  recoveredAt: number | null
  story: string[]
  storyDropped: number
  mails: number
}

export type WaitingMail = {
  id: string
  subject: string
  tries: number
  next_at: number
  last_error: string | null
}

export type ConfigMark = { version: number; at: number; by: 'start' | 'api' | 'file' }

export type ForeseenAction = {
  afterMs: number
  kind: string
  service: string
  instance: string | null
  node: string | null
  why: string
}

export type ExplainAnswer = {
  service: string
  placement: 'round_robin' | 'least_loaded' | 'spread'
  rule: string
  wanted: number
  held: number
  next: string | null
  nowhere: string | null
  nodes: {
    node: string
    verdict: 'next' | 'possible' | 'refused'
    order: number | null
    instances: number
    why: string[]
    why_not: string[]
  }[]
  pending: Pending[]
}

export type ForecastAnswer = {
  actions: ForeseenAction[]
  pending: Pending[]
  lastsMs: number
  cutBy: 'actions' | 'turns' | 'time' | null
  frozen: boolean
  services: {
    service: string
    wanted: number
    before: Record<string, number>
    after: Record<string, number>
    serving: number
  }[]
}

export type PlanAnswer = ForecastAnswer & {
  service: string
  was: number | null
  revision: number
  changes: { key: string; before?: unknown; after?: unknown }[]
  image: 'stored' | 'to_upload' | 'unknown'
}

export type ServicesAnswer = { services: ServiceSummary[]; pending: Pending[] }
export type InstancesAnswer = { instances: Instance[] }
export type Spare = {
  state: 'ok' | 'lacking' | 'single' | 'unknown'
  lacks: { service: string; node: string; count: number; why: string }[]
}

export type NodesAnswer = {
  nodes: NodeAnswer[]
  frozen: Frozen
  /** A controller of an older version does not say. */
  spare?: Spare
}
export type EventsAnswer = { events: ClusterEvent[]; cursor: number }
export type AlertsAnswer = {
  incidents: Incident[]
  outbox: number
  /** A controller of an older version does not say. */
  waiting?: WaitingMail[]
}
export type ConfigVersionAnswer = ConfigMark & { text: string }
export type ConfigAnswer = ConfigVersionAnswer & { history: ConfigMark[] }
export type ConfigPutAnswer = { version: number; restart_required: string[] }
export type AcceptedAnswer = { deployment_id: string; deployment: Deployment; hints: string[] }
export type VersionAnswer = { name: string; version: string; epoch: number }
