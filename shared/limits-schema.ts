// Keys of a service's configuration that say how much it may take: of requests and of its node.

import { z } from 'zod'
import { serviceDefaults as defaults } from './defaults.ts'
import { describe, duration, integer, size } from './fields.ts'

export const IN_FLIGHT_MAX = 100_000
export const QUEUE_MAX = 10_000
export const CPU_MAX = 1_024
export const PIDS_MAX = 4_194_304
export const OPEN_FILES_MAX = 1_048_576

const none = { fallback: 'no limit' }

export const limits = z.strictObject({
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
  memory: describe(
    size('1024GiB'),
    'Memory of an instance; what takes more is killed. Counted against the size of its node.',
    none,
  ).exactOptional(),
  cpu: describe(
    z
      .number()
      .min(0.01)
      .max(CPU_MAX)
      .meta({ expected: `a number of cores, 0.01..${CPU_MAX}` }),
    'Cores that an instance may use. Counted against those of its node.',
    none,
  ).exactOptional(),
  pids: describe(integer(1, PIDS_MAX), 'Processes and threads of an instance.', {
    fallback: '`1024`, where the node can limit them',
  }).exactOptional(),
  open_files: describe(
    integer(16, OPEN_FILES_MAX),
    'Files and connections that a process of it may have open.',
    none,
  ).exactOptional(),
})
