// The agent's API as a table: what is not in it does not exist. Only the controller has the token,
// and passes on to people what they may read.

import type { Readable } from 'node:stream'
import { z } from 'zod'
import type { Agentd } from '#agentd/agentd.ts'
import { TucanoError } from '#shared/errors.ts'
import { type Route, route } from '#shared/http-route.ts'
import {
  assignmentSchema,
  DIGEST_PATTERN,
  orderAnswerSchema,
  reportSchema,
  WIRE_BODY_BYTES_MAX,
} from '#shared/wire.ts'

export const LOG_LINES_MAX = 10_000
const LOG_LINES = 200
const CONTROLLER = ['controller'] as const

export type AgentLogs = {
  /** Last lines, then each new one if asked to follow. Rejects with `not_found`. */
  instance(id: string, lines: number, follow: AbortSignal | undefined): Promise<Readable>
  build(digest: string, lines: number): Promise<string[] | undefined>
}

const lines = z
  .string()
  .regex(/^\d{1,5}$/)
  .transform(Number)
  .refine((count) => count <= LOG_LINES_MAX)
  .meta({ expected: `a number of lines, 0 to ${LOG_LINES_MAX}` })
  .optional()
const follow = z.enum(['0', '1', 'true', 'false']).optional()
const instanceId = z.string().regex(/^[0-9a-zA-Z-]{1,64}$/)
const text = { 'content-type': 'text/plain; charset=utf-8' }
const healthAnswer = z.strictObject({
  status: z.enum(['starting', 'ok', 'stopping']),
  node: z.string(),
  version: z.string(),
  reporting: z.boolean(),
})

export function agentRoutes(agentd: Agentd, logs: AgentLogs): Route[] {
  return [
    route({
      method: 'GET',
      path: '/healthz',
      summary: 'Whether the agent answers',
      access: 'anyone',
      always: true,
      answers: { 200: { description: 'It answers', schema: healthAnswer } },
      handle: () => ({ status: 200, body: agentd.health() }),
    }),
    route({
      method: 'PUT',
      path: '/v1/assignment',
      summary: 'All that this node shall run',
      access: CONTROLLER,
      quiet: true,
      body: assignmentSchema,
      bodyBytesMax: WIRE_BODY_BYTES_MAX,
      answers: {
        200: { description: 'It is obeyed', schema: orderAnswerSchema },
        409: { description: 'A newer order is obeyed', schema: orderAnswerSchema },
      },
      async handle({ body }) {
        const answer = await agentd.obey(body)
        return { status: answer.accepted ? 200 : 409, body: answer }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/status',
      summary: 'What the next report says',
      access: CONTROLLER,
      answers: { 200: { description: 'As a report', schema: reportSchema } },
      handle: () => ({ status: 200, body: agentd.status() }),
    }),
    ...logRoutes(agentd, logs),
  ]
}

function logRoutes(agentd: Agentd, logs: AgentLogs): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/instances/:id/log',
      summary: 'Output of an instance; `follow` keeps it coming',
      access: CONTROLLER,
      isEndless: true,
      params: z.strictObject({ id: instanceId }),
      query: z.strictObject({ lines, follow }),
      answers: { 200: { description: 'Lines', type: 'text/plain' } },
      async handle({ params: { id }, query, signal }) {
        if (!agentd.status().instances.some((instance) => instance.id === id)) {
          throw new TucanoError('not_found', `there is no instance ${id} on this node`)
        }
        const isFollowing = query.follow === '1' || query.follow === 'true'
        const stream = await logs.instance(
          id,
          query.lines ?? LOG_LINES,
          isFollowing ? signal : undefined,
        )
        return { status: 200, headers: text, stream }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/builds/:digest/log',
      summary: 'Output of the newest build of an image',
      access: CONTROLLER,
      params: z.strictObject({ digest: z.string().regex(DIGEST_PATTERN) }),
      query: z.strictObject({ lines }),
      answers: { 200: { description: 'Lines', type: 'text/plain' } },
      async handle({ params: { digest }, query }) {
        const found = await logs.build(digest, query.lines ?? LOG_LINES_MAX)
        if (found === undefined) {
          throw new TucanoError('not_found', `no build of ${digest} on this node`)
        }
        return { status: 200, headers: text, body: found.map((line) => `${line}\n`).join('') }
      },
    }),
  ]
}
