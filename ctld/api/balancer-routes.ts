// Routes of the traffic: what the balancer counts, as JSON and for Prometheus, and how a service's
// requests are held, turned away and let through again.

import { z } from 'zod'
import type { TrafficCommand } from '#ctld/commands.ts'
import { durationMs } from '#shared/duration.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { duration } from '#shared/fields.ts'
import { type Answer, type Route, route } from '#shared/http-route.ts'
import {
  isPage,
  PAGE_BYTES_MAX,
  PAUSE_DEFAULT,
  PAUSE_MAX,
  PAUSE_MIN,
} from '#shared/traffic-control.ts'
import { serviceSummaryAnswer } from './answers.ts'
import { balancerAnswer, balancerAnswerOf } from './balancer-answer.ts'
import { balancerFamilies } from './balancer-metrics.ts'
import { clusterFamilies } from './cluster-metrics.ts'
import { ADMIN, type ApiContext, answer, found, nameParams, ok } from './context.ts'
import { EXPOSITION_TYPE, expositionOf } from './exposition.ts'
import { summarize } from './service-summary.ts'

/** How long a change of traffic is waited for. */
const IN_FORCE_MS_MAX = 5_000

export function balancerRoutes(context: ApiContext): Route[] {
  return [...readRoutes(context), ...trafficRoutes(context)]
}

function readRoutes(context: ApiContext): Route[] {
  const { ctld, counters } = context
  return [
    route({
      method: 'GET',
      path: '/v1/balancer',
      summary: 'What the balancer carries: requests, errors and times by service and instance',
      access: ADMIN,
      answers: { 200: answer('Since the balancer started', balancerAnswer) },
      handle: async () => ok(balancerAnswerOf(await counters(), ctld.snapshot())),
    }),
    route({
      method: 'GET',
      path: '/metrics',
      summary: 'Measurements in the text format of Prometheus',
      access: ADMIN,
      answers: { 200: { description: 'Version 0.0.4 of the format', type: 'text/plain' } },
      handle: () => metricsOf(context),
    }),
  ]
}

/** What the controller knows is told even when the balancer says nothing. */
async function metricsOf({ ctld, counters, log, version }: ApiContext): Promise<Answer> {
  const counted = await counters().catch((error: unknown) => {
    if (!(error instanceof TucanoError)) throw error
    log.warn({ error: messageOf(error) }, 'the balancer does not tell what it counts')
    return undefined
  })
  const families = [...clusterFamilies(ctld.snapshot(), version), ...balancerFamilies(counted)]
  return { status: 200, headers: { 'content-type': EXPOSITION_TYPE }, body: expositionOf(families) }
}

const pauseBody = z
  .strictObject({
    for: duration(PAUSE_MIN, PAUSE_MAX)
      .optional()
      .describe(`How long at most; ${PAUSE_DEFAULT} if not said`),
  })
  .prefault({})

const maintenanceBody = z
  .strictObject({
    page: z
      .string()
      .refine(isPage)
      .meta({ expected: `HTML, which begins with <, of at most ${PAGE_BYTES_MAX / 1024} KiB` })
      .optional()
      .describe('What visitors get; problem details if not said'),
  })
  .prefault({})

function trafficRoutes(context: ApiContext): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/services/:name/pause',
      summary: 'Holds its requests until it is resumed or the time is over; instances run on',
      access: ADMIN,
      params: nameParams,
      body: pauseBody,
      answers: { 200: answer('Paused', serviceSummaryAnswer) },
      handle: ({ params, body }) =>
        turn(context, {
          kind: 'pause',
          service: params.name,
          forMs: durationMs(body.for ?? PAUSE_DEFAULT),
        }),
    }),
    route({
      method: 'POST',
      path: '/v1/services/:name/maintenance',
      summary: 'Answers its requests 503, with a page if given, until it is resumed',
      access: ADMIN,
      params: nameParams,
      body: maintenanceBody,
      answers: { 200: answer('In maintenance', serviceSummaryAnswer) },
      handle: ({ params, body }) =>
        turn(context, {
          kind: 'maintenance',
          service: params.name,
          ...(body.page === undefined ? {} : { page: body.page }),
        }),
    }),
    route({
      method: 'POST',
      path: '/v1/services/:name/resume',
      summary: 'Lets its requests through again',
      access: ADMIN,
      params: nameParams,
      answers: { 200: answer('Open', serviceSummaryAnswer) },
      handle: ({ params }) => turn(context, { kind: 'resume', service: params.name }),
    }),
  ]
}

/** Answered when it is so: who paused goes on to do what no request shall come upon. */
async function turn(context: ApiContext, command: TrafficCommand): Promise<Answer> {
  const { ctld } = context
  await ctld.submit(command)
  if (!(await context.inForce(IN_FORCE_MS_MAX))) {
    const text = `the ${command.kind} of ${command.service} is on record, but not in force yet`
    throw new TucanoError('unavailable', text)
  }
  const { configured_services, instances } = ctld.snapshot()
  const isIt = ({ name }: { name: string }) => name === command.service
  return ok(summarize(found(configured_services, isIt, `service ${command.service}`), instances))
}
