// The nouns that the CLI, the controller and the agents share: what runs, and what is known of it.
// Types only: the schemas that check them at the doors stand in wire.ts and document.ts.

import type { ServiceConfig } from './configuration.ts'

/** cpu, memory, disk: 0..1 of the node; load: 1-minute average; bytes and bytes per second. */
export type NodeMetrics = {
  cpu: number
  cores: number
  load: number
  memory_total: number
  memory_used: number
  disk_total: number
  disk_used: number
  net_rx_per_s: number
  net_tx_per_s: number
}

/** What a node has for its instances; memory in bytes. */
export type NodeSize = { cores: number; memory: number }

/** cpu in cores (1 = one core busy); memory in bytes, of the whole process group. */
export type InstanceUsage = { cpu: number; memory: number; processes: number }

export type NodeState = 'unknown' | 'alive' | 'suspect' | 'reviving' | 'dead'

/**
 * The controller's view of one running copy of a service (the seed's *process*), S20–S25.
 * `lost`: its node died; it is adopted again if the node returns with it.
 */
export type InstanceState =
  | 'deploying'
  | 'pre_terminating'
  | 'started'
  | 'terminating'
  | 'lost'
  | FinalState

export type FinalState =
  | 'failed_to_start'
  | 'never_started'
  | 'unexpected_terminated'
  | 'unexpected_crashed'
  | 'terminated'
  | 'crashed'
  | 'failed_to_terminate'

/** S26, exposed as a deployment's `state`. */
export type DeploymentState =
  | 'deploying'
  | 'partial_ok'
  | 'partial_err'
  | 'complete_running'
  | 'incomplete_running'
  | 'terminating'
  | 'partial_term_ok'
  | 'partial_term_err'
  | 'complete_termination'
  | 'incomplete_termination'
  | 'superseded'
  | 'watching'
  | 'reverted'

/** What a failed start leaves for the user to read. */
export type FailureDetail = {
  error: string
  exit_code?: number
  exit_signal?: string
  /** The last health probe's answer, in words: `HTTP 503 from /health`, `connection refused`. */
  last_probe?: string
  /** At most LOG_TAIL_LINES_MAX last lines of its output (or of the build). */
  log_tail?: string[]
}

export type Instance = {
  id: string
  service: string
  /** Revision of the service's configuration that it runs. */
  revision: number
  deployment: string
  /** Owner: the one agent that may run it (I5). */
  node: string
  state: InstanceState
  /** 1..START_TRIES_MAX, S20. */
  attempt: number
  /** Controller's wall clock, ms since 1970; the wait of a retry uses it too, see retryAt. */
  createdAt: number
  changedAt: number
  /** Wall instant before which the next attempt is not ordered. */
  retryAt?: number
  /** Why it is in this state, in words. */
  why: string
  port?: number
  pid?: number
  /** false: started, but its checks fail or it waits for its restart; not routed. */
  healthy: boolean
  /** Controller's wall instant since when it has been healthy without a break; absent while not. */
  healthyAt?: number
  /** It has its place in the route table: it is routed to whenever it is healthy. */
  admitted: boolean
  /** What the agent says it is doing: preparing, building, starting, backoff … */
  phase?: InstancePhase
  restarts: number
  failure?: FailureDetail
  /** Its tries to start that failed and its crashes, oldest first; `at`: wall instants. */
  failures?: { node: string; at: number }[]
  /** terminating: wall instant at which in-flight requests are no longer waited for. */
  drainUntil?: number
  /** terminating: how often its agent was told to stop it; 0 while it still drains. */
  stopTry: number
  /** terminating: wall instant at which the order to stop counts as failed. */
  stopRetryAt?: number
  /** The instance on a dead node that this one was placed for. */
  replaces?: string
  /** It shall change its node: it stays until another one serves in its place. */
  leaving?: { why: string; to: string }
}

export type InstancePhase =
  | 'waiting'
  | 'fetching'
  | 'building'
  | 'starting'
  | 'started'
  | 'unhealthy'
  | 'backoff'
  | 'stopping'
  | 'terminated'
  | 'cut_off'
  | 'crashed'
  | 'killed'
  | 'failed_to_start'

