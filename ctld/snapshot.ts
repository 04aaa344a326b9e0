// What the controller lets others read: one consistent view, made anew after each step. The API,
// and later the page and GraphQL, read this and nothing else.

import type { Machine } from '#shared/configuration.ts'
import type {
  ClusterEvent,
  Deployment,
  Instance,
  NodeDrain,
  NodeMetrics,
  NodeState,
  Rebalance,
  Service,
} from '#shared/model.ts'
import type { Ack, Isolation, Report } from '#shared/wire.ts'
import type { Command, CommandResult } from './commands.ts'
import type { HoldUp } from './deployer/drain.ts'
import type { Explanation } from './deployer/explain.ts'
import type { RebalancePlan } from './deployer/rebalance.ts'
import type { ConfigVersion, Incident } from './discovery/document.ts'
import type { Forecast } from './forecast.ts'
import type { WhatIf } from './what-if.ts'

export type Snapshot = {
  /** Grows with each step that changed something. */
  version: number
  epoch: number
  /** Wall instant of this start. */
  startedAt: number
  topology: readonly Machine[]
  /** All workers, in the order of the topology. */
  nodes: readonly NodeView[]
  /** M50: those of `nodes` that are alive (a suspect one still is). */
  alive_nodes: readonly NodeView[]
  /** M51: those of `nodes` that died and could not be restarted. */
  dead_nodes: readonly NodeView[]
  /** M52, M53. Sorted by name. */
  configured_services: readonly Service[]
  /** M54: services with at least one instance that is not final. Sorted by name. */
  active_services: readonly ActiveService[]
  /** Live ones and the recent final ones, sorted by id. */
  instances: readonly Instance[]
  /** Sorted by id, which is by time. */
  deployments: readonly Deployment[]
  /** What should run and has no place, with the reason in words. */
  pending: readonly Pending[]
  spare: Spare
  incidents: readonly Incident[]
  /** How many mails wait to be sent, and which. */
  outbox: number
  waiting: readonly WaitingMail[]
  frozen: { since: number; nodes: readonly string[] } | null
  /** The one under way, or the last one. */
  rebalance: Rebalance | null
  config: ConfigVersion
  configHistory: readonly ConfigVersion[]
  /** Why writes are refused (disk full …), or null. */
  degraded: string | null
  lastEventCursor: number
  /** Without their values. Sorted by name. */
  secrets: readonly SecretView[]
  /** Of the newest route table that was handed to the data plane. */
  tableVersion: number
}

export type NodeView = {
  name: string
  ip: string
  agent_port: number
  labels: Record<string, string>
  state: NodeState
  why: string
  changedAt: number
  /** Milliseconds since its last report was received; null: none since the controller's start. */
  silentMs: number | null
  drained: boolean
  /** How a drain that was asked for is to end; null: there is none, or it is the topology's. */
  drain: NodeDrain | null
  cordoned: boolean
  metrics: NodeMetrics | null
  agentVersion: string | null
  /** null: not known yet. */
  isolation: Isolation | null
  /** Instances it owns that are not final. */
  instanceCount: number
}

export type SecretView = {
  name: string
  /** 1, 2, …: grows with each new value. */
  version: number
  /** Wall instant. */
  updatedAt: number
  /** Services that get it, with the version that they get now. */
  usedBy: { service: string; version: number }[]
}

/** A mail that was not sent yet, without its text. */
export type WaitingMail = {
  id: string
  subject: string
  tries: number
  /** Wall instant before which it is not tried again. */
  next_at: number
  /** The mail server's last answer; null: it was not tried yet. */
  last_error: string | null
}

/** `service` is the very object in configured_services (M55, T08), not a copy. */
export type ActiveService = { service: Service; instances: readonly Instance[] }

/** One service of which `count` instances would have no place if that worker were lost. */
export type SpareLack = { service: string; node: string; count: number; why: string }

/**
 * Whether the loss of any one worker would leave something without a place. single: there is but
 * one to lose. unknown: not looked at yet, or re-placement is frozen.
 */
export type Spare = { state: 'ok' | 'lacking' | 'single' | 'unknown'; lacks: SpareLack[] }

export type Pending = { service: string; count: number; why: string }

/** The controller as its API sees it. */
export type Ctld = {
  /** Loads the state; rejects when it cannot be read. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Resolves when the change is on disk; rejects with TucanoError. */
  submit(command: Command): Promise<CommandResult>
  /** A report from an agent whose token and address were checked at the door. */
  report(report: Report): Promise<Ack>
  /** What would happen; nothing does. Rejects with what the command would be refused with. */
  foresee(whatIf: WhatIf): Promise<Forecast>
  /** The moves that a rebalance would make now. */
  rebalancePlan(): Promise<RebalancePlan>
  /** Where a service's next instance would go, and why. Rejects with `not_found`. */
  explain(service: string): Promise<Explanation>
  /** What is still on a worker that is being drained, and why. */
  holdUps(node: string): Promise<HoldUp[]>
  snapshot(): Snapshot
  events(after: number, limit: number): Promise<ClusterEvent[]>
  /** Called after each step that changed the snapshot; the result ends it. */
  onChange(listener: () => void): () => void
}
