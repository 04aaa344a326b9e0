// The key that says what stays together: a client with its instance, an instance with its node.

import { z } from 'zod'
import { describe, headerToken } from './fields.ts'

const expected = 'true, or a mapping with cookie, node or both'

const stays = z
  .strictObject({
    node: describe(
      z.boolean(),
      'An instance is never moved to another node: it waits for its own, and you are told.',
      { fallback: '`true` with volumes' },
    ).exactOptional(),
    cookie: describe(
      headerToken(),
      'Name of the cookie that the balancer sets, to lead a client back to its instance.',
    ).exactOptional(),
  })
  .refine((given) => Object.keys(given).length > 0, { abort: true })

/** `true` is short for `{node: true}`, and is kept as that. */
export const sticky = z
  .union([z.literal(true), stays])
  .transform((given) => (given === true ? { node: true as const } : given))
  .pipe(stays)
  .meta({ expected })
