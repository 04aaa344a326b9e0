// Keys of a service's configuration that say how it is known whether an instance works.

import { z } from 'zod'
import { serviceDefaults as defaults } from './defaults.ts'
import { describe, duration, integer } from './fields.ts'

export const PATH_LENGTH_MAX = 2_048

const checkPathPattern = /^\/[!-"$-~]*$/

export const health = z.strictObject({
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
