// Routes of the whole: runtime information (M50–M54), events, alerts, configuration (Q13, S30),
// version and health.

import { z } from 'zod'
import { DOCUMENT_BYTES_MAX } from '#shared/document.ts'
import { TucanoError } from '#shared/errors.ts'
import { type Answer, type Input, type Route, route } from '#shared/http-route.ts'
import {
  activeServiceAnswer,
  configAnswer,
  configMarkAnswer,
  configVersionAnswer,
  eventAnswer,
  incidentAnswer,
  waitingMailAnswer,
} from './answers.ts'
import { ADMIN, type ApiContext, answer, digits, found, ok, onceRouted, wait } from './context.ts'
import { createEventStreams, type EventStreams } from './event-stream.ts'
import { nodeAnswer } from './node-answers.ts'
import { serviceAnswer } from './service-answers.ts'

export const EVENTS_MAX = 1_000
export const EVENTS_DEFAULT = 100

const runtimeAnswer = z.strictObject({
  alive_nodes: z.array(nodeAnswer),
  dead_nodes: z.array(nodeAnswer),
  configured_services: z.array(serviceAnswer),
  active_services: z.array(activeServiceAnswer),
})
const eventsAnswer = z.strictObject({ events: z.array(eventAnswer), cursor: z.int() })
const cursor = digits(0, Number.MAX_SAFE_INTEGER)
const eventsQuery = z.strictObject({
  after: cursor.optional().describe('Cursor of the last event known; absent: from the first'),
  limit: digits(1, EVENTS_MAX).optional(),
  wait,
})
type EventsQuery = z.output<typeof eventsQuery>

export function clusterRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  const streams = createEventStreams(context)
  return [
    ...healthRoutes(context),
    route({
      method: 'GET',
      path: '/v1/runtime',
      summary: 'What the controller knows at run time, under the names of its specification',
      access: ADMIN,
      answers: { 200: answer('Runtime information', runtimeAnswer) },
      handle() {
        const { alive_nodes, dead_nodes, configured_services, active_services } = ctld.snapshot()
        return ok({ alive_nodes, dead_nodes, configured_services, active_services })
      },
    }),
    route({
      method: 'GET',
      path: '/v1/events',
      summary: 'History after a cursor: a page, a long poll, or a stream (text/event-stream)',
      access: ADMIN,
      query: eventsQuery,
      headers: ['accept', 'last-event-id'],
      answers: { 200: { ...answer('Events', eventsAnswer), alsoType: 'text/event-stream' } },
      handle: (input) =>
        /\btext\/event-stream\b/.test(String(input.headers.accept))
          ? streamOf(streams, input)
          : pageOf(context, input),
    }),
    route({
      method: 'GET',
      path: '/v1/alerts',
      summary: 'Incidents, and the mails that wait to be sent',
      access: ADMIN,
      answers: {
        200: answer(
          'Incidents',
          z.strictObject({
            incidents: z.array(incidentAnswer),
            outbox: z.int().min(0),
            waiting: z.array(waitingMailAnswer),
          }),
        ),
      },
      handle() {
        const { incidents, outbox, waiting } = ctld.snapshot()
        return ok({ incidents, outbox, waiting })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/alerts/test',
      summary: 'Puts a test mail into the outbox',
      access: ADMIN,
      answers: { 202: answer('In the outbox', z.strictObject({ mail_id: z.string() })) },
      async handle() {
        const { mail } = await ctld.submit({ kind: 'test_alert' })
        if (mail === undefined) throw new Error('a test alert has no mail')
        return { status: 202, body: { mail_id: mail.id } }
      },
    }),
    ...configRoutes(context),
  ]
}

