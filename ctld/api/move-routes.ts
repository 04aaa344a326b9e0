// Routes of what moves instances between workers: cordon, drain, rebalance.

import { z } from 'zod'
import { DRAIN_MAX, DRAIN_TIME } from '#shared/drain.ts'
import { durationMs } from '#shared/duration.ts'
import { duration } from '#shared/fields.ts'
import { type Route, route } from '#shared/http-route.ts'
import { ADMIN, type ApiContext, answer, nameParams, nodeOf, ok } from './context.ts'
import { drainStateAnswer, nodeAnswer, planAnswer, rebalanceAnswer } from './node-answers.ts'

const INSTANCES_MAX = 1_000

const summaries = {
  cordon: 'Places no instance on it any more; those that it has stay',
  uncordon: 'Lets it have instances again',
  undrain: 'Lets it have instances again',
} as const

const drainBody = z
  .strictObject({
    deadline: duration('0s', DRAIN_MAX).default(DRAIN_TIME).describe('After it the drain is late'),
    force: z
      .boolean()
      .default(false)
      .describe('Not refused; moves what is sticky too, and stops at the deadline what is left'),
  })
  .prefault({})

const rebalanceBody = z
  .strictObject({
    instances: z
      .array(z.string().max(64))
      .max(INSTANCES_MAX)
      .exactOptional()
      .describe('Those of the plan that was looked at; refused when it is another one by now'),
  })
  .prefault({})

export function moveRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  return [
    ...(['cordon', 'uncordon', 'undrain'] as const).map((kind) =>
      route({
        method: 'POST',
        path: `/v1/nodes/:name/${kind}`,
        summary: summaries[kind],
        access: ADMIN,
        params: nameParams,
        answers: { 200: answer('The node', nodeAnswer) },
        async handle({ params }) {
          await ctld.submit({ kind, node: params.name })
          return ok(nodeOf(ctld.snapshot(), params.name))
        },
      }),
    ),
    route({
      method: 'POST',
      path: '/v1/nodes/:name/drain',
      summary: 'Moves its instances elsewhere, if there is room, and places no other on it',
      access: ADMIN,
      params: nameParams,
      body: drainBody,
      answers: { 200: answer('The node', nodeAnswer) },
      async handle({ params, body }) {
        const { deadline, force } = body
        await ctld.submit({
          kind: 'drain',
          node: params.name,
          deadlineMs: durationMs(deadline),
          force,
        })
        return ok(nodeOf(ctld.snapshot(), params.name))
      },
    }),
    route({
      method: 'GET',
      path: '/v1/nodes/:name/drain',
      summary: 'What is still on it, and why',
      access: ADMIN,
      params: nameParams,
      answers: { 200: answer('How far its drain has come', drainStateAnswer) },
      async handle({ params }) {
        const { name } = nodeOf(ctld.snapshot(), params.name)
        const holds = await ctld.holdUps(name)
        return ok({ node: nodeOf(ctld.snapshot(), name), holds })
      },
    }),
    ...rebalanceRoutes(context),
  ]
}

function rebalanceRoutes({ ctld }: ApiContext): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/rebalance',
      summary: 'The rebalance that is under way, or the last one',
      access: ADMIN,
      answers: { 200: answer('null: there was none', rebalanceAnswer.nullable()) },
      handle: () => ok(ctld.snapshot().rebalance),
    }),
    route({
      method: 'GET',
      path: '/v1/rebalance/plan',
      summary: 'The moves that a rebalance would make now; nothing is moved',
      access: ADMIN,
      answers: { 200: answer('The plan', planAnswer) },
      handle: async () => ok(await ctld.rebalancePlan()),
    }),
    route({
      method: 'POST',
      path: '/v1/rebalance',
      summary: 'Moves instances to where they are spread better, one after the other',
      access: ADMIN,
      body: rebalanceBody,
      answers: { 200: answer('It is under way', rebalanceAnswer.nullable()) },
      async handle({ body }) {
        await ctld.submit({ kind: 'rebalance', ...body })
        return ok(ctld.snapshot().rebalance)
      },
    }),
    route({
      method: 'POST',
      path: '/v1/rebalance/stop',
      summary: 'Ends it; what has not moved stays where it is',
      access: ADMIN,
      answers: { 200: answer('As it ended', rebalanceAnswer.nullable()) },
      async handle() {
        await ctld.submit({ kind: 'stop_rebalance' })
        return ok(ctld.snapshot().rebalance)
      },
    }),
  ]
}
