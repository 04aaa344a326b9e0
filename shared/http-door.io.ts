// The door of a daemon: fastify set up once for the controller and for the agents. It checks who
// asks, what is asked and how large it is, and turns every failure into problem details with a
// request id. What a route does stands in the table of routes.

import type { Socket } from 'node:net'
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { IMAGE_BYTES_MAX } from './archive.ts'
import { machineClock } from './clock.io.ts'
import { TucanoError } from './errors.ts'
import { bodyOf, readBodies, refuseOtherBodies } from './http-bodies.io.ts'
import { answerBrokenRequest } from './http-broken.io.ts'
import {
  createGuard,
  plainAddress,
  refuseDoubleAuthorization,
  refuseTokenInQuery,
  TooManyLogins,
} from './http-guard.ts'
import { type Answer, check, type Input, patternOf, type Route } from './http-route.ts'
import { machineIds } from './ids.io.ts'
import type { Clock, Ids, Log } from './ports.ts'
import { PROBLEM_TYPE, problemOf } from './problem.ts'
import { createThrottle } from './throttle.ts'

export type DoorLimits = {
  jsonBytesMax: number
  archiveBytesMax: number
  connectionsMax: number
  /** A connection on which nothing moves is closed. */
  idleMs: number
  headersMs: number
  /** From a request's first to its last byte. */
  requestMs: number
}

export const DOOR_LIMITS: DoorLimits = {
  jsonBytesMax: 1024 * 1024,
  archiveBytesMax: IMAGE_BYTES_MAX,
  connectionsMax: 4_000,
  idleMs: 120_000,
  headersMs: 10_000,
  requestMs: 900_000,
}

export type DoorOptions = {
  routes: readonly Route[]
  /** By role. */
  tokens: Readonly<Record<string, string>>
  log: Log
  clock?: Clock
  ids?: Ids
  limits?: Partial<DoorLimits>
  /** false: the daemon has not started; all routes that are not `always` answer 503. */
  isStarted: () => boolean
}

declare module 'fastify' {
  interface FastifyContextConfig {
    route?: Route
  }
  interface FastifyRequest {
    role: string
    /** Address of the peer, kept: a socket that is gone has forgotten it. */
    peer: string
  }
}

const REQUEST_ID = /^[\w.-]{1,64}$/
const QUIET_LOG_MS = 10_000
const LOG_PEERS_MAX = 1_000
const PARAM_LENGTH_MAX = 2_048
const KEEP_ALIVE_MS = 60_000

/** Routes with `forward` are checked and guarded here; who registers them sends them on. */
export function createDoor(options: DoorOptions): FastifyInstance {
  const limits = { ...DOOR_LIMITS, ...options.limits }
  const ids = options.ids ?? machineIds
  const app = fastify({
    logger: false,
    bodyLimit: limits.jsonBytesMax,
    connectionTimeout: limits.idleMs,
    requestTimeout: limits.requestMs,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
    genReqId: ({ headers }) => {
      const given = headers['x-request-id']
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : ids.next()
    },
    frameworkErrors: (error, request, reply) => sendProblem(options.log, error, request, reply),
    clientErrorHandler: answerBrokenRequest,
  })
  app.server.headersTimeout = limits.headersMs
  app.server.maxConnections = limits.connectionsMax
  app.decorateRequest('role', '')
  app.decorateRequest('peer', '')
  readBodies(app)
  guard(app, options)
  app.setErrorHandler((error, request, reply) => sendProblem(options.log, error, request, reply))
  app.setNotFoundHandler(() => {
    throw new TucanoError('not_found', 'there is no such route')
  })
  addRoutes(app, options.routes, limits)
  return app
}

/**
 * Takes no more requests and lets those under way end within `graceMs`; then it closes whatever is
 * still connected. Node does not count a connection without a request as idle, and waits for it.
 */
export async function closeDoor(app: FastifyInstance, graceMs: number): Promise<void> {
  const timer = setInterval(() => app.server.closeAllConnections(), graceMs)
  try {
    await app.close()
  } finally {
    clearInterval(timer)
  }
}

/** Checked input of a request; throws `invalid_request`. */
export function inputOf(request: FastifyRequest, route: Route, signal: AbortSignal): Input {
  const { params, query, body } = request
  return {
    params: route.params === undefined ? params : check(route.params, params, 'the path'),
    query:
      route.query === undefined ? query : check(route.query, { ...(query as object) }, 'the query'),
    body: bodyOf(route, body),
    headers: request.headers,
    peer: request.peer,
    requestId: request.id,
    signal,
  }
}

/** Sends problem details. Who handles an error logs it: what is no TucanoError is logged here. */
export function sendProblem(
  log: Log,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const known = knownError(error)
  const problem = problemOf(known, request.id)
  if (problem.status >= 500) {
    const fields = { request_id: request.id, method: request.method, url: pathOf(request.url) }
    log.error({ ...fields, err: error }, 'a request failed')
  }
  if (known instanceof TooManyLogins) reply.header('retry-after', String(known.retryAfterSeconds))
  else if (problem.status === 503) reply.header('retry-after', '1')
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="tucano"')
  reply
    .header('x-request-id', request.id)
    .code(problem.status)
    .header('content-type', PROBLEM_TYPE)
    .serializer(JSON.stringify)
    .send(problem)
}