/** A record of `configured_services` (M52, M53). */
export type Service = {
  name: string
  config: ServiceConfig
  /** 1, 2, …: each accepted change gets the next number; a rollback goes back to a former one. */
  revision: number
  /** The program of the declared revision; instances of another one are replaced. */
  programRevision: number
  /** Configurations that instances still run, and the newest ones; oldest first. */
  revisions: ServiceRevision[]
  /** Revision of its last deployment that came to a good end: a revert goes back to it. */
  goodRevision?: number
  /** Only during a canary. */
  rollout?: Rollout
  /** Only of a service that is never moved: the workers with its data, one for each place. */
  homes?: string[]
  desired: 'running' | 'stopped' | 'removed'
  traffic: ServiceTraffic
  deployment: string
  createdAt: number
  changedAt: number
}

/** `program`: the revision at which what the program is or gets appeared as it is in this one. */
export type ServiceRevision = {
  revision: number
  program: number
  config: ServiceConfig
  at: number
  /** A deployment of it came to a good end once. */
  worked?: true
  /** Versions of its secrets, by name. Absent: it has none. */
  secrets?: Record<string, number>
}

/** Where a canary stands: `percent` is its share of the requests since `since`, a wall instant. */
export type Rollout = { since: number; step: number; percent: number }

/**
 * What becomes of a service's requests, whatever runs. `since`, `until`: wall instants; at `until`
 * a pause ends by itself. `page`: HTML that visitors get; absent: problem details.
 */
export type ServiceTraffic =
  | { state: 'open' }
  | { state: 'paused'; since: number; until: number }
  | { state: 'maintenance'; since: number; page?: string }

export type Deployment = {
  id: string
  service: string
  revision: number
  kind: 'deploy' | 'scale' | 'stop' | 'start' | 'remove' | 'rollback' | 'revert'
  state: DeploymentState
  why: string
  createdAt: number
  finishedAt?: number
  /** The revision that ran before. */
  former?: number
  failure?: FailureDetail & { instance: string; node: string }
  /** The deployment that undid this one, and the one that this one undid. */
  revertedBy?: string
  revertOf?: string
  /** How far it has come, and when it last came further: its deadline counts from there. */
  progress?: { reached: number; at: number }
  /** watching: wall instant at which it had taken the last place. */
  watchSince?: number
  receipt?: DeployReceipt
}

/**
 * Requests as the balancer counted them. `failed`: with 5xx, or not to the end. `p99Ms`: until the
 * first byte of an answer, from when an instance was given the request; null: nothing was counted.
 */
export type Figures = { requests: number; failed: number; p99Ms: number | null }

export type DeployReceipt = {
  /** In the minute before it. */
  before: Figures
  /** Until it had taken the last place, or was given up. */
  during: Figures
  /** From then on, while it was watched. */
  after: Figures
  /** Since it began, by the revision at which the program appeared; `isNew`: its own. */
  programs: (Figures & { program: number; isNew: boolean })[]
}

/** One line of the cluster's history; `cursor` grows by one. */
export type ClusterEvent = {
  cursor: number
  at: number
  kind: string
  /** A fixed sentence; what varies stands in `fields`. */
  text: string
  fields: Record<string, string | number | boolean>
}

/** One instance that changes its node. */
export type Move = { instance: string; service: string; from: string; to: string; why: string }

/** Moves that are made one after the other; the last one of them is remembered when it is over. */
export type Rebalance = {
  id: string
  by: 'user' | 'controller'
  state: 'running' | 'done' | 'stopped' | 'failed'
  why: string
  moves: Move[]
  /** How many of them are over. */
  done: number
  createdAt: number
  /** Since when the one after those is under way; absent: it has not begun. */
  movingSince?: number
  /** Wall instant before which it does not begin. */
  nextAt: number
  finishedAt?: number
}

/** What the operator asked of a node beside the topology. All instants are wall milliseconds. */
export type NodeDrain = {
  since: number
  /** Deadline, after which it counts as late. */
  until: number
  /** What is sticky goes too, and at the deadline whatever is left is stopped. */
  force: boolean
  isLate: boolean
  emptyAt?: number
}

export type IncidentKind =
  | 'node_dead'
  | 'mass_failure'
  | 'service_failed'
  | 'no_workers'
  | 'store'
  | 'second_controller'
  | 'drain_late'
  | 'no_spare'

export type Mail = { to: string[]; subject: string; text: string }
