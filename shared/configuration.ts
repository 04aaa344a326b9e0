// What users write: the configurations of the controller, of an agent and of a service. Types only;
// the schemas stand in topology.ts, agent-config.ts and service-config.ts. Names are those of the
// files (snake_case), so that what was written, what the API answers and the code are one shape.

import type { ServiceChecks } from './check-types.ts'

/** A duration as a user writes it: `250ms`, `2s`, `10m`, `6h`. Read it with `durationMs`. */
export type Duration = string

/** A number of bytes as a user writes it: `0B`, `512KiB`, `10MiB`, `1GiB`. See `sizeBytes`. */
export type Size = string

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
  rebalance: RebalanceRules
}

export type BalancerConfig = {
  host: string
  port: number
  /** Addresses whose X-Forwarded-* are believed. */
  trusted_proxies: string[]
  /** Loops that share the work; 0: one for each core. */
  threads: number
  /** `off`, or the absolute path of the file that gets a line for each request. */
  access_log: string
  /** Open connections of clients, over all loops. */
  connections_max: number
  /** Of one client address; 0: no limit. */
  connections_per_ip: number
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

/** Whether instances are spread anew by themselves when a worker came back. */
export type RebalanceRules = {
  automatic: boolean
  /** Time from the return of a worker until then. */
  after: Duration
  /** Between two moves. */
  pause: Duration
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
  /** Whom programs run as unless their service says so. */
  isolation: { user: string }
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
  /** tcp: bytes are passed on as they are; the client comes in by `public_port`. */
  protocol: 'http' | 'tcp'
  /** A port on the controller that leads to this service alone. */
  public_port?: number
  /** false: the balancer does not route to it. */
  public: boolean
  /** What a tcp program is told of its client before the client's own bytes. */
  proxy_protocol: 'none' | 'v1' | 'v2'
  hosts: string[]
  /** A path prefix that leads to this service, beside `/svc/<name>/`. */
  path?: string
  env: Record<string, string>
  /** By name; the values are never in a configuration. One way to get it, or both. */
  secrets?: Record<string, { variable?: string; file?: string }>
  /** Folders on its node that outlive its instances. */
  volumes?: string[]
  health: HealthCheck
  /** Absent: `health` decides about everything. */
  checks?: ServiceChecks
  /** What its agent does when it hears nothing from the controller. Absent: keep. */
  on_partition?: 'keep' | { stop_after: Duration }
  placement: 'round_robin' | 'least_loaded' | 'spread'
  /** Only with `placement: spread`. */
  spread?: { label: string }
  /** What a node must be like; all of them hold. */
  constraints: LabelCondition[]
  affinity: (LabelCondition & { weight: number })[]
  /** 0..100; where room is short, the higher ones are placed first. */
  priority: number
  max_per_node?: number
  balance: BalanceRule
  /** Only with `balance: hash`; absent there: by ip. */
  hash?: HashRule
  /**
   * `cookie`: one of ours leads a client back to its instance. `node`: an instance is never moved
   * to another node.
   */
  sticky?: { node?: boolean; cookie?: string }
  /** Time in which a new instance comes to its full weight; 0s: at once. */
  slow_start: Duration
  limits: ServiceLimits
  /** Whom its programs run as; absent: the agent's choice. */
  user?: string
  /** How long requests wait while no instance is healthy, for a service that had one. */
  hold: Duration
  /** auto: short requests of several clients may share a connection to an instance. */
  pipelining: 'auto' | 'off'
  stop: { signal: StopSignal; grace: Duration; drain: Duration }
  /** Two instances must not overlap: as `max_surge: 0`. */
  exclusive: boolean
  update: UpdateRules
  /** Without `idle`: `idleDefaults` of the protocol. */
  timeouts: { connect: Duration; response: Duration; idle?: Duration }
}

export type ServiceLimits = {
  /** Requests under way per instance; 0: no limit. */
  in_flight: number
  /** Requests that may wait for a free instance, in each loop. */
  queue: number
  queue_timeout: Duration
  /** Of a request's body; 0B: no limit. */
  body: Size
  /** Of an instance on its node; absent: no limit. `cpu` in cores. */
  memory?: Size
  cpu?: number
  pids?: number
  open_files?: number
}

/** Of a node's labels; `node` is its name. Neither `in` nor `not_in`: the label is there. */
export type LabelCondition = { label: string; in?: string[]; not_in?: string[] }

/** How a new revision takes the place of the old one (Q03). */
export type UpdateRules = {
  strategy: 'rolling' | 'recreate' | 'blue_green' | 'canary' | 'none'
  /** 1: the new instance starts beside the old one. 0: the old one stops first. */
  max_surge: 0 | 1
  /** How long a new instance must be healthy before it takes the place of an old one. */
  min_healthy: Duration
  /** Time without progress after which the deployment has failed. */
  deadline: Duration
  auto_revert: boolean
  /** canary: shares of the requests in percent, growing. */
  steps: number[]
  /** canary: how long it stays at each share. */
  pause: Duration
  guard: UpdateGuard
}

/** What of the live traffic makes a deployment fail. */
export type UpdateGuard = {
  /** By how much more of its requests than the former one it may fail, 0..1. */
  error_rate: number
  p99?: Duration
  min_requests: number
  /** How long it is still watched after it has taken the last place. */
  watch: Duration
}

/** What of a request decides. A header or a cookie has a name. */
export type HashRule = { by: 'ip' | 'header' | 'cookie'; name?: string }

/** `least_loaded` is the older name of `least_request`. */
export type BalanceRule =
  | 'weighted_round_robin'
  | 'round_robin'
  | 'least_request'
  | 'least_loaded'
  | 'p2c'
  | 'hash'
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
