// Sends requests on to an agent's API, by @fastify/http-proxy. The agent gets the controller's
// token and none of the client's headers but the few named here; its answer comes back without
// headers that concern the connection. Nothing is tried twice.

import type { Readable } from 'node:stream'
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TucanoError } from '#shared/errors.ts'
import { inputOf, sendProblem } from '#shared/http-door.io.ts'
import type { Forward, Route } from '#shared/http-route.ts'
import type { Log } from '#shared/ports.ts'
import { agentFailure } from './agent-failure.ts'

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

export function passThrough(
  app: FastifyInstance,
  routes: readonly Route[],
  options: { agentToken: string; log: Log },
): void {
  app.decorateRequest('forward', null)
  let open = 0
  const streams = new Set<Readable>()
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.destroy()
  })
  const replyOptions = {
    // Without it a 503 of the agent would be asked for again, up to ten times.
    retryDelay: () => null,
    getUpstream: (request: unknown) => forwardOf(request as FastifyRequest).origin,
    rewriteRequestHeaders: (request: unknown, headers: Headers) => ({
      ...pick(headers, passedOn),
      host: headers.host,
      authorization: `Bearer ${options.agentToken}`,
      'x-request-id': (request as FastifyRequest).id,
    }),
    rewriteHeaders: (headers: Headers) => pick(headers, passedBack),
    onResponse: (request: unknown, reply: unknown, response: unknown) => {
      const { statusCode, stream } = response as { statusCode: number; stream: Readable }
      const asked = request as FastifyRequest
      const answer = reply as Parameters<typeof sendProblem>[3]
      if (statusCode !== 401 && statusCode !== 403) {
        streams.add(stream)
        stream.once('close', () => streams.delete(stream))
        answer.send(stream)
        return
      }
      // The client's own token was right: it must not read this as its own refusal.
      stream.destroy()
      const words = `${forwardOf(asked).peer} refused the controller's token`
      for (const name of passedBack) answer.removeHeader(name)
      sendProblem(options.log, new TucanoError('agent_failed', words), asked, answer)
    },
    onError: (reply: unknown, { error }: { error: Error }) => {
      const answer = reply as Parameters<typeof sendProblem>[3]
      const failure = agentFailure(forwardOf(answer.request).peer, error)
      sendProblem(options.log, failure, answer.request, answer)
    },
  }

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
        asked.forward = forward(inputOf(asked, route, new AbortController().signal))
        if (open >= FORWARDED_MAX) {
          throw new TucanoError('unavailable', 'too many requests are passed to agents')
        }
        open += 1
        reply.raw.once('close', () => {
          open -= 1
        })
        // A log that is followed may be quiet for long.
        asked.raw.socket.setTimeout?.(0)
        done()
      },
      handler: (request, reply, _path, hooks) =>
        reply.from(forwardOf(request as unknown as FastifyRequest).path, hooks),
      replyOptions: replyOptions as never,
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
