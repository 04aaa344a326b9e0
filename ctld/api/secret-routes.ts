// Routes of secrets: their names, versions and users. A value goes in, and never out.

import { z } from 'zod'
import type { SecretView } from '#ctld/snapshot.ts'
import { type Route, route } from '#shared/http-route.ts'
import { secretValue } from '#shared/secrets-schema.ts'
import { at, type Same } from './answer-parts.ts'
import { ADMIN, type ApiContext, answer, nameParams, ok } from './context.ts'

export const secretAnswer = z.strictObject({
  name: z.string(),
  version: z.int().min(1).describe('Grows with each new value'),
  updatedAt: at,
  usedBy: z
    .array(z.strictObject({ service: z.string(), version: z.int().min(1) }))
    .describe('Services that get it, with the version that they get now'),
})

/** Fails to compile when the shape above no longer says what the model says. */
export const secretAsModel: Same<SecretView, typeof secretAnswer> = true

const listAnswer = z.strictObject({ secrets: z.array(secretAnswer) })
export const secretSetAnswer = secretAnswer.extend({
  isNew: z.boolean().describe('false: it had this value already'),
})

export function secretRoutes({ ctld }: ApiContext): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/secrets',
      summary: 'All secrets with their versions and users, without their values',
      access: ADMIN,
      answers: { 200: answer('Sorted by name', listAnswer) },
      handle: () => ok({ secrets: ctld.snapshot().secrets }),
    }),
    route({
      method: 'PUT',
      path: '/v1/secrets/:name',
      summary: 'Sets a secret; services get the value with their next deploy or restart',
      access: ADMIN,
      params: nameParams,
      body: z.strictObject({ value: secretValue }),
      answers: { 200: answer('Set and on disk', secretSetAnswer) },
      async handle({ params, body }) {
        const command = { kind: 'put_secret', name: params.name, value: body.value } as const
        return ok((await ctld.submit(command)).secret)
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/secrets/:name',
      summary: 'Removes a secret that no service uses',
      access: ADMIN,
      params: nameParams,
      answers: { 200: answer('Removed', z.strictObject({ name: z.string() })) },
      async handle({ params }) {
        await ctld.submit({ kind: 'remove_secret', name: params.name })
        return ok({ name: params.name })
      },
    }),
  ]
}
