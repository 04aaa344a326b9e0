// Sends requests on to an agent's API, by @fastify/http-proxy. The agent gets the controller's
// token and none of the client's headers but the few named here; its answer comes back without
// headers that concern the connection. Nothing is tried twice.

import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { agentFailure } from '#ctld/agent-failure.ts'
import { TucanoError } from '#shared/errors.ts'
import { inputOf, sendProblem } from '#shared/http-door.io.ts'
import type { Forward, Route } from '#shared/http-route.ts'
import type { Log } from '#shared/ports.ts'

export const FORWARDED_MAX = 200
const CONNECT_MS = 3_000
const HEADERS_MS = 10_000
const passedOn = ['accept', 'accept-encoding', 'range', 'if-none-match']
const passedBack = [
  'content-type',
  'content-length',
  'content-encoding',
  'content-range',
  'accept-ranges',
  'etag',
  'last-modified',
]

declare module 'fastify' {
  interface FastifyRequest {
    forward: Forward | null
  }
}

type Headers = Record<string, string | string[] | undefined>
type Options = { agentToken: string; log: Log }

export function passThrough(
  app: FastifyInstance,
  routes: readonly Route[],
  options: Options,
): void {
  app.decorateRequest('forward', null)
  const streams = new Set<Readable>()
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.destroy()
  })
  const replyOptions = {
    // Without it a 503 of the agent would be asked for again, up to ten times.
    retryDelay: () => null,
    getUpstream: (request: FastifyRequest) => forwardOf(request).origin,
    rewriteRequestHeaders: (request: FastifyRequest, headers: Headers) => ({
      ...pick(headers, passedOn),
      host: headers.host,
      authorization: `Bearer ${options.agentToken}`,
      'x-request-id': request.id,
    }),
    rewriteHeaders: (headers: Headers) => pick(headers, passedBack),
    ...answers(options.log, streams),
  }
  const admit = createGate()
  for (const route of routes) {
    const { forward } = route
    if (forward === undefined) continue
    app.register(httpProxy, {
      upstream: '',
      routes: [route.path],
      httpMethods: [route.method],
      config: { route },
      proxyPayloads: false,
      disableRequestLogging: true,
      destroyAgent: true,
      undici: { connect: { timeout: CONNECT_MS }, headersTimeout: HEADERS_MS, bodyTimeout: 0 },
      preHandler: (request, reply, done) => {
        const asked = request as unknown as FastifyRequest
        const { signal } = new AbortController()
        asked.forward = forward(inputOf(asked, route, signal))
        admit(reply.raw)
        // A log that is followed may be quiet for long.
        asked.raw.socket.setTimeout?.(0)
        done()
      },
      handler: (request, reply, _path, hooks) =>
        reply.from(forwardOf(request as unknown as FastifyRequest).path, hooks),
      // Its types are those of a server that may be anything; ours speaks HTTP/1.
      replyOptions: replyOptions as never,
    })
  }
}

/** What becomes of the agent's answer, or of its silence. */
function answers(log: Log, streams: Set<Readable>) {
  return {
    onResponse(
      request: FastifyRequest,
      reply: FastifyReply,
      { statusCode, stream }: { statusCode: number; stream: Readable },
    ): void {
      if (statusCode !== 401 && statusCode !== 403) {
        streams.add(stream)
        stream.once('close', () => streams.delete(stream))
        reply.send(stream)
        return
      }
      // The client's own token was right: it must not read this as its own refusal.
      stream.destroy()
      for (const name of passedBack) reply.removeHeader(name)
      const words = `${forwardOf(request).peer} refused the controller's token`
      sendProblem(log, new TucanoError('agent_failed', words), request, reply)
    },
    onError(reply: FastifyReply, { error }: { error: Error }): void {
      const failure = agentFailure(forwardOf(reply.request).peer, error)
      sendProblem(log, failure, reply.request, reply)
    },
  }
}

/** Counts the answers that are under way; throws `unavailable` beyond FORWARDED_MAX. */
function createGate(): (answer: ServerResponse) => void {
  let open = 0
  return (answer) => {
    if (open >= FORWARDED_MAX) {
      throw new TucanoError('unavailable', 'too many requests are passed to agents')
    }
    open += 1
    answer.once('close', () => {
      open -= 1
    })
  }
}

function forwardOf(request: FastifyRequest): Forward {
  if (request.forward === null) throw new Error('a request is passed on before it was checked')
  return request.forward
}

function pick(headers: Headers, names: readonly string[]): Headers {
  return Object.fromEntries(
    names.filter((name) => headers[name] !== undefined).map((name) => [name, headers[name]]),
  )
}
