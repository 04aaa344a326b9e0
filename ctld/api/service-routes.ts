// Routes of services: deploy (M05, M21, Q12), scale, stop, start, remove, and reading them.

import { z } from 'zod'
import { hintsOf } from '#shared/check-rules.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { type Problem, TucanoError } from '#shared/errors.ts'
import { integer } from '#shared/fields.ts'
import { faulty, type Route, route } from '#shared/http-route.ts'
import { checkServiceConfig } from '#shared/service-config.ts'
import { CONCURRENCY_MAX, serviceSchema } from '#shared/service-schema.ts'
import { pendingAnswer, serviceDetailAnswer, serviceSummaryAnswer } from './answers.ts'
import {
  ADMIN,
  type ApiContext,
  accepted,
  acceptedSpec,
  answer,
  found,
  nameParams,
  ok,
  onceRouted,
} from './context.ts'
import { summarize } from './service-summary.ts'

const listAnswer = z.strictObject({
  services: z.array(serviceSummaryAnswer),
  pending: z.array(pendingAnswer),
})

const actions = {
  stop: 'Stops all its instances',
  start: 'Starts a stopped service',
  restart: 'Replaces all its instances, with the secrets as they are now',
}

export function serviceRoutes(context: ApiContext): Route[] {
  return [...readRoutes(context), ...changeRoutes(context)]
}

function readRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  return [
    route({
      method: 'GET',
      path: '/v1/services',
      summary: 'All configured services, with what runs, and what waits for a place',
      access: ADMIN,
      answers: { 200: answer('Sorted by name', listAnswer) },
      async handle() {
        const { configured_services, instances, pending } = await onceRouted(
          context,
          ctld.snapshot(),
        )
        const services = configured_services.map((service) => summarize(service, instances))
        return ok({ services, pending })
      },
    }),
    route({
      method: 'GET',
      path: '/v1/services/:name',
      summary: 'One service: its record, its instances, its last deployment',
      access: ADMIN,
      params: nameParams,
      answers: { 200: answer('The service', serviceDetailAnswer) },
      handle: async ({ params }) => ok(await onceRouted(context, detailOf(context, params.name))),
    }),
  ]
}

function changeRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  return [
    route({
      method: 'POST',
      path: '/v1/services',
      summary: 'Deploys a service; its image must have been uploaded',
      access: ADMIN,
      body: z.strictObject({ config: z.unknown() }),
      bodyShape: z.strictObject({ config: serviceSchema }),
      answers: { 202: acceptedSpec },
      async handle({ body }) {
        const config = checkConfig(body.config)
        await requireImage(context, config)
        return accepted(await ctld.submit({ kind: 'deploy', config }), hintsOf(config))
      },
    }),
    route({
      method: 'POST',
      path: '/v1/services/:name/scale',
      summary: 'Changes how many instances run',
      access: ADMIN,
      params: nameParams,
      body: z.strictObject({ concurrency: integer(0, CONCURRENCY_MAX) }),
      answers: { 202: acceptedSpec },
      handle: async ({ params, body }) =>
        accepted(
          await ctld.submit({
            kind: 'scale',
            service: params.name,
            concurrency: body.concurrency,
          }),
        ),
    }),
    ...(['stop', 'start', 'restart'] as const).map((kind) =>
      route({
        method: 'POST',
        path: `/v1/services/:name/${kind}`,
        summary: actions[kind],
        access: ADMIN,
        params: nameParams,
        answers: { 202: acceptedSpec },
        handle: async ({ params }) => accepted(await ctld.submit({ kind, service: params.name })),
      }),
    ),
    route({
      method: 'DELETE',
      path: '/v1/services/:name',
      summary: 'Stops all its instances and forgets the service',
      access: ADMIN,
      params: nameParams,
      answers: { 202: acceptedSpec },
      handle: async ({ params }) =>
        accepted(await ctld.submit({ kind: 'remove', service: params.name })),
    }),
  ]
}

function detailOf({ ctld }: ApiContext, name: string): z.input<typeof serviceDetailAnswer> {
  const snapshot = ctld.snapshot()
  const service = found(snapshot.configured_services, (one) => one.name === name, `service ${name}`)
  return {
    service,
    summary: summarize(service, snapshot.instances),
    instances: snapshot.instances.filter((instance) => instance.service === name),
    deployment: snapshot.deployments.find(({ id }) => id === service.deployment) ?? null,
    pending: snapshot.pending.filter((one) => one.service === name),
  }
}

/** Places of problems are those of the request: `/config/image/run`. */
export function checkConfig(data: unknown): ServiceConfig {
  try {
    return checkServiceConfig(data)
  } catch (error) {
    if (!(error instanceof TucanoError)) throw error
    throw faultyConfig(error.problems)
  }
}

async function requireImage({ images }: ApiContext, { image }: ServiceConfig): Promise<void> {
  const where = '/image/digest'
  if (image.digest === undefined) {
    const what = 'missing; upload the packed program to POST /v1/images and give its digest'
    throw faultyConfig([{ where, what }])
  }
  if (await images.has(image.digest)) return
  const what = 'no such image is stored; upload it to POST /v1/images first'
  throw faultyConfig([{ where, what }])
}

function faultyConfig(problems: readonly Problem[]): TucanoError {
  const located = problems.map(({ where, what }) => ({
    where: `/config${where === '/' ? '' : where}`,
    what,
  }))
  return faulty('invalid_config', 'the configuration', located)
}
