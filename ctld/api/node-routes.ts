// Routes of nodes, and the one that agents report to (M13, M32, Q15).

import { z } from 'zod'
import { TucanoError } from '#shared/errors.ts'
import { plainAddress } from '#shared/http-guard.ts'
import { type Route, route } from '#shared/http-route.ts'
import { createThrottle } from '#shared/throttle.ts'
import { ackSchema, type Report, reportSchema, WIRE_BODY_BYTES_MAX } from '#shared/wire.ts'
import { ADMIN, AGENT, type ApiContext, answer, nameParams, nodeOf, ok } from './context.ts'
import { moveRoutes } from './move-routes.ts'
import { frozenAnswer, nodeAnswer, spareAnswer } from './node-answers.ts'

const REFUSAL_LOG_MS = 10_000
const REFUSED_PEERS_MAX = 1_000

const nodesAnswer = z.strictObject({
  nodes: z.array(nodeAnswer),
  frozen: frozenAnswer,
  spare: spareAnswer.describe('Whether the loss of any one worker would leave something unplaced'),
})

export function nodeRoutes(context: ApiContext): Route[] {
  const { ctld } = context
  return [
    route({
      method: 'GET',
      path: '/v1/nodes',
      summary: 'All workers, in the order of the topology, with state and metrics',
      access: ADMIN,
      answers: {
        200: answer('Nodes', nodesAnswer),
      },
      handle() {
        const { nodes, frozen, spare } = ctld.snapshot()
        return ok({ nodes, frozen, spare })
      },
    }),
    route({
      method: 'GET',
      path: '/v1/nodes/:name',
      summary: 'One worker',
      access: ADMIN,
      params: nameParams,
      answers: { 200: answer('The node', nodeAnswer) },
      handle: ({ params }) => ok(nodeOf(ctld.snapshot(), params.name)),
    }),
    ...moveRoutes(context),
    route({
      method: 'POST',
      path: '/v1/unfreeze',
      summary: 'Says that the nodes that vanished together are really gone: their instances move',
      access: ADMIN,
      answers: { 200: answer('The freeze that is left', z.strictObject({ frozen: frozenAnswer })) },
      async handle() {
        await ctld.submit({ kind: 'unfreeze' })
        return ok({ frozen: ctld.snapshot().frozen })
      },
    }),
    reportRoute(context),
  ]
}

function reportRoute({ ctld, clock, log }: ApiContext): Route {
  const logged = createThrottle({ max: 1, windowMs: REFUSAL_LOG_MS, keysMax: REFUSED_PEERS_MAX })
  return route({
    method: 'POST',
    path: '/v1/agents/:name/report',
    summary: "An agent's metrics and the status of its instances",
    access: AGENT,
    quiet: true,
    params: nameParams,
    body: reportSchema,
    bodyBytesMax: WIRE_BODY_BYTES_MAX,
    answers: { 200: answer('What the agent is to obey', ackSchema) },
    async handle({ params, body, peer }) {
      const why = refusal(ctld, params.name, body, peer)
      if (why === undefined) return ok(await ctld.report(body))
      if (logged.take(peer, clock.now())) {
        log.warn({ peer, node: params.name, why }, 'refused a report')
      }
      throw new TucanoError('forbidden', why)
    },
  })
}

/** M50: only a worker of the topology is heard, and only from its own address. */
function refusal(
  ctld: ApiContext['ctld'],
  name: string,
  report: Report,
  peer: string,
): string | undefined {
  if (report.node !== name) return `a report of ${report.node} came to the route of ${name}`
  const machine = ctld.snapshot().topology.find((one) => one.name === name)
  if (machine === undefined) return `${name} is not in the topology`
  if (machine.kind !== 'worker') return `${name} is not a worker`
  if (plainAddress(machine.ip) === peer) return undefined
  return `${name} is ${machine.ip} in the topology, but its report came from ${peer}`
}
