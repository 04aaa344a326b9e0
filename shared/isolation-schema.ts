// Keys that say whom programs run as: of a service, and of the agent for services that say nothing.

import { z } from 'zod'
import { agentDefaults as defaults } from './defaults.ts'
import { describe } from './fields.ts'
import { USER_PATTERN } from './wire.ts'

export const user = z
  .string()
  .regex(USER_PATTERN)
  .refine((name) => name !== 'root')
  .meta({ expected: 'the name of a user like tucano-run, and not root' })

/** Of the agent. */
export const isolation = z.strictObject({
  user: describe(
    user,
    'Whom programs run as whose service names no `user`, if the agent is root and it exists.',
  ).default(defaults.isolation.user),
})
