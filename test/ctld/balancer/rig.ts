// A balancer with real sockets on loopback: programs are small servers of this process, the client
// is node:http or a bare socket.

import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
} from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { createProxyDataPlane, type ProxyDataPlane } from '#ctld/balancer/data-plane/proxy.io.ts'
import type { Observation, Route, Target } from '#ctld/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import { machineDice, machineIds } from '#shared/ids.io.ts'
import type { Clock, Log } from '#shared/ports.ts'

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }

export type Answer = { status: number; headers: IncomingHttpHeaders; body: string }

export type Ask = {
  method?: string
  host?: string
  headers?: Record<string, string | string[]>
  body?: string
  port?: number
}

export type Rig = Awaited<ReturnType<typeof createRig>>

export function createPlane(port: number, clock: Clock = machineClock): ProxyDataPlane {
  return createProxyDataPlane({
    host: '127.0.0.1',
    port,
    trustedProxies: [],
    clock,
    dice: machineDice,
    ids: machineIds,
    log: silentLog,
  })
}

export async function createRig(clock: Clock = machineClock) {
  await using opened = new AsyncDisposableStack()
  const plane = createPlane(0, clock)
  const observed: Observation[] = []
  const waiting: { isIt: (seen: Observation) => boolean; tell: (seen: Observation) => void }[] = []
  plane.observe((seen) => {
    observed.push(seen)
    for (const { isIt, tell } of waiting) if (isIt(seen)) tell(seen)
  })
  const { port } = await plane.listen()
  let version = 0
  opened.defer(() => plane.close(0))
  const stack = opened.move()

  return {
    plane,
    port,
    observed,
    publish(...routes: Route[]): void {
      version += 1
      plane.publish({ version, routes })
    },
    /** Resolves at the first such observation, past or future. */
    saw(kind: Observation['kind']): Promise<Observation> {
      const past = observed.find((seen) => seen.kind === kind)
      if (past !== undefined) return Promise.resolve(past)
      return new Promise((tell) => waiting.push({ isIt: (seen) => seen.kind === kind, tell }))
    },
    /** A program; its server is closed with the rig. */
    async program(serve: RequestListener): Promise<{ port: number; server: Server }> {
      const server = createServer(serve)
      const programPort = await listening(server)
      stack.defer(() => closed(server))
      return { port: programPort, server }
    },
    /** A program that speaks bytes. */
    async tcp(serve: (socket: Socket) => void): Promise<number> {
      const server = createTcpServer((socket) => {
        socket.on('error', () => {})
        stack.defer(() => void socket.destroy())
        serve(socket)
      })
      stack.defer(() => void server.close())
      return listening(server)
    },
    ask: (path: string, how: Ask = {}) => ask(how.port ?? port, path, how),
    /** Sends the bytes and resolves with all that comes back until the connection ends. */
    raw: (text: string) => raw(port, text),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

export function route(targets: Target[], more: Partial<Route> = {}): Route {
  return {
    service: 'api',
    protocol: 'http',
    hosts: ['api'],
    paths: ['/svc/api/'],
    proxyProtocol: 'none',
    balance: 'weighted_round_robin',
    slowStartMs: 0,
    inFlightMax: 0,
    queueMax: 1_000,
    queueMs: 5_000,
    holdMs: 0,
    traffic: 'open',
    pauseMs: 30_000,
    connectMs: 1_000,
    responseMs: 5_000,
    idleMs: 60_000,
    bodyMax: 0,
    pipelining: true,
    targets,
    ...more,
  }
}

export function target(instance: string, port: number, weight = 10): Target {
  return { instance, node: 'w1', host: '127.0.0.1', port, weight }
}

/** A port on which nobody listens: it was free a moment ago. */
export async function deadPort(): Promise<number> {
  const server = createTcpServer()
  const port = await listening(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

export function listening(server: {
  listen(port: number, host: string, done: () => void): unknown
  address(): AddressInfo | string | null
}): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

export function textOf(message: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    message.setEncoding('utf8')
    message.on('data', (piece) => {
      text += piece
    })
    message.once('end', () => resolve(text))
    message.once('error', reject)
  })
}

export function ask(port: number, path: string, how: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      path,
      method: how.method ?? 'GET',
      headers: { host: how.host ?? 'api', ...how.headers },
      agent: false,
    })
    sent.once('error', reject)
    sent.once('response', (answer) => {
      textOf(answer).then(
        (body) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }),
        reject,
      )
    })
    sent.end(how.body)
  })
}

export function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(text, 'latin1'))
    let received = ''
    socket.setEncoding('latin1')
    socket.on('data', (piece) => {
      received += piece
    })
    socket.on('error', () => {})
    socket.once('close', () => resolve(received))
  })
}

async function closed(server: Server): Promise<void> {
  if (!server.listening) return
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}
