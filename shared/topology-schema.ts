// Keys of the controller's configuration (M41–M43, Q04, Q05): what each may hold, means and is
// by default. What must hold between them stands in topology-rules.ts.

import { z } from 'zod'
import { topologyDefaults as defaults } from './defaults.ts'
import {
  argv,
  describe,
  duration,
  email,
  filePath,
  folder,
  host,
  integer,
  ip,
  labels,
  line,
  listenPort,
  machineIp,
  name,
  remotePort,
  secretRef,
} from './fields.ts'

export const MACHINES_MAX = 501
export const BALANCER_THREADS_MAX = 64

const restart = z.strictObject({
  command: describe(
    argv(),
    'Run on the controller to bring the machine back. Without it the attempts are probes.',
  ).exactOptional(),
  attempts: describe(
    integer(1, 20),
    'How often it is tried before the machine counts as dead.',
  ).default(defaults.restart.attempts),
  backoff: describe(duration('0s', '1h'), 'Wait between two attempts.').default(
    defaults.restart.backoff,
  ),
  timeout: describe(duration('100ms', '1h'), 'How long one attempt may take.').default(
    defaults.restart.timeout,
  ),
})

const machine = z.strictObject({
  name: describe(name(), 'Name of the machine, unique in the topology.'),
  kind: describe(
    z.enum(['ctl', 'worker']),
    'ctl: the one controller. worker: runs services under an agent.',
  ),
  ip: describe(machineIp(), "The machine's real address, as the others reach it."),
  agent_port: describe(listenPort(), "Port of the worker's agent.").default(
    defaults.machine.agent_port,
  ),
  labels: describe(labels(), 'Free labels, shown with the node.').prefault({}),
  drain: describe(z.boolean(), 'true: keeps its place but runs no instance.').default(
    defaults.machine.drain,
  ),
  restart: describe(restart, 'How a worker that died is brought back.').exactOptional(),
})

const api = z.strictObject({
  host: describe(host(), 'Where the admin API listens.', {
    fallback: "the controller's ip",
  }).exactOptional(),
  port: describe(listenPort(), 'Port of the admin API, which agents and the CLI use.').default(
    defaults.api.port,
  ),
  admin_token: describe(secretRef(), 'Token of administrators, made at the first start.', {
    fallback: 'file `admin-token` in `store.folder`',
  }).exactOptional(),
  agent_token: describe(
    secretRef(),
    'Token that agents and the controller show each other, made at the first start.',
    { fallback: 'file `agent-token` in `store.folder`' },
  ).exactOptional(),
})

const balancer = z.strictObject({
  host: describe(host(), 'Where the balancer listens.').default(defaults.balancer.host),
  port: describe(listenPort(), 'Port of the balancer, for the users of the services.').default(
    defaults.balancer.port,
  ),
  trusted_proxies: describe(
    z.array(ip()).max(64),
    'Addresses of proxies in front, whose X-Forwarded-* headers are believed.',
  ).prefault([]),
  threads: describe(
    integer(0, BALANCER_THREADS_MAX),
    'Loops that share the work. 0: one for each core.',
  ).default(defaults.balancer.threads),
  access_log: describe(
    line(4_096)
      .refine((text) => text === 'off' || text.startsWith('/'))
      .meta({ expected: 'off, or the absolute path of a file' }),
    'File that gets one line of JSON for each request.',
  ).default(defaults.balancer.access_log),
  connections_max: describe(
    integer(1, 1_000_000),
    'Open connections of clients; further ones are closed at once.',
  ).default(defaults.balancer.connections_max),
  connections_per_ip: describe(
    integer(0, 1_000_000),
    'The same for one client address. 0: no limit.',
  ).default(defaults.balancer.connections_per_ip),
})

