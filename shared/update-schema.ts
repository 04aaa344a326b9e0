// Keys of a service's configuration that say how an instance ends and how a new revision takes the
// place of the old one.

import { z } from 'zod'
import { serviceDefaults as defaults } from './defaults.ts'
import { describe, duration, integer } from './fields.ts'

export const CANARY_STEPS_MAX = 10

export const stop = z.strictObject({
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

const percent = z.int().min(1).max(99).meta({ expected: 'a whole number of percent, 1..99' })

const steps = z
  .array(percent)
  .min(1)
  .max(CANARY_STEPS_MAX)
  .refine((list) => list.every((step, index) => index === 0 || step > (list[index - 1] ?? 0)))
  .meta({ expected: `1..${CANARY_STEPS_MAX} growing shares in percent, like [10, 50]` })

const guard = z.strictObject({
  error_rate: describe(
    z.number().min(0).max(1).meta({ expected: 'a share of 1, 0..1' }),
    'By how much more of its requests than the former one it may fail. 1: it is not looked at.',
  ).default(defaults.update.guard.error_rate),
  p99: describe(
    duration('1ms', '10m'),
    'Reverted when 99 % of its requests take longer than this.',
    { fallback: 'none: it is not looked at' },
  ).exactOptional(),
  min_requests: describe(
    integer(1, 1_000_000),
    'Requests of the new revision below which nothing is judged.',
  ).default(defaults.update.guard.min_requests),
  watch: describe(
    duration('0s', '1h'),
    'How long it is still watched after it has taken the last place.',
  ).default(defaults.update.guard.watch),
})

export const update = z.strictObject({
  strategy: describe(
    z.enum(['rolling', 'recreate', 'blue_green', 'canary', 'none']),
    'rolling: one instance after the other. recreate: all end, then all start. blue_green: all ' +
      'start beside, one switch. canary: a share first. none: refused while it runs.',
  ).default(defaults.update.strategy),
  max_surge: describe(
    z.union([z.literal(0), z.literal(1)]).meta({ expected: '0 or 1' }),
    '1: the new instance starts beside the old one. 0: the old one stops first.',
  ).default(defaults.update.max_surge),
  min_healthy: describe(
    duration('0s', '1h'),
    'How long a new instance must be healthy before it takes the place of an old one.',
  ).default(defaults.update.min_healthy),
  deadline: describe(
    duration('1s', '1d'),
    'Time without progress after which the deployment has failed.',
  ).default(defaults.update.deadline),
  auto_revert: describe(
    z.boolean(),
    'true: a deployment that fails goes back to the last revision that worked.',
  ).default(defaults.update.auto_revert),
  steps: describe(steps, 'canary: the shares of the requests that it gets, one after the other.', {
    fallback: `\`[${defaults.update.steps.join(', ')}]\``,
  }).default([...defaults.update.steps]),
  pause: describe(duration('0s', '1d'), 'canary: how long it stays at each share.').default(
    defaults.update.pause,
  ),
  guard: describe(guard, 'What of the live traffic makes a deployment fail.').prefault({}),
})
