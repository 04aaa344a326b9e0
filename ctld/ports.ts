// What the controller is given instead of reaching for the world: its disk, its agents, its data
// plane, its mail. Each has one real edge and one fake, and both pass the same contract test.

import type { BalanceRule, ControllerConfig, Machine } from '#shared/configuration.ts'
import type { ClusterEvent, Deployment, Instance, Mail } from '#shared/model.ts'
import type { Clock, Dice, Ids, Log } from '#shared/ports.ts'
import type { Assignment, OrderAnswer } from '#shared/wire.ts'
import type { DataPlaneCounters } from './balancer/data-plane/counters.ts'
import type { StateDocument } from './discovery/document.ts'

export type CtldPorts = {
  clock: Clock
  ids: Ids
  dice: Dice
  log: Log
  store: Store
  agents: AgentClient
  machines: Machines
  dataPlane: DataPlane
  mailer: Mailer
  secrets: Secrets
}

/**
 * The controller's durable state. The small document (configuration, services, cursor, nodes,
 * incidents, outbox) is one file kept by lowdb; what grows with the number of instances stands in
 * records, written one by one.
 */
export type Store = {
  load(): Promise<Loaded>
  /**
   * Resolves when all of it is on disk. Rejects with TucanoError `store_failed`; then nothing of
   * the records was written and the document is the old one or the new one, never a torn one.
   */
  commit(changes: StoreChanges): Promise<void>
  /** Events with a cursor above `after`, oldest first. */
  events(after: number, limit: number): Promise<ClusterEvent[]>
  close(): Promise<void>
}

export type Loaded = {
  /** undefined: a new data folder. */
  document: StateDocument | undefined
  instances: Instance[]
  deployments: Deployment[]
  lastEventCursor: number
  /** What the user must be told: a file was unreadable and kept aside, a backup was loaded. */
  notices: string[]
}

export type StoreChanges = {
  document?: StateDocument
  instances: { put: Instance[]; remove: string[] }
  deployments: { put: Deployment[]; remove: string[] }
  events: ClusterEvent[]
}

/** Calls to agents. Each has a total timeout of its own and rejects with TucanoError. */
export type AgentClient = {
  order(machine: Machine, assignment: Assignment): Promise<OrderAnswer>
  /** Asks the agent's health endpoint; resolves when it answered within `timeoutMs`. */
  probe(machine: Machine, timeoutMs: number): Promise<void>
}

/** Runs a machine's restart command (no shell). Rejects when it fails or takes too long. */
export type Machines = { restart(command: readonly string[], timeoutMs: number): Promise<void> }

/** The values that services are given and that nobody else sees. Changed by the loop alone. */
export type Secrets = {
  /** What the user must be told of the opening. */
  notices: readonly string[]
  /** Sorted by name. `versions` that can be read, ascending; the last is the newest. */
  list(): { name: string; versions: readonly number[]; updatedAt: number }[]
  /** undefined: there is no such version (any more). */
  value(name: string, version: number): string | undefined
  /**
   * Durable when it resolves. The same value is no new version. Of the former ones those in
   * `referenced` are kept, and a number that is in it is not given anew. Rejects with
   * `limit_reached` or `store_failed`; then nothing has changed.
   */
  set(
    secret: { name: string; value: string; referenced: ReadonlySet<number> },
    now: number,
  ): Promise<{ version: number; isNew: boolean }>
  remove(name: string): Promise<void>
}

export type Mailer = { send(mail: Mail): Promise<void> }

/**
 * The seam to the engine that carries the traffic. `publish` hands over the whole table, which
 * replaces the former one in one step; what the engine sees comes back as observations.
 */
export type DataPlane = {
  publish(table: RouteTable): void
  observe(listener: (observation: Observation) => void): void
  /** What it counted since it started; rejects with `unavailable` when it cannot be asked. */
  counters(): Promise<DataPlaneCounters>
  /** true as soon as all of it serves by the newest table; false when not within `ms`. */
  inForce(ms: number): Promise<boolean>
}

export type RouteTable = { version: number; routes: Route[] }

/** All that is needed to route a service's requests. Routes are sorted by service. */
export type Route = {
  service: string
  protocol: 'http' | 'tcp'
  /** Lower case, without port; the service's name is always one of them. Empty for tcp. */
  hosts: string[]
  /** Path prefixes: `/svc/<name>/` always, the configured one where there is one. Empty for tcp. */
  paths: string[]
  publicPort?: number
  /** What a tcp service's program is told of its client (PROXY protocol). */
  proxyProtocol: 'none' | 'v1' | 'v2'
  balance: BalanceRule
  /** For the rule `hash`: what of a request decides. */
  hash?: HashKey
  /** Name of the cookie that leads a client back to its instance; absent: none. */
  stickyCookie?: string
  /** Time in which a new instance comes to its full weight. 0: at once. */
  slowStartMs: number
  /** Requests under way per instance, over all loops. 0: no limit. */
  inFlightMax: number
  /** Requests that may wait for a free instance, in each loop. */
  queueMax: number
  queueMs: number
  /** How long requests wait when no instance is left for a moment. 0: they do not. */
  holdMs: number
  /** paused: requests wait, at most `pauseMs`. maintenance: 503 with `maintenancePage`. */
  traffic: 'open' | 'paused' | 'maintenance'
  pauseMs: number
  /** HTML. Absent: problem details. */
  maintenancePage?: string
  connectMs: number
  responseMs: number
  /** Between two pieces of a body, in both directions. */
  idleMs: number
  /** Bytes of a request's body. 0: no limit. */
  bodyMax: number
  /** May requests of several clients share a connection to an instance, one after the other? */
  pipelining: boolean
  /** Empty: the answer is 503 with Retry-After (T07, Q09). */
  targets: Target[]
}

export type HashKey = { by: 'ip' } | { by: 'header' | 'cookie'; name: string }

/** `weight` 1..10 (Q10), or a whole number as large as a canary's share needs. */
export type Target = { instance: string; node: string; host: string; port: number; weight: number }

export type Observation =
  /** An instance that left the table has no request in flight any more. */
  | { kind: 'drained'; instance: string }
  /** A connection to it was refused or reset before any answer. */
  | { kind: 'unreachable'; instance: string; error: string }
  | { kind: 'listener_failed'; port: number; error: string }
  /** One of the loops ended and was replaced; its connections are lost. */
  | { kind: 'loop_failed'; loop: number; error: string }
  /** It may have requests in flight from before this controller's start: wait for `drained`. */
  | { kind: 'routed'; instance: string }
  /** The whole data plane ended and is started again; its connections are lost. */
  | { kind: 'data_plane_failed'; error: string }

/** What the controller is started with. */
export type Boot = {
  /** The text of the configuration's file and what it says. */
  text: string
  config: ControllerConfig
  /** Rejects with `invalid_config` and every problem. */
  parse(text: string): Promise<ControllerConfig>
  /** Puts a configuration that came by the API into its file, durably. */
  write(text: string): Promise<void>
  /** A configuration is in force now: edges that depend on it are made anew. */
  applied(config: ControllerConfig): void
  /** A bug: the process has to end, its supervisor starts it again. */
  onBug(error: unknown): void
}
