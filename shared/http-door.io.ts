// The door of a daemon: fastify set up once for the controller and for the agents. It checks who
// asks, what is asked and how large it is, and turns every failure into problem details with a
// request id. What a route does stands in the table of routes.

import { Transform } from 'node:stream'
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { machineClock } from './clock.io.ts'
import { TucanoError } from './errors.ts'
import {
  createGuard,
  plainAddress,
  refuseDoubleAuthorization,
  refuseTokenInQuery,
  TooManyLogins,
} from './http-guard.ts'
import {
  type Answer,
  ARCHIVE_TYPES,
  check,
  type Input,
  parseBody,
  patternOf,
  type Route,
} from './http-route.ts'
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
  archiveBytesMax: 256 * 1024 * 1024,
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
  }
}

const REQUEST_ID = /^[\w.-]{1,64}$/
const QUIET_LOG_MS = 10_000
const LOG_PEERS_MAX = 1_000
const PARAM_LENGTH_MAX = 2_048

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
  readBodies(app)
  guard(app, options)
  app.setErrorHandler((error, request, reply) => sendProblem(options.log, error, request, reply))
  app.setNotFoundHandler(() => {
    throw new TucanoError('not_found', 'there is no such route')
  })
  addRoutes(app, options.routes, limits)
  return app
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
    peer: plainAddress(request.ip),
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
    const peer = plainAddress(request.ip)
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
    const who = { role: request.role || 'nobody', peer: plainAddress(request.ip) }
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

function refuseOtherBodies(request: FastifyRequest, route: Route): void {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  const length = request.headers['content-length'] ?? '0'
  const empty = length === '0' && request.headers['transfer-encoding'] === undefined
  if (empty || request.method === 'GET' || request.method === 'HEAD') return
  const wanted = route.bodyKind === 'archive' ? ARCHIVE_TYPES : ['application/json']
  if (wanted.includes(type)) return
  throw new TucanoError('unsupported_type', `the body must be ${wanted.join(' or ')}`)
}

function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? undefined : parseBody(String(text)))
    } catch (error) {
      done(error as Error)
    }
  })
  app.addContentTypeParser(ARCHIVE_TYPES, (request, payload, done) => {
    const bytesMax = request.routeOptions.bodyLimit
    const tooLarge = new TucanoError('too_large', `the body is larger than ${bytesMax} bytes`)
    if (Number(request.headers['content-length'] ?? 0) > bytesMax) {
      done(tooLarge)
      return
    }
    let bytes = 0
    const counter = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        bytes += chunk.length
        next(bytes > bytesMax ? tooLarge : null, chunk)
      },
    })
    payload.on('error', (cause) => counter.destroy(cause))
    payload.on('close', () => {
      if (!request.raw.complete) counter.destroy(new TucanoError('invalid_request', 'cut short'))
    })
    done(null, payload.pipe(counter))
  })
}

function bodyOf(route: Route, body: unknown): unknown {
  if (route.bodyKind === 'archive') return body
  if (route.body === undefined) {
    const empty =
      body === undefined ||
      (typeof body === 'object' && body !== null && Object.keys(body).length === 0)
    if (empty) return undefined
    throw new TucanoError('invalid_request', 'this route takes no body')
  }
  if (body === undefined) throw new TucanoError('invalid_request', 'a JSON body is needed')
  return check(route.body, body, 'the body')
}

function addRoutes(app: FastifyInstance, routes: readonly Route[], limits: DoorLimits): void {
  const open = new Set<AbortController>()
  app.addHook('preClose', async () => {
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
        return send(reply, await handle(inputOf(request, route, controller.signal)))
      },
    })
  }
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

function answerBrokenRequest(
  error: Error & { code?: string },
  socket: import('node:net').Socket,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 431
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 408
        : 400
  const problem = problemOf(
    new TucanoError('invalid_request', 'this is not a valid HTTP request'),
    '',
  )
  const body = JSON.stringify({ ...problem, status })
  const head = `HTTP/1.1 ${status} Bad Request\r\nContent-Type: ${PROBLEM_TYPE}\r\n`
  socket.end(
    `${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

const pathOf = (url: string): string => url.split('?')[0] ?? url
