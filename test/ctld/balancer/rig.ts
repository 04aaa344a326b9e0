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
import type { DataPlaneCounters } from '#ctld/balancer/data-plane/counters.ts'
import { createLoop } from '#ctld/balancer/data-plane/loop/loop.io.ts'
import type { LoopNews, LoopTable, Settings } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import { createCountsBuffer, SharedCounts } from '#ctld/balancer/data-plane/loop/shared-counts.ts'
import type { Route, Target } from '#ctld/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import { machineDice } from '#shared/ids.io.ts'
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

export type Plane = ReturnType<typeof createPlane>

/** One loop of the data plane, in this thread. */
export function createPlane(
  port: number,
  clock: Clock = machineClock,
  more: Partial<Settings> = {},
  counts = loneCounts(),
) {
  const listeners: ((news: LoopNews) => void)[] = []
  const slots: Record<string, number> = {}
  const settings: Settings = {
    host: '127.0.0.1',
    port,
    threads: 1,
    trustedProxies: [],
    accessLog: null,
    connectionsMax: 10_000,
    connectionsPerIp: 0,
    ...more,
  }
  let table: LoopTable = { version: 0, settings, routes: [], slots }
  let ids = 0
  const loop = createLoop({
    index: 0,
    shared: counts,
    clock,
    dice: machineDice,
    log: silentLog,
    newRequestId: () => {
      ids += 1
      return `request-${ids}`
    },
    tell: (news) => {
      for (const listener of listeners) listener(news)
    },
  })
  return {
    loop,
    observe: (listener: (news: LoopNews) => void) => void listeners.push(listener),
    /** Resolves when its ports are open. */
    publish(routes: Route[], changed: Partial<Settings> = {}): Promise<void> {
      const instances = routes.flatMap(({ targets }) => targets.map(({ instance }) => instance))
      for (const instance of instances) slots[instance] ??= Object.keys(slots).length
      table = {
        version: table.version + 1,
        settings: { ...table.settings, ...changed },
        routes,
        slots,
      }
      return loop.update(table)
    },
    port: () => loop.listening()[0]?.port ?? 0,
    counters: (): DataPlaneCounters => loop.counters(),
    async close(graceMs: number): Promise<void> {
      await loop.drain(graceMs)
      loop.close()
    },
  }
}

function loneCounts(): SharedCounts {
  const bell = { ring() {}, onRing() {} }
  return new SharedCounts({ buffer: createCountsBuffer(1), column: 0, bell })
}

export async function createRig(clock: Clock = machineClock, settings: Partial<Settings> = {}) {
  await using opened = new AsyncDisposableStack()
  const plane = createPlane(0, clock, settings)
  const observed: LoopNews[] = []
  const waiting: { isIt: (seen: LoopNews) => boolean; tell: (seen: LoopNews) => void }[] = []
  plane.observe((seen) => {
    observed.push(seen)
    for (const { isIt, tell } of waiting) if (isIt(seen)) tell(seen)
  })
  await plane.publish([])
  const port = plane.port()
  opened.defer(() => plane.close(0))
  const stack = opened.move()

  return {
    plane,
    port,
    observed,
    publish: (...routes: Route[]): Promise<void> => plane.publish(routes),
    /** Resolves at the first such observation, past or future. */
    saw(kind: LoopNews['kind']): Promise<LoopNews> {
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
