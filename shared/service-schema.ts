// Keys of a service's configuration (M47–M49): what each may hold, means and is by default. The
// larger groups stand in files of their own.

import { z } from 'zod'
import { checks, health, onPartition, PATH_LENGTH_MAX } from './check-schema.ts'
import { serviceDefaults as defaults } from './defaults.ts'
import { describe, duration, hostname, integer, name, servicePort } from './fields.ts'
import { env, image } from './image-schema.ts'
import { user } from './isolation-schema.ts'
import { limits } from './limits-schema.ts'
import { affinity, constraints, placement, spread } from './placement-schema.ts'
import { secrets, volumes } from './secrets-schema.ts'
import { sticky } from './sticky-schema.ts'
import { hash, timeouts } from './traffic-schema.ts'
import { stop, update } from './update-schema.ts'

export const CONCURRENCY_MAX = 1_000
export const HOSTS_MAX = 32

const pathPattern = /^\/[\w.~!$&'()*+,;=:@/-]*$/

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
  secrets: describe(secrets, 'Secrets that the program gets, by their names.').exactOptional(),
  volumes: describe(
    volumes,
    'Folders on its node that outlive its instances; their paths are in TUCANO_VOLUME_<NAME>.',
  ).exactOptional(),
  health: describe(health, 'How it is known whether an instance works.').prefault({}),
  checks: describe(checks, 'Checks of their own in place of `health`.').exactOptional(),
  on_partition: describe(
    onPartition,
    'What an agent does that hears nothing from the controller: keep, or stop after a while.',
    { fallback: '`keep`' },
  ).exactOptional(),
  placement: describe(
    placement,
    'How nodes are chosen. spread: evenly over the values of a label.',
  ).default(defaults.placement),
  spread: describe(spread, 'Only with `placement: spread`.').exactOptional(),
  constraints: describe(constraints, 'What a node must be like to get an instance.').prefault([]),
  affinity: describe(affinity, 'What a node is preferred for.').prefault([]),
  priority: describe(
    integer(0, 100),
    'Where room is short, instances of a higher priority are placed first.',
  ).default(defaults.priority),
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
  sticky: describe(
    sticky,
    'What stays: a client with its instance, an instance with its node.',
  ).exactOptional(),
  slow_start: describe(
    duration('0s', '1h'),
    'Time in which a new instance comes to its full share of the requests. 0s: at once.',
  ).default(defaults.slow_start),
  limits: describe(limits, 'How much the service takes at one time.').prefault({}),
  user: describe(user, 'Whom its programs run as, on a node whose agent is root.', {
    fallback: '`isolation.user` of the agent',
  }).exactOptional(),
  hold: describe(
    duration('0s', '5m'),
    'How long requests wait when no instance is healthy for a moment. 0s: they do not.',
  ).default(defaults.hold),
  pipelining: describe(
    z.enum(['auto', 'off']),
    'auto: requests without a body may follow each other on one connection to an instance.',
  ).default(defaults.pipelining),
  stop: describe(stop, 'How an instance is ended.').prefault({}),
  exclusive: describe(
    z.boolean(),
    'true: two instances must not overlap; an old one ends before its successor starts.',
  ).default(defaults.exclusive),
  update: describe(update, 'How a new revision takes the place of the old one.').prefault({}),
  timeouts: describe(timeouts, 'How long the balancer waits for an instance.').prefault({}),
})

/** No segment that a client or a server might resolve away. */
function isPlainPath(path: string): boolean {
  const segments = path.replace(/\/$/, '').split('/').slice(1)
  return segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}
