// Keys of a service's configuration that say how the balancer carries its requests.

import { z } from 'zod'
import { serviceDefaults as defaults, idleDefaults } from './defaults.ts'
import { describe, duration, headerToken } from './fields.ts'

export const timeouts = z.strictObject({
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

export const hash = z.strictObject({
  by: describe(z.enum(['ip', 'header', 'cookie']), 'What of a request decides.'),
  name: describe(headerToken(), 'Name of the header or the cookie.').exactOptional(),
})
