// The nouns that the CLI, the controller and the agents share. Types only: the schemas that
// check them at the doors stand in topology.ts, service-config.ts, agent-config.ts and wire.ts.
// Names of configuration keys are those of the files (snake_case), so that what a user wrote,
// what the API answers and what the code reads are one shape.

/** A duration as a user writes it: `250ms`, `2s`, `10m`, `6h`. Read it with `durationMs`. */
export type Duration = string

/** Where a secret is read from. The secret itself is never in a configuration. */
export type SecretRef = { file: string } | { env: string }

// --- The controller's configuration -----------------------------------------------------------

export type MachineKind = 'ctl' | 'worker'

/** One machine of `topology` (M41–M43). The order in the file is the order of the ring (Q01). */
export type Machine = {
  name: string
  kind: MachineKind
  ip: string
  /** Port of the agent on this machine; workers only. */
  agent_port: number
  labels: Record<string, string>
  /** A drained worker keeps its place in the topology and gets no instance. */
  drain: boolean
  restart?: RestartPolicy
}

/** How a machine that died is brought back (Q05). Without a command the attempts are probes. */
export type RestartPolicy = {
  command?: string[]
  attempts: number
  backoff: Duration
  timeout: Duration
}

export type ControllerConfig = {
  topology: Machine[]
  api: { host: string; port: number; admin_token: SecretRef; agent_token: SecretRef }
  balancer: BalancerConfig
  alerts: AlertsConfig
  store: { folder: string }
  health: HealthLimits
}

export type BalancerConfig = {
  host: string
  port: number
  /** Addresses whose X-Forwarded-* are believed. */
  trusted_proxies: string[]
}

export type AlertsConfig = {
  /** Absent: alerts are logged and listed, not mailed. */
  smtp?: SmtpConfig
  from: string
  to: string[]
  /** What happens within this time of an incident's start goes into its one mail. */
  gather: Duration
  /** An incident that is still open is mailed again after this time. */
  reminder: Duration
  /** More mails than this within a minute become one digest. */
  digest_above: number
}

export type SmtpConfig = {
  host: string
  port: number
  security: 'starttls' | 'tls' | 'none'
  user?: string
  password?: SecretRef
  timeout: Duration
  /** PEM file of the authority that signed the server's certificate, unless it is a public one. */
  ca_file?: string
}

/** When a node counts as suspect and as dead (Q04). */
export type HealthLimits = {
  /** Reports that may be missed before a node is suspect. */
  missed_reports: number
  /** Silence that makes a node suspect; overrides missed_reports × its interval. */
  liveness_timeout?: Duration
  probes: number
  probe_timeout: Duration
  sweep: Duration
  /** After the controller's start: how long a node may take to appear. */
  startup_grace: Duration
  /** Nodes that vanish within this window are one event (freeze when more than half). */
  mass_failure_window: Duration
  /** How long after the confirmed death of a node its instances are placed elsewhere. */
  reschedule_after: Duration
}

// --- The agent's configuration ----------------------------------------------------------------

export type AgentConfig = {
  name: string
  /** `http://ip:port` of the controller's API. */
  controller: string
  token: SecretRef
  /** Where the agent listens and where its instances are reached. */
  host: string
  port: number
  publish_interval: Duration
  port_range: { from: number; to: number }
  data_folder: string
}

// --- A service's configuration ----------------------------------------------------------------

export type ServiceConfig = {
  kind: 'service'
  name: string
  concurrency: number
  image: ImageSpec
  /** The port that the user asks for (M49); the one it gets on its node is in PORT (Q08). */
  port: number
  host_port: 'dynamic' | 'static'
  /** A port on the controller that leads to this service alone. */
  public_port?: number
  /** false: the balancer does not route to it. */
  public: boolean
  hosts: string[]
  /** A path prefix that leads to this service, beside `/svc/<name>/`. */
  path?: string
  env: Record<string, string>
  health: HealthCheck
  placement: 'round_robin' | 'least_loaded'
  max_per_node?: number
  balance: BalanceRule
  stop: { signal: StopSignal; grace: Duration; drain: Duration }
  update: { strategy: 'rolling' | 'recreate' | 'none'; max_surge: 0 | 1 }
  timeouts: { connect: Duration; response: Duration }
}

export type BalanceRule = 'weighted_round_robin' | 'round_robin' | 'least_loaded' | 'p2c'
export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGHUP'

/** Build and execution instructions (M48). One of digest, path and archive names the files. */
export type ImageSpec = {
  /** `sha256:` and 64 hex digits of the packed .tar.gz. */
  digest?: string
  path?: string
  archive?: string
  build: string[][]
  build_timeout: Duration
  run: string[]
}

/** Without a path the check is a TCP connect. */
export type HealthCheck = {
  path?: string
  interval: Duration
  timeout: Duration
  fall: number
  rise: number
  /** How long a program may take to become healthy after its start. */
  start_timeout: Duration
}

// --- What runs --------------------------------------------------------------------------------

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
  /** What the agent says it is doing: preparing, building, starting, backoff … */
  phase?: InstancePhase
  restarts: number
  failure?: FailureDetail
  /** terminating: wall instant at which in-flight requests are no longer waited for. */
  drainUntil?: number
  /** terminating: how often its agent was told to stop it; 0 while it still drains. */
  stopTry: number
  /** terminating: wall instant at which the order to stop counts as failed. */
  stopRetryAt?: number
  /** The instance on a dead node that this one was placed for. */
  replaces?: string
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
  | 'crashed'
  | 'killed'
  | 'failed_to_start'

/** A record of `configured_services` (M52, M53). */
export type Service = {
  name: string
  config: ServiceConfig
  /** 1, 2, …: grows with each accepted change of the configuration. */
  revision: number
  /** Revision at which what the program is or gets last changed; older instances are replaced. */
  programRevision: number
  /** Configurations that instances still run, and the newest ones; oldest first. */
  revisions: { revision: number; config: ServiceConfig; at: number }[]
  desired: 'running' | 'stopped' | 'removed'
  deployment: string
  createdAt: number
  changedAt: number
}

export type Deployment = {
  id: string
  service: string
  revision: number
  kind: 'deploy' | 'scale' | 'stop' | 'start' | 'remove'
  state: DeploymentState
  why: string
  createdAt: number
  finishedAt?: number
  failure?: FailureDetail & { instance: string; node: string }
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

export type IncidentKind =
  | 'node_dead'
  | 'mass_failure'
  | 'service_failed'
  | 'no_workers'
  | 'store'
  | 'second_controller'

export type Mail = { to: string[]; subject: string; text: string }
