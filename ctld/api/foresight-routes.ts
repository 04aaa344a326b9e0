// Routes of what would happen: a plan for one configuration, and what if nodes or numbers change.
// Nothing is changed by either.

import { z } from 'zod'
import type { Forecast, Foreseen } from '#ctld/forecast.ts'
import { diffConfig, type KeyChange } from '#shared/config-diff.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import { integer, labels, name } from '#shared/fields.ts'
import { type Route, route } from '#shared/http-route.ts'
import type { Service } from '#shared/model.ts'
import { CONCURRENCY_MAX, serviceSchema } from '#shared/service-schema.ts'
import { pendingAnswer } from './answers.ts'
import { ADMIN, type ApiContext, answer, ok } from './context.ts'
import { checkConfig } from './service-routes.ts'
import { shownConfig } from './shown-config.ts'

/** Nodes, and services, that one simulation is about. */
export const SUPPOSED_MAX = 100

const count = z.int().min(0)
const milliseconds = z.number().min(0)

const kinds = {
  place: 'place',
  retry: 'retry',
  admit: 'admit',
  withdraw: 'withdraw',
  rollout: 'rollout',
  terminate: 'terminate',
  stop: 'stop',
  stop_overdue: 'stop_overdue',
  forget_service: 'forget_service',
} as const satisfies { [Kind in Foreseen['kind']]: Kind }

const foreseenAnswer = z.strictObject({
  afterMs: milliseconds.describe('From now, when every program starts and stops within a second'),
  kind: z.enum(kinds),
  service: z.string(),
  instance: z.string().nullable().describe('new-000001 and so on: one that would be placed'),
  node: z.string().nullable(),
  why: z.string(),
})

const placesAnswer = z.record(z.string(), count)

const outlookAnswer = z.strictObject({
  service: z.string(),
  wanted: count,
  before: placesAnswer.describe('Instances by node'),
  after: placesAnswer,
  serving: count.describe('How many of those after serve'),
})

const forecastShape = {
  actions: z.array(foreseenAnswer).describe('In the order in which they would be taken'),
  pending: z.array(pendingAnswer).describe('What stays without a place, and why'),
  lastsMs: milliseconds,
  cutBy: z.enum(['actions', 'turns', 'time']).nullable().describe('The bound that ended it early'),
  frozen: z.boolean().describe('More than half of the nodes vanished at once: nothing is moved'),
  services: z.array(outlookAnswer).describe('Those that something happens to'),
}

export const forecastAnswer = z.strictObject(forecastShape)

export const changeAnswer = z.strictObject({
  key: z.string(),
  before: z.unknown().optional(),
  after: z.unknown().optional(),
})

export const planAnswer = z.strictObject({
  service: z.string(),
  was: count.nullable().describe('Its revision now; null: it is new'),
  revision: count.describe('The revision that it would have'),
  changes: z.array(changeAnswer).describe('Key by key, against the declared configuration'),
  image: z.enum(['stored', 'to_upload', 'unknown']),
  ...forecastShape,
})

const simulation = z.strictObject({
  kill: z.array(name()).min(1).max(SUPPOSED_MAX).optional().describe('Workers that die at once'),
  add: z
    .array(z.strictObject({ name: name(), labels: labels().optional() }))
    .min(1)
    .max(SUPPOSED_MAX)
    .optional()
    .describe('Workers that join, each like the first one that is alive'),
  scale: z.record(name(), integer(0, CONCURRENCY_MAX)).optional().describe('By service'),
  drain: z.array(name()).min(1).max(SUPPOSED_MAX).optional().describe('Workers that are drained'),
})

export function foresightRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  return [
    route({
      method: 'POST',
      path: '/v1/plan',
      summary: 'What a deploy would change and do, in order; nothing is done',
      access: ADMIN,
      body: z.strictObject({ config: z.unknown() }),
      bodyShape: z.strictObject({ config: serviceSchema }),
      answers: { 200: answer('The plan', planAnswer) },
      handle: async ({ body }) => ok(await planOf(context, checkConfig(body.config))),
    }),
    route({
      method: 'POST',
      path: '/v1/simulate',
      summary: 'What would happen if nodes died, joined or were drained, or services were scaled',
      access: ADMIN,
      body: simulation,
      answers: { 200: answer('What would happen', forecastAnswer) },
      handle: async ({ body }) => ok(await simulate(ctld, body)),
    }),
  ]
}

async function planOf(
  { ctld, images }: ApiContext,
  config: ServiceConfig,
): Promise<z.input<typeof planAnswer>> {
  const forecast = await ctld.foresee({ commands: [{ kind: 'deploy', config }] })
  const was = ctld.snapshot().configured_services.find(({ name }) => name === config.name)
  const declared = was?.revisions.find(({ revision }) => revision === was.revision)
  const newest = ctld.snapshot().secrets.map(({ name, version }) => [name, version] as const)
  const { digest } = config.image
  const image =
    digest === undefined ? 'unknown' : (await images.has(digest)) ? 'stored' : 'to_upload'
  const changes = diffConfig(
    shownConfig(was?.config, declared?.secrets),
    shownConfig(config, Object.fromEntries(newest)),
  )
  return {
    service: config.name,
    was: was?.revision ?? null,
    revision: revisionAfter(was, changes),
    changes,
    image,
    ...forecast,
  }
}

function revisionAfter(was: Service | undefined, changes: readonly KeyChange[]): number {
  if (was === undefined) return 1
  if (changes.length === 0) return was.revision
  return Math.max(...was.revisions.map(({ revision }) => revision), was.revision) + 1
}

async function simulate(
  ctld: ApiContext['ctld'],
  { kill = [], add = [], scale = {}, drain = [] }: z.output<typeof simulation>,
): Promise<Forecast> {
  const scales = Object.entries(scale)
  if (scales.length > SUPPOSED_MAX) {
    throw new TucanoError('invalid_request', `scale: at most ${SUPPOSED_MAX} services`)
  }
  return ctld.foresee({
    kill,
    add: add.map((node) => ({ name: node.name, labels: node.labels ?? {} })),
    commands: [
      ...scales.map(([service, concurrency]) => ({ kind: 'scale', service, concurrency }) as const),
      ...drain.map((node) => ({ kind: 'drain', node }) as const),
    ],
  })
}
