// @fastify/http-proxy, with an exchange for its upstream. The plug-in normalises and rebuilds the
// address several times on its way; it is given `/`, and the exchange sends the address as it came.
// Its own second tries are off (a 503 would reach the program eleven times), and so is fastify's
// reading of bodies: with every method declared without one, no media type is parsed or refused.

import { METHODS, type ServerResponse } from 'node:http'
import httpProxy from '@fastify/http-proxy'
import { fastify, LogController } from 'fastify'
import type { Exchange } from './exchange.io.ts'
import type { ClientRequest } from './listener.io.ts'
import { METHODS_REFUSED } from './read-head.ts'

const EXCHANGE = Symbol('exchange')

export type PlugIn = {
  forward(request: ClientRequest, response: ServerResponse, exchange: Exchange): void
  close(): Promise<void>
}

export async function createPlugIn(): Promise<PlugIn> {
  const app = fastify({
    logger: false,
    logController: new LogController({ disableRequestLogging: true }),
  })
  const methods = METHODS.filter((method) => !METHODS_REFUSED.includes(method))
  for (const method of methods) {
    app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
  }
  await app.register(httpProxy, {
    upstream: '',
    httpMethods: methods,
    undici: { request: startExchange } as never,
    disableRequestLogging: true,
    // Without a promise of a reply: the exchange answers on the raw response.
    handler: (_request, reply, _destination, options) => {
      reply.from('/', options)
    },
    replyOptions: {
      getUpstream: () => 'http://instance.invalid',
      rewriteRequestHeaders: (request) => ({
        [EXCHANGE]: (request.raw as ClientRequest).exchange,
      }),
      retryDelay: () => null,
      onResponse: (request, reply) => {
        reply.hijack()
        exchangeOf(request.raw as ClientRequest).deliver()
      },
      onError: (reply) => {
        reply.hijack()
        exchangeOf(reply.request.raw as ClientRequest).refuse()
      },
    },
  })
  await app.ready()
  return {
    forward(request, response, exchange) {
      request.exchange = exchange
      request.url = '/'
      app.routing(request, response)
    },
    close: () => app.close(),
  }
}

type Requested = { headers: { [EXCHANGE]: Exchange } }
type Answered = (failed: Error | null, answer?: object) => void

// The plug-in wants a status and headers; both are already in the exchange, which writes them.
const answered = { statusCode: 200, headers: {}, body: { destroy() {} } }

function startExchange({ headers }: Requested, callback: Answered): void {
  headers[EXCHANGE].start((failed) => {
    if (failed === null) callback(null, { ...answered, headers: {} })
    else callback(failed)
  })
}

function exchangeOf(request: ClientRequest): Exchange {
  return request.exchange as Exchange
}
