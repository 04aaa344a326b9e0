// The engine that Tucano had before its own: @fastify/http-proxy with an exchange of ours for its
// upstream, undici to the programs, no limit of connections and one request at a time on each.
// It is kept to compare with; what the product decided around it is left away.

import { createServer, IncomingMessage, METHODS, type ServerResponse } from 'node:http'
import httpProxy from '@fastify/http-proxy'
import { fastify, LogController } from 'fastify'
import { destination, pino } from 'pino'
import { Pool } from 'undici'
import { FormerExchange, openTunnel } from './former-exchange.ts'
import { proxyArguments } from './proxy-arguments.ts'

const EXCHANGE = Symbol('exchange')
const LOG_BUFFER_BYTES = 16_000
const KEEP_ALIVE_MS = 60_000

class ClientRequest extends IncomingMessage {
  exchange: FormerExchange | undefined
}

const { port, origins, accessLog } = proxyArguments()
const upstreams = origins.map((each) => ({
  port: each,
  pool: new Pool(`http://127.0.0.1:${each}`, {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
  }),
}))
const logFile =
  accessLog === null
    ? undefined
    : destination({ dest: accessLog, sync: false, minLength: LOG_BUFFER_BYTES })
const log = logFile && pino(logFile)
let turn = 0

function nextUpstream() {
  turn = (turn + 1) % upstreams.length
  return upstreams[turn] as (typeof upstreams)[number]
}

type Requested = { headers: { [EXCHANGE]: FormerExchange } }
type Answered = (failed: Error | null, answer?: object) => void

// The plug-in wants a status and headers; both are in the exchange, which writes them.
function startExchange({ headers }: Requested, callback: Answered): void {
  headers[EXCHANGE].start((failed) => {
    if (failed === null) callback(null, { statusCode: 200, headers: {}, body: { destroy() {} } })
    else callback(failed)
  })
}

function exchangeOf(request: { raw: unknown }): FormerExchange {
  return (request.raw as ClientRequest).exchange as FormerExchange
}

const app = fastify({
  logger: false,
  logController: new LogController({ disableRequestLogging: true }),
})
const methods = METHODS.filter((method) => method !== 'CONNECT')
for (const method of methods) {
  app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
}
await app.register(httpProxy, {
  upstream: '',
  httpMethods: methods,
  undici: { request: startExchange } as never,
  disableRequestLogging: true,
  handler: (_request, reply, _destination, options) => {
    reply.from('/', options)
  },
  replyOptions: {
    getUpstream: () => 'http://instance.invalid',
    rewriteRequestHeaders: (request) => ({ [EXCHANGE]: exchangeOf(request) }),
    retryDelay: () => null,
    onResponse: (request, reply) => {
      reply.hijack()
      exchangeOf(request).deliver()
    },
    onError: (reply) => {
      reply.hijack()
      exchangeOf(reply.request).refuse()
    },
  },
})
await app.ready()

function serve(request: ClientRequest, response: ServerResponse): void {
  const at = performance.now()
  const { method, url } = request
  if (log !== undefined) {
    response.once('finish', () => {
      const ms = performance.now() - at
      log.info({ method, url, ip: request.socket.remoteAddress, status: response.statusCode, ms })
    })
  }
  request.exchange = new FormerExchange(request, response, nextUpstream().pool)
  request.url = '/'
  app.routing(request, response)
}

const server = createServer({
  IncomingMessage: ClientRequest,
  keepAliveTimeout: KEEP_ALIVE_MS,
  requestTimeout: 0,
  noDelay: true,
})
server.on('request', serve)
server.on('upgrade', (request, socket) => openTunnel(request, socket, nextUpstream().port))
server.listen({ host: '127.0.0.1', port })
process.on('SIGTERM', () => {
  logFile?.flushSync()
  process.exit()
})