function guard(app: FastifyInstance, options: DoorOptions): void {
  const clock = options.clock ?? machineClock
  const gate = createGuard(options.tokens)
  const paths = options.routes.map(({ path, method }) => ({ pattern: patternOf(path), method }))
  const logged = createThrottle({ max: 1, windowMs: QUIET_LOG_MS, keysMax: LOG_PEERS_MAX })

  const identify = (request: FastifyRequest): string => {
    const { peer } = request
    try {
      return gate.roleOf(request.headers.authorization, peer, clock.now())
    } catch (error) {
      if (request.headers.authorization !== undefined && logged.take(peer, clock.now())) {
        options.log.warn({ peer, url: pathOf(request.url) }, 'refused a wrong token')
      }
      throw error
    }
  }

  app.addHook('onRequest', async (request, reply) => {
    request.peer = plainAddress(request.ip ?? '')
    reply.header('x-request-id', request.id)
    reply.header('cache-control', 'no-store')
    refuseTokenInQuery(request.url)
    refuseDoubleAuthorization(request.raw.rawHeaders)
    const route = request.is404 ? undefined : request.routeOptions.config.route
    if (route?.access !== 'anyone') request.role = identify(request)
    if (route === undefined) throw noRoute(request, reply, paths)
    if (route.access !== 'anyone' && !route.access.includes(request.role)) {
      throw new TucanoError('forbidden', `the ${request.role} token does not open this route`)
    }
    if (route.always !== true && !options.isStarted()) {
      throw new TucanoError('starting', 'the daemon is starting')
    }
    refuseOtherBodies(request, route)
  })

  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.config.route
    if (request.method === 'GET' || request.method === 'HEAD' || route?.quiet === true) return
    const who = { role: request.role || 'nobody', peer: request.peer }
    const what = { method: request.method, url: pathOf(request.url), status: reply.statusCode }
    options.log.info({ ...who, ...what, request_id: request.id }, 'a change was asked for')
  })
}

function noRoute(
  request: FastifyRequest,
  reply: FastifyReply,
  paths: readonly { pattern: RegExp; method: string }[],
): TucanoError {
  const path = pathOf(request.url)
  const methods = paths.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method)
  if (methods.length === 0) return new TucanoError('not_found', 'there is no such route')
  const allow = [...new Set(methods)].sort().join(', ')
  reply.header('allow', allow)
  return new TucanoError('method_not_allowed', `this route takes ${allow}`)
}

function addRoutes(app: FastifyInstance, routes: readonly Route[], limits: DoorLimits): void {
  const open = new Set<AbortController>()
  let isClosing = false
  app.addHook('preClose', async () => {
    isClosing = true
    for (const controller of open) controller.abort()
  })
  for (const route of routes) {
    const { handle } = route
    if (handle === undefined) continue
    const bodyLimit =
      route.bodyBytesMax ??
      (route.bodyKind === 'archive' ? limits.archiveBytesMax : limits.jsonBytesMax)
    app.route({
      method: route.method,
      url: route.path,
      config: { route },
      bodyLimit,
      handler: async (request, reply) => {
        const controller = new AbortController()
        open.add(controller)
        reply.raw.once('close', () => {
          open.delete(controller)
          controller.abort()
        })
        if (route.isEndless === true) letBeQuiet(request.raw.socket)
        const answer = await handle(inputOf(request, route, controller.signal))
        // A connection that is kept alive would hold up the stop.
        if (isClosing) reply.header('connection', 'close')
        return send(reply, answer)
      },
    })
  }
}

/** Only a client that breaks off or is gone ends it. An injected request has no real socket. */
function letBeQuiet(socket: Socket): void {
  socket.setTimeout?.(0)
  socket.setKeepAlive?.(true, KEEP_ALIVE_MS)
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  reply.code(answer.status).headers(answer.headers ?? {})
  if (answer.stream !== undefined) return reply.send(answer.stream)
  return answer.body === undefined ? reply.send() : reply.send(answer.body)
}

/** Fastify's own refusals in our words; anything else that is not ours is a bug. */
function knownError(error: unknown): unknown {
  if (error instanceof TucanoError) return error
  const { statusCode, code } = error as Partial<FastifyError>
  if (statusCode === undefined || statusCode >= 500 || statusCode < 400) return error
  if (statusCode === 413) return new TucanoError('too_large', 'the body is too large')
  if (statusCode === 415)
    return new TucanoError('unsupported_type', 'the body must be application/json')
  if (code === 'FST_ERR_BAD_URL')
    return new TucanoError('invalid_request', 'the path is not a valid URL')
  return new TucanoError('invalid_request', 'the request is not valid')
}

const pathOf = (url: string): string => url.split('?')[0] ?? url
