// What the shapes of the API's answers are made of.

import { z } from 'zod'

/** An enum that has all members of the union and no other. */
export const members = <T extends string>(all: { [K in T]: K }) => z.enum(all)

export const at = z.number().describe('Milliseconds since 1970')
export const count = z.int().min(0)

/** `true` where every value of the model is one of the schema and no key is missing in it. */
export type Same<Model, Schema extends z.ZodType> =
  Model extends z.output<Schema>
    ? keyof Model extends keyof z.output<Schema>
      ? true
      : never
    : never
