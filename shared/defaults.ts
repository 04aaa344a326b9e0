// Every default of the three configurations. Two kinds of default are not constants and stand
// where they are filled in: the address of the API and the files of the tokens.

export const topologyDefaults = {
  machine: { agent_port: 7071, drain: false },
  restart: { attempts: 3, backoff: '5s', timeout: '60s' },
  api: { port: 7070 },
  balancer: {
    host: '0.0.0.0',
    port: 8080,
    threads: 0,
    access_log: 'off',
    connections_max: 50_000,
    connections_per_ip: 0,
  },
  alerts: { from: '', gather: '10s', reminder: '6h', digest_above: 5 },
  smtp: { port: 587, security: 'starttls', timeout: '20s' },
  store: { folder: '/var/lib/tucano' },
  health: {
    missed_reports: 3,
    probes: 2,
    probe_timeout: '1s',
    sweep: '250ms',
    startup_grace: '15s',
    mass_failure_window: '30s',
    reschedule_after: '0s',
  },
  rebalance: { automatic: false, after: '10m', pause: '1m' },
} as const

export const serviceDefaults = {
  kind: 'service',
  host_port: 'dynamic',
  protocol: 'http',
  public: true,
  proxy_protocol: 'none',
  image: { build_timeout: '10m' },
  health: { interval: '5s', timeout: '2s', fall: 3, rise: 2, start_timeout: '60s' },
  placement: 'round_robin',
  priority: 50,
  exclusive: false,
  balance: 'weighted_round_robin',
  slow_start: '0s',
  limits: { in_flight: 0, queue: 1_000, queue_timeout: '5s', body: '1GiB' },
  hold: '5s',
  pipelining: 'auto',
  stop: { signal: 'SIGTERM', grace: '20s', drain: '30s' },
  update: {
    strategy: 'rolling',
    max_surge: 1,
    min_healthy: '5s',
    deadline: '5m',
    auto_revert: true,
    steps: [10, 50],
    pause: '30s',
    guard: { error_rate: 0.05, min_requests: 100, watch: '10s' },
  },
  timeouts: { connect: '1s', response: '30s' },
} as const

/** Of one item of `affinity`. */
export const affinityDefaults = { weight: 50 } as const

/** Of `checks`; what is not here is `health`'s. */
export const checkDefaults = { status: '200-399', liveness: { rise: 1 } } as const

/** `timeouts.idle`: a session of a database may be silent for long, a body may not. */
export const idleDefaults = { http: '60s', tcp: '1h' } as const

export const agentDefaults = {
  host: '0.0.0.0',
  port: 7071,
  publish_interval: '2s',
  port_range: { from: 20_000, to: 32_000 },
  data_folder: '/var/lib/tucano-agent',
  isolation: { user: 'tucano-run' },
} as const
