// The controller's API: one table of routes behind the shared door. Handlers read a snapshot or
// submit a command; they decide nothing about the cluster.

import type { FastifyInstance } from 'fastify'
import type { ImageStore } from '#ctld/images/image-store.ts'
import type { DataPlane } from '#ctld/ports.ts'
import type { Ctld } from '#ctld/snapshot.ts'
import { machineClock } from '#shared/clock.io.ts'
import { createDoor, type DoorLimits } from '#shared/http-door.io.ts'
import { type Route, route } from '#shared/http-route.ts'
import type { Clock, Ids, Log } from '#shared/ports.ts'
import { balancerRoutes } from './balancer-routes.ts'
import { createChanges } from './changes.ts'
import { clusterRoutes } from './cluster-routes.ts'
import { ADMIN, type ApiContext, ok } from './context.ts'
import { explainRoutes } from './explain-routes.ts'
import { foresightRoutes } from './foresight-routes.ts'
import { historyRoutes } from './history-routes.ts'
import { imageRoutes } from './image-routes.ts'
import { instanceRoutes } from './instance-routes.ts'
import { nodeRoutes } from './node-routes.ts'
import { openApiOf } from './openapi.ts'
import { passThrough } from './pass-through.io.ts'
import { secretRoutes } from './secret-routes.ts'
import { serviceRoutes } from './service-routes.ts'

export type ApiOptions = {
  ctld: Ctld
  images: ImageStore
  adminToken: string
  /** Agents show it to the controller, and the controller to agents. */
  agentToken: string
  log: Log
  /** Version of the program. */
  version: string
  counters: DataPlane['counters']
  inForce: DataPlane['inForce']
  /** false until the controller has loaded its state. */
  isStarted: () => boolean
  clock?: Clock
  ids?: Ids
  limits?: Partial<DoorLimits>
}

/** Builds the API without listening. Throws `invalid_config` for empty or equal tokens. */
export function createApi(options: ApiOptions): FastifyInstance {
  const clock = options.clock ?? machineClock
  const { adminToken, agentToken, ...given } = options
  const { log, isStarted } = given
  const routes = apiRoutes({ ...given, clock, changes: createChanges(given.ctld, clock) })
  const app = createDoor({
    routes,
    tokens: { admin: adminToken, agent: agentToken },
    log,
    clock,
    isStarted,
    ...(options.ids === undefined ? {} : { ids: options.ids }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  passThrough(app, routes, { agentToken, log })
  return app
}

/** The table: what is not in it does not exist. */
export function apiRoutes(context: ApiContext): Route[] {
  const routes: Route[] = [
    ...clusterRoutes(context),
    ...serviceRoutes(context),
    ...explainRoutes(context),
    ...foresightRoutes(context),
    ...historyRoutes(context),
    ...secretRoutes(context),
    ...balancerRoutes(context),
    ...instanceRoutes(context),
    ...nodeRoutes(context),
    ...imageRoutes(context),
    route({
      method: 'GET',
      path: '/v1/openapi.json',
      summary: 'This API as an OpenAPI 3.1 document',
      access: ADMIN,
      answers: { 200: { description: 'The document', type: 'application/json' } },
      handle: () => ok(openApiOf(routes, context.version)),
    }),
  ]
  return routes
}
