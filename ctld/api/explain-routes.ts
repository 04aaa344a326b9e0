// The route that says where a service's next instance would go, and why not to the other workers.

import { z } from 'zod'
import type { Explanation } from '#ctld/deployer/explain.ts'
import { type Route, route } from '#shared/http-route.ts'
import { placement } from '#shared/placement-schema.ts'
import { count, members, type Same } from './answer-parts.ts'
import { pendingAnswer } from './answers.ts'
import { ADMIN, type ApiContext, answer, nameParams, ok } from './context.ts'

const sentences = z.array(z.string())

const explanationAnswer = z.strictObject({
  service: z.string(),
  placement,
  rule: z.string().describe('How the next worker is chosen'),
  wanted: count,
  held: count.describe('Instances that hold a place'),
  next: z.string().nullable().describe('The worker that would get the next instance'),
  nowhere: z.string().nullable().describe('Why no worker can take one; null: one can'),
  nodes: z.array(
    z.strictObject({
      node: z.string(),
      verdict: members<Explanation['nodes'][number]['verdict']>({
        next: 'next',
        possible: 'possible',
        refused: 'refused',
      }),
      order: count.nullable().describe('1: the next one; null: refused'),
      instances: count.describe('Of the service on it'),
      why: sentences.describe('What speaks for it'),
      why_not: sentences.describe('What forbids it, or what puts it behind the next one'),
    }),
  ),
})

/** Fails to compile when the shape above no longer says what the verb says. */
export const sameAsVerb: Same<Explanation, typeof explanationAnswer> = true

const explainAnswer = explanationAnswer.extend({ pending: z.array(pendingAnswer) })
export type ExplainAnswer = z.output<typeof explainAnswer>

export function explainRoutes({ ctld }: ApiContext): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/services/:name/explain',
      summary: 'Where its next instance would go, and of every worker why, or why not',
      access: ADMIN,
      params: nameParams,
      answers: { 200: answer('Every worker, in the order of the topology', explainAnswer) },
      async handle({ params }) {
        const explanation = await ctld.explain(params.name)
        const pending = ctld.snapshot().pending.filter(({ service }) => service === params.name)
        return ok({ ...explanation, pending } satisfies ExplainAnswer)
      },
    }),
  ]
}