function healthRoutes({ ctld, isStarted, version }: ApiContext): Route[] {
  const healthAnswer = z.strictObject({
    status: z.enum(['ok', 'degraded']),
    reason: z.string().optional(),
  })
  return [
    route({
      method: 'GET',
      path: '/healthz',
      summary: 'Whether the process answers',
      access: 'anyone',
      always: true,
      answers: { 200: answer('It answers', healthAnswer) },
      handle() {
        const reason = isStarted() ? ctld.snapshot().degraded : 'starting'
        return ok(reason === null ? { status: 'ok' } : { status: 'degraded', reason })
      },
    }),
    route({
      method: 'GET',
      path: '/readyz',
      summary: 'Whether the controller has started',
      access: 'anyone',
      always: true,
      answers: { 200: answer('Started', z.strictObject({ status: z.literal('ready') })) },
      handle() {
        if (!isStarted()) throw new TucanoError('starting', 'the controller is starting')
        return ok({ status: 'ready' })
      },
    }),
    route({
      method: 'GET',
      path: '/v1/version',
      summary: 'Version of the controller',
      access: ADMIN,
      answers: {
        200: answer(
          'Version',
          z.strictObject({ name: z.literal('tucano'), version: z.string(), epoch: z.int() }),
        ),
      },
      handle: () => ok({ name: 'tucano', version, epoch: ctld.snapshot().epoch }),
    }),
  ]
}

function configRoutes({ ctld }: ApiContext): Route[] {
  const versionParams = z.strictObject({ version: digits(0, Number.MAX_SAFE_INTEGER) })
  return [
    route({
      method: 'GET',
      path: '/v1/config',
      summary: "The controller's configuration in force, and the versions before it",
      access: ADMIN,
      answers: { 200: answer('The configuration', configAnswer) },
      handle() {
        const { config, configHistory } = ctld.snapshot()
        const history = configHistory.map((one) => configMarkAnswer.strip().parse(one))
        return ok({ ...config, history })
      },
    }),
    route({
      method: 'GET',
      path: '/v1/config/:version',
      summary: 'One version of the configuration',
      access: ADMIN,
      params: versionParams,
      answers: { 200: answer('The version', configVersionAnswer) },
      handle({ params }) {
        const { config, configHistory } = ctld.snapshot()
        const isIt = ({ version }: { version: number }) => version === params.version
        return ok(found([config, ...configHistory], isIt, `version ${params.version}`))
      },
    }),
    route({
      method: 'PUT',
      path: '/v1/config',
      summary: 'Puts a new configuration in force; `version` is the one it was made from',
      access: ADMIN,
      body: z.strictObject({
        version: z.int().min(0),
        text: z.string().max(DOCUMENT_BYTES_MAX),
      }),
      answers: {
        200: answer(
          'In force',
          z.strictObject({ version: z.int(), restart_required: z.array(z.string()) }),
        ),
      },
      async handle({ body }) {
        const { config } = await ctld.submit({ kind: 'put_config', ...body, by: 'api' })
        if (config === undefined) throw new Error('a change of the configuration has no version')
        return ok(config)
      },
    }),
  ]
}

async function pageOf(
  context: ApiContext,
  { query, signal }: Input<unknown, EventsQuery>,
): Promise<Answer> {
  const { ctld, changes } = context
  const after = query.after ?? 0
  const isNews = () => (ctld.snapshot().lastEventCursor > after ? true : undefined)
  await changes.until(isNews, query.wait ?? 0, signal)
  const events = await onceRouted(context, await ctld.events(after, query.limit ?? EVENTS_DEFAULT))
  // After a restore the history may end before the client's cursor: it goes on from that end.
  const last = events.at(-1)?.cursor ?? Math.min(after, ctld.snapshot().lastEventCursor)
  return ok({ events, cursor: last })
}

function streamOf(
  streams: EventStreams,
  { query, headers, signal }: Input<unknown, EventsQuery>,
): Answer {
  const given = headers['last-event-id']
  const last = given === undefined ? undefined : cursor.safeParse(given)
  if (last?.success === false) {
    throw new TucanoError('invalid_request', 'Last-Event-ID is not a cursor')
  }
  return {
    status: 200,
    headers: {
      'content-type': 'text/event-stream',
      'x-accel-buffering': 'no',
      // Nothing follows a stream on its connection; kept alive it would hold up a stop.
      connection: 'close',
    },
    stream: streams.open(last?.data ?? query.after ?? 0, signal),
  }
}
