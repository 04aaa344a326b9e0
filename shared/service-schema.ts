// Keys of a service's configuration (M47–M49): what each may hold, means and is by default.

import { z } from 'zod'
import { serviceDefaults as defaults, idleDefaults } from './defaults.ts'
import {
  argv,
  describe,
  duration,
  environmentVariable,
  filePath,
  headerToken,
  hostname,
  integer,
  name,
  servicePort,
  size,
} from './fields.ts'
import { DIGEST_PATTERN } from './wire.ts'

export const CONCURRENCY_MAX = 1_000
export const HOSTS_MAX = 32
export const ENV_COUNT_MAX = 128
export const ENV_BYTES_MAX = 64 * 1024
export const ENV_VALUE_LENGTH_MAX = 32_768
export const BUILD_COMMANDS_MAX = 16
export const PATH_LENGTH_MAX = 2_048
export const IN_FLIGHT_MAX = 100_000
export const QUEUE_MAX = 10_000

const reservedVariable = /^(?:PORT|TUCANO_.*)$/
const pathPattern = /^\/[\w.~!$&'()*+,;=:@/-]*$/
const checkPathPattern = /^\/[!-"$-~]*$/

const image = z.strictObject({
  digest: describe(
    z.string().regex(DIGEST_PATTERN).meta({ expected: '`sha256:` and 64 hex digits' }),
    'The packed files, stored by the controller. Only in the API, never in a file.',
  ).exactOptional(),
  path: describe(
    filePath(),
    'Folder of the program; packed and sent. Relative to this file.',
  ).exactOptional(),
  archive: describe(
    filePath(),
    'The program as a .tar.gz; sent as it is. Relative to this file.',
  ).exactOptional(),
  build: describe(
    z.array(argv()).max(BUILD_COMMANDS_MAX),
    'Commands that build it, in order, once on each worker.',
    { expected: `at most ${BUILD_COMMANDS_MAX} commands like [[npm, ci], [npm, run, build]]` },
  ).prefault([]),
  build_timeout: describe(duration('1s', '2h'), 'How long the whole build may take.').default(
    defaults.image.build_timeout,
  ),
  run: describe(argv(), 'The command that runs it. It reads its port from PORT.'),
})

const environmentValue = z
  .string()
  .max(ENV_VALUE_LENGTH_MAX)
  .refine((text) => !text.includes('\0'))
  .meta({
    expected: `text of at most ${ENV_VALUE_LENGTH_MAX} characters (put numbers in quotes)`,
    secret: true,
  })

const env = z
  .record(
    environmentVariable()
      .refine((key) => !reservedVariable.test(key))
      .meta({
        expected:
          'the name of a variable like LOG_LEVEL (PORT and TUCANO_* are given by the agent)',
      }),
    environmentValue,
  )
  .refine(
    (values) =>
      Object.keys(values).length <= ENV_COUNT_MAX && environmentBytes(values) <= ENV_BYTES_MAX,
  )
  .meta({
    expected: `at most ${ENV_COUNT_MAX} variables like {LOG_LEVEL: info}, ${ENV_BYTES_MAX} bytes in all`,
  })

const health = z.strictObject({
  path: describe(
    z
      .string()
      .max(PATH_LENGTH_MAX)
      .regex(checkPathPattern)
      .refine((path) => !path.startsWith('//'))
      .meta({ expected: 'a path like /health' }),
    'Path that answers 2xx or 3xx when the program is healthy. Absent: a TCP connect.',
  ).exactOptional(),
  interval: describe(duration('100ms', '1h'), 'Time between two checks.').default(
    defaults.health.interval,
  ),
  timeout: describe(duration('50ms', '10m'), 'How long a check may take.').default(
    defaults.health.timeout,
  ),
  fall: describe(integer(1, 100), 'Failed checks in a row that make it unhealthy.').default(
    defaults.health.fall,
  ),
  rise: describe(integer(1, 100), 'Passed checks in a row that make it healthy again.').default(
    defaults.health.rise,
  ),
  start_timeout: describe(
    duration('100ms', '1h'),
    'How long it may take to become healthy after its start.',
  ).default(defaults.health.start_timeout),
})

const stop = z.strictObject({
  signal: describe(
    z.enum(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP']),
    'Signal that asks the program to end.',
  ).default(defaults.stop.signal),
  grace: describe(duration('0s', '1h'), 'How long it may take before SIGKILL.').default(
    defaults.stop.grace,
  ),
  drain: describe(
    duration('0s', '1h'),
    'How long requests in flight may go on before the signal.',
  ).default(defaults.stop.drain),
})

const update = z.strictObject({
  strategy: describe(
    z.enum(['rolling', 'recreate', 'none']),
    'rolling: one instance after the other. recreate: all at once. none: refused while it runs.',
  ).default(defaults.update.strategy),
  max_surge: describe(
    z.union([z.literal(0), z.literal(1)]).meta({ expected: '0 or 1' }),
    '1: the new instance starts beside the old one. 0: the old one stops first.',
  ).default(defaults.update.max_surge),
})

const timeouts = z.strictObject({
  connect: describe(
    duration('10ms', '1m'),
    'How long a connection to an instance may take.',
  ).default(defaults.timeouts.connect),
  response: describe(
    duration('10ms', '1h'),
    'How long an instance may take to begin its answer.',
  ).default(defaults.timeouts.response),
  idle: describe(
    duration('100ms', '1h'),
    'How long it may take from one piece of a body, or of a tcp connection, to the next.',
    { fallback: `\`${idleDefaults.http}\`; \`${idleDefaults.tcp}\` with \`protocol: tcp\`` },
  ).exactOptional(),
})

const hash = z.strictObject({
  by: describe(z.enum(['ip', 'header', 'cookie']), 'What of a request decides.'),
  name: describe(headerToken(), 'Name of the header or the cookie.').exactOptional(),
})

const sticky = z.strictObject({
  cookie: describe(headerToken(), 'Name of the cookie that the balancer sets.'),
})

const limits = z.strictObject({
  in_flight: describe(
    integer(0, IN_FLIGHT_MAX),
    'Requests (tcp: connections) that an instance has at one time. 0: no limit.',
  ).default(defaults.limits.in_flight),
  queue: describe(
    integer(0, QUEUE_MAX),
    'How many may wait when all instances are full, for each thread of the balancer.',
  ).default(defaults.limits.queue),
  queue_timeout: describe(
    duration('10ms', '10m'),
    'How long they may wait before they are answered 503.',
  ).default(defaults.limits.queue_timeout),
  body: describe(size('1024GiB'), 'Largest body of a request. 0B: no limit.').default(
    defaults.limits.body,
  ),
})

const kind = z.literal('service').meta({
  expected: 'service (`job`, for work that ends, is reserved and not built)',
})

const prefix = z
  .string()
  .max(PATH_LENGTH_MAX)
  .regex(pathPattern)
  .refine(isPlainPath)
  .refine((path) => path !== '/svc' && !path.startsWith('/svc/'))
  .overwrite((path) => (path === '/' ? path : path.replace(/\/$/, '')))
  .meta({ expected: 'a path like /api, without //, . and .. and outside /svc/' })

export const serviceSchema = z.strictObject({
  kind: describe(kind, 'What it is; `job` is reserved.').default(defaults.kind),
  name: describe(name(), 'Name of the service, unique in the system.'),
  concurrency: describe(
    integer(0, CONCURRENCY_MAX),
    'Number of instances that run at the same time in the whole system.',
  ),
  image: describe(image, 'The program, and how it is built and run.'),
  port: describe(
    servicePort(),
    'Port of the service. A program listens on PORT, which is this one with host_port static.',
  ),
  host_port: describe(
    z.enum(['dynamic', 'static']),
    'dynamic: the agent picks a port of its range. static: `port` itself, one instance a node.',
  ).default(defaults.host_port),
  protocol: describe(
    z.enum(['http', 'tcp']),
    'tcp: bytes are passed on as they are, to whoever comes in by `public_port`.',
  ).default(defaults.protocol),
  public_port: describe(
    servicePort(),
    'A port on the controller that leads to this service alone.',
  ).exactOptional(),
  public: describe(z.boolean(), 'false: the balancer does not route to it.').default(
    defaults.public,
  ),
  proxy_protocol: describe(
    z.enum(['none', 'v1', 'v2']),
    'Only with tcp: tells the program the address of its client, in the PROXY protocol.',
  ).default(defaults.proxy_protocol),
  hosts: describe(
    z.array(hostname()).max(HOSTS_MAX),
    'Host names that lead to this service, beside its own name.',
  ).prefault([]),
  path: describe(
    prefix,
    'A path prefix that leads to this service, beside `/svc/<name>/`.',
  ).exactOptional(),
  env: describe(env, 'Environment of the program.', { secret: true }).prefault({}),
  health: describe(health, 'How it is known whether an instance works.').prefault({}),
  placement: describe(z.enum(['round_robin', 'least_loaded']), 'How workers are chosen.').default(
    defaults.placement,
  ),
  max_per_node: describe(
    integer(1, CONCURRENCY_MAX),
    'Most instances on one worker; the others wait.',
  ).exactOptional(),
  balance: describe(
    z.enum(['weighted_round_robin', 'round_robin', 'least_request', 'least_loaded', 'p2c', 'hash']),
    'How requests are spread. The weights follow from the metrics of the nodes.',
  ).default(defaults.balance),
  hash: describe(hash, 'What decides with `balance: hash`.', {
    fallback: '`{by: ip}` with `balance: hash`',
  }).exactOptional(),
  sticky: describe(sticky, 'Leads a client back to its instance.').exactOptional(),
  slow_start: describe(
    duration('0s', '1h'),
    'Time in which a new instance comes to its full share of the requests. 0s: at once.',
  ).default(defaults.slow_start),
  limits: describe(limits, 'How much the service takes at one time.').prefault({}),
  hold: describe(
    duration('0s', '5m'),
    'How long requests wait when no instance is healthy for a moment. 0s: they do not.',
  ).default(defaults.hold),
  pipelining: describe(
    z.enum(['auto', 'off']),
    'auto: requests without a body may follow each other on one connection to an instance.',
  ).default(defaults.pipelining),
  stop: describe(stop, 'How an instance is ended.').prefault({}),
  update: describe(update, 'How a new version replaces the old one.').prefault({}),
  timeouts: describe(timeouts, 'How long the balancer waits for an instance.').prefault({}),
})

/** No segment that a client or a server might resolve away. */
function isPlainPath(path: string): boolean {
  const segments = path.replace(/\/$/, '').split('/').slice(1)
  return segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}

function environmentBytes(values: Readonly<Record<string, string>>): number {
  return Object.entries(values).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value) + 2,
    0,
  )
}
