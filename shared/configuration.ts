// What users write: the configurations of the controller, of an agent and of a service. Types only;
// the schemas stand in topology.ts, agent-config.ts and service-config.ts. Names are those of the
// files (snake_case), so that what was written, what the API answers and the code are one shape.

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
