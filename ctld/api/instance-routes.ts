// Routes of deployments and instances, and what their agents tell of them: logs and builds.

import { z } from 'zod'
import { isFinal } from '#ctld/instance.ts'
import { name } from '#shared/fields.ts'
import { type Forward, type Route, route } from '#shared/http-route.ts'
import type { Deployment } from '#shared/model.ts'
import {
  ADMIN,
  type ApiContext,
  agentOrigin,
  answer,
  digits,
  flag,
  found,
  idParams,
  nodeOf,
  ok,
  onceRouted,
  wait,
} from './context.ts'
import { deploymentAnswer, instanceAnswer } from './service-answers.ts'

export const LOG_LINES_MAX = 10_000

const settled = new Set<Deployment['state']>([
  'complete_running',
  'incomplete_running',
  'complete_termination',
  'incomplete_termination',
  'superseded',
])

const serviceQuery = z.strictObject({ service: name().optional() })
const instanceQuery = z.strictObject({
  service: name().optional(),
  node: name().optional(),
  all: flag.describe('true: those that have ended, too'),
})
const logQuery = z.strictObject({ lines: digits(0, LOG_LINES_MAX).optional(), follow: flag })

/** Path of an agent's API: plain segments, so that nothing in it can lead elsewhere. */
const agentPath = z
  .string()
  .max(512)
  .regex(/^(?:(?!\.\.?(?:\/|$))[\w.:-]+\/)*(?!\.\.?$)[\w.:-]+$/)
  .meta({ expected: 'the path of an agent route, like v1/instances' })

export function instanceRoutes(context: ApiContext): Route[] {
  return [...deploymentRoutes(context), ...readRoutes(context), ...agentRoutes(context)]
}

function deploymentRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  return [
    route({
      method: 'GET',
      path: '/v1/deployments',
      summary: 'Deployments, oldest first',
      access: ADMIN,
      query: serviceQuery,
      answers: {
        200: answer('Deployments', z.strictObject({ deployments: z.array(deploymentAnswer) })),
      },
      async handle({ query }) {
        const { deployments } = await onceRouted(context, ctld.snapshot())
        return ok({ deployments: deployments.filter(fits(query.service)) })
      },
    }),
    route({
      method: 'GET',
      path: '/v1/deployments/:id',
      summary: 'One deployment; with `wait`, answered when its state changes or is settled',
      access: ADMIN,
      params: idParams,
      query: z.strictObject({ wait }),
      answers: { 200: answer('The deployment', deploymentAnswer) },
      handle: async ({ params, query, signal }) =>
        ok(
          await onceRouted(
            context,
            await deploymentAfter(context, params.id, query.wait ?? 0, signal),
          ),
        ),
    }),
  ]
}

function readRoutes({ ctld }: ApiContext): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/instances',
      summary: 'Instances that have not ended, of one service or node if asked',
      access: ADMIN,
      query: instanceQuery,
      answers: {
        200: answer('Sorted by id', z.strictObject({ instances: z.array(instanceAnswer) })),
      },
      handle({ query }) {
        const instances = ctld
          .snapshot()
          .instances.filter(fits(query.service))
          .filter(({ node }) => query.node === undefined || node === query.node)
          .filter((instance) => query.all === true || !isFinal(instance))
        return ok({ instances })
      },
    }),
    route({
      method: 'GET',
      path: '/v1/instances/:id',
      summary: 'One instance',
      access: ADMIN,
      params: idParams,
      answers: { 200: answer('The instance', instanceAnswer) },
      handle({ params }) {
        const { instances } = ctld.snapshot()
        return ok(found(instances, ({ id }) => id === params.id, `instance ${params.id}`))
      },
    }),
  ]
}

function agentRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  return [
    route({
      method: 'GET',
      path: '/v1/instances/:id/log',
      summary: "The instance's output, from its agent; `follow` keeps it coming",
      access: ADMIN,
      params: idParams,
      query: logQuery,
      answers: { 200: { description: 'Lines of its output', type: 'text/plain' } },
      forward({ params }) {
        const snapshot = ctld.snapshot()
        const { id, node } = found(
          snapshot.instances,
          (one) => one.id === params.id,
          `instance ${params.id}`,
        )
        return toAgent(context, node, `v1/instances/${id}/log`)
      },
    }),
    route({
      method: 'GET',
      path: '/v1/nodes/:name/agent/*',
      summary: "Reads an agent's own API through the controller",
      access: ADMIN,
      params: z.strictObject({ name: name(), '*': agentPath }),
      answers: { 200: { description: "The agent's answer", type: '*/*' } },
      forward: ({ params }) => toAgent(context, params.name, params['*']),
    }),
  ]
}

function toAgent({ ctld }: ApiContext, node: string, path: string): Forward {
  const view = nodeOf(ctld.snapshot(), node)
  return { origin: agentOrigin(view), path: `/${path}`, peer: `the agent of ${node}` }
}

async function deploymentAfter(
  { ctld, changes }: ApiContext,
  id: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<Deployment> {
  const read = () => found(ctld.snapshot().deployments, (one) => one.id === id, `deployment ${id}`)
  const first = read()
  const news = () => {
    const now = read()
    return now.state !== first.state || isSettled(now) ? now : undefined
  }
  return (await changes.until(news, waitMs, signal)) ?? read()
}

function isSettled({ state, finishedAt }: Deployment): boolean {
  return finishedAt !== undefined || settled.has(state)
}

function fits(service: string | undefined): (one: { service: string }) => boolean {
  return (one) => service === undefined || one.service === service
}
