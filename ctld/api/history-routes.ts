// Routes of a service's past: its revisions and deployments, what differs between two revisions,
// and the way back to one of them.

import { z } from 'zod'
import { isFinal } from '#ctld/instance.ts'
import { diffConfig } from '#shared/config-diff.ts'
import { type Route, route } from '#shared/http-route.ts'
import type { Instance, Service, ServiceRevision } from '#shared/model.ts'
import {
  ADMIN,
  type ApiContext,
  accepted,
  acceptedSpec,
  answer,
  digits,
  found,
  nameParams,
  ok,
  onceRouted,
} from './context.ts'
import { changeAnswer } from './foresight-routes.ts'
import { deploymentAnswer } from './service-answers.ts'
import { shownRevision } from './shown-config.ts'

const REVISION_MAX = Number.MAX_SAFE_INTEGER
const revision = z.int().min(1)

const historyAnswer = z.strictObject({
  service: z.string(),
  revision: revision.describe('The declared one'),
  goodRevision: revision
    .nullable()
    .describe('The last one that came to a good end; null: none did'),
  revisions: z
    .array(
      z.strictObject({
        revision,
        program: revision.describe('The revision at which its program appeared'),
        at: z.number().describe('Milliseconds since 1970'),
        worked: z.boolean().describe('A deployment of it came to a good end once'),
        instances: z.int().min(0).describe('How many run it, or are to'),
        changed: z
          .array(z.string())
          .nullable()
          .describe('Keys that differ from the one before it in this list; null: none is before'),
      }),
    )
    .describe('Those that are kept, oldest first'),
  deployments: z.array(deploymentAnswer).describe('Newest first'),
})

const diffAnswer = z.strictObject({
  service: z.string(),
  from: revision,
  to: revision,
  changes: z.array(changeAnswer).describe('Key by key'),
})

const diffQuery = z.strictObject({
  from: digits(1, REVISION_MAX).optional().describe('Absent: the one kept before `to`'),
  to: digits(1, REVISION_MAX).optional().describe('Absent: the declared one'),
})

export function historyRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  return [
    route({
      method: 'GET',
      path: '/v1/services/:name/history',
      summary: 'Its revisions that are kept, and its deployments with their receipts',
      access: ADMIN,
      params: nameParams,
      answers: { 200: answer('The history', historyAnswer) },
      handle: async ({ params }) => ok(await onceRouted(context, historyOf(context, params.name))),
    }),
    route({
      method: 'GET',
      path: '/v1/services/:name/diff',
      summary: 'What differs between two of its revisions, key by key',
      access: ADMIN,
      params: nameParams,
      query: diffQuery,
      answers: { 200: answer('The differences', diffAnswer) },
      handle: ({ params, query }) => ok(diffOf(serviceOf(context, params.name), query)),
    }),
    route({
      method: 'POST',
      path: '/v1/services/:name/rollback',
      summary: 'Goes back to a former revision as a whole; without one to the last that worked',
      access: ADMIN,
      params: nameParams,
      body: z.strictObject({ revision: revision.optional() }).prefault({}),
      answers: { 202: acceptedSpec },
      handle: async ({ params, body }) =>
        accepted(
          await ctld.submit({
            kind: 'rollback',
            service: params.name,
            ...(body.revision === undefined ? {} : { revision: body.revision }),
          }),
        ),
    }),
  ]
}

function serviceOf({ ctld }: ApiContext, name: string): Service {
  const { configured_services } = ctld.snapshot()
  return found(configured_services, (one) => one.name === name, `service ${name}`)
}

function historyOf(context: ApiContext, name: string): z.input<typeof historyAnswer> {
  const service = serviceOf(context, name)
  const { instances, deployments } = context.ctld.snapshot()
  const live = instances.filter((one) => one.service === name && !isFinal(one))
  return {
    service: name,
    revision: service.revision,
    goodRevision: service.goodRevision ?? null,
    revisions: service.revisions.map((entry, index) =>
      revisionOf(entry, service.revisions[index - 1], live),
    ),
    deployments: deployments.filter((one) => one.service === name).toReversed(),
  }
}

function revisionOf(
  entry: ServiceRevision,
  before: ServiceRevision | undefined,
  live: readonly Instance[],
) {
  const { revision, program, at, worked } = entry
  const changes = before && diffConfig(shownRevision(before), shownRevision(entry))
  return {
    revision,
    program,
    at,
    worked: worked === true,
    instances: live.filter((instance) => instance.revision === revision).length,
    changed: changes?.map(({ key }) => key) ?? null,
  }
}

function diffOf(service: Service, asked: z.output<typeof diffQuery>): z.input<typeof diffAnswer> {
  const { name, revisions } = service
  const of = (number: number) =>
    found(
      revisions,
      (one) => one.revision === number,
      `revision ${number} of ${name}; see tucano history ${name}`,
    )
  const to = of(asked.to ?? service.revision)
  const before = revisions.findLast((one) => one.revision < to.revision) ?? to
  const from = asked.from === undefined ? before : of(asked.from)
  const changes = diffConfig(shownRevision(from), shownRevision(to))
  return { service: name, from: from.revision, to: to.revision, changes }
}
