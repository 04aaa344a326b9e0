// Runs one HTTP service: reads PORT and HOST, says when it listens, stops without losing a
// request. Each sample service carries its own copy of this file, because a service is a folder
// that works wherever it is unpacked; a test keeps the copies equal.

import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'

/** Longer than a balancer keeps an idle connection, so that it is never the service that closes. */
const KEEP_ALIVE_MS = 75_000

/** Listens on HOST:PORT until SIGINT or SIGTERM; a wrong PORT ends the process with code 1. */
export function serve(name: string, handle: RequestListener): Server {
  const port = readPort(name)
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS })
  const stop = prepareStop(name, server)
  server.on('request', handle)
  server.on('error', (error) => fail(name, error.message))
  server.listen(port, process.env.HOST || '127.0.0.1', () => {
    console.log(`${name} listens: pid ${process.pid}, port ${portOf(server)}`)
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop(signal))
  return server
}

/** Answers with a text or a page, and its length, so that the connection can be used again. */
export function reply(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

/** The header's value; none or an empty one: `no <name>`. */
export function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name.toLowerCase()]
  return value === undefined || value === '' ? `no ${name}` : String(value)
}

/**
 * Whoever has a request open is answered, on a connection that then closes; the others are closed
 * at once. They are counted here, because Node takes a connection that was opened and not yet
 * used for busy and would wait a minute for it.
 */
function prepareStop(name: string, server: Server): (signal: string) => void {
  const open = new Map<Socket, Set<ServerResponse>>()
  let stopping = false
  server.on('connection', (socket) => {
    open.set(socket, new Set())
    socket.once('close', () => open.delete(socket))
  })
  server.on('request', ({ socket }, response) => {
    open.get(socket)?.add(response)
    if (stopping) response.setHeader('connection', 'close')
    response.once('close', () => {
      open.get(socket)?.delete(response)
      if (stopping && open.get(socket)?.size === 0) socket.end()
    })
  })
  return (signal) => {
    if (stopping) return
    stopping = true
    const counts = [...open.values()].map((responses) => responses.size)
    const inFlight = counts.reduce((sum, count) => sum + count, 0)
    server.close(() => console.log(`${name} stopped`))
    console.log(`${name} stops: ${signal}, ${inFlight} in flight`)
    for (const [socket, responses] of open) dismiss(socket, [...responses].at(-1))
  }
}

function dismiss(socket: Socket, last: ServerResponse | undefined): void {
  if (last === undefined) socket.destroy()
  else if (!last.headersSent) last.setHeader('connection', 'close')
}

function readPort(name: string): number {
  const text = process.env.PORT
  if (text === undefined || text === '') fail(name, 'set PORT to the port to listen on')
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  // 0 lets the system choose; the chosen port is in the first line of output.
  if (!(port <= 65_535)) fail(name, `PORT is not a port: ${text}`)
  return port
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Says why on stderr and ends the process with code 1. */
export function fail(name: string, why: string): never {
  console.error(`${name} does not start: ${why}`)
  process.exit(1)
}