const smtp = z.strictObject({
  host: describe(host(), 'Mail server.'),
  port: describe(remotePort(), 'Port of the mail server.').default(defaults.smtp.port),
  security: describe(
    z.enum(['starttls', 'tls', 'none']),
    'How the connection is encrypted.',
  ).default(defaults.smtp.security),
  user: describe(line(320), 'User of the mail server, if it wants one.').exactOptional(),
  password: describe(secretRef(), 'Where the password is read from.').exactOptional(),
  timeout: describe(duration('100ms', '10m'), 'How long the mail server may take.').default(
    defaults.smtp.timeout,
  ),
  ca_file: describe(
    filePath(),
    "PEM file of the authority that signed the server's certificate, if it is not a public one.",
  ).exactOptional(),
})

const alerts = z.strictObject({
  smtp: describe(smtp, 'Absent: alerts are logged and listed, not mailed.').exactOptional(),
  from: describe(email(), 'Sender; required with smtp.').default(defaults.alerts.from),
  to: describe(z.array(email()).max(32), 'Recipients; required with smtp.').prefault([]),
  gather: describe(
    duration('0s', '10m'),
    "What happens within this time of an incident's start goes into its one mail.",
  ).default(defaults.alerts.gather),
  reminder: describe(
    duration('1m', '7d'),
    'An incident that is still open is mailed again after this time.',
  ).default(defaults.alerts.reminder),
  digest_above: describe(
    integer(1, 1_000),
    'More mails than this within a minute become one digest.',
  ).default(defaults.alerts.digest_above),
})

const health = z.strictObject({
  missed_reports: describe(
    integer(1, 100),
    'Reports that may be missed before a node is suspect.',
  ).default(defaults.health.missed_reports),
  liveness_timeout: describe(
    duration('100ms', '1h'),
    'Silence that makes a node suspect; overrides missed_reports × its interval.',
  ).exactOptional(),
  probes: describe(integer(1, 20), 'Failed probes that make a suspect node dead.').default(
    defaults.health.probes,
  ),
  probe_timeout: describe(duration('10ms', '1m'), 'How long a probe may take.').default(
    defaults.health.probe_timeout,
  ),
  sweep: describe(duration('10ms', '1m'), 'How often silence is looked for.').default(
    defaults.health.sweep,
  ),
  startup_grace: describe(
    duration('0s', '1h'),
    "After the controller's start: how long a node may take to appear.",
  ).default(defaults.health.startup_grace),
  mass_failure_window: describe(
    duration('0s', '1h'),
    'Nodes that vanish within this window are one event.',
  ).default(defaults.health.mass_failure_window),
  reschedule_after: describe(
    duration('0s', '1d'),
    'How long after the confirmed death of a node its instances are placed elsewhere.',
  ).default(defaults.health.reschedule_after),
})

const rebalance = z.strictObject({
  automatic: describe(
    z.boolean(),
    'true: when a worker came back, instances are spread anew by themselves, one at a time.',
  ).default(defaults.rebalance.automatic),
  after: describe(
    duration('0s', '7d'),
    'Automatic: time from the return of a worker until then.',
  ).default(defaults.rebalance.after),
  pause: describe(duration('0s', '1d'), 'Automatic: time between two moves.').default(
    defaults.rebalance.pause,
  ),
})

export const topologySchema = z.strictObject({
  topology: describe(
    z.array(machine).min(1).max(MACHINES_MAX),
    'All machines; their order is the order of placement. Exactly one is of kind ctl.',
    { expected: `a list of 1..${MACHINES_MAX} machines` },
  ),
  api: describe(api, 'The admin API.').prefault({}),
  balancer: describe(balancer, "The balancer that users' requests reach.").prefault({}),
  alerts: describe(alerts, 'Who is told when something fails.').prefault({}),
  store: describe(
    z.strictObject({
      folder: describe(folder(), 'Folder of the state, the images and the tokens.').default(
        defaults.store.folder,
      ),
    }),
    'Where the controller keeps its state.',
  ).prefault({}),
  health: describe(health, 'When a node counts as suspect and as dead.').prefault({}),
  rebalance: describe(rebalance, 'Moving instances to workers that came back.').prefault({}),
})
