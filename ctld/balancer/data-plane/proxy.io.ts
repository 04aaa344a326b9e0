// The engine that carries the traffic, on fastify and @fastify/http-proxy. What a request may do
// and where it goes is decided here, before the plug-in sees it; the exchange does the rest.

import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { findRoute, indexRoutes } from '#ctld/balancer/route.ts'
import type { DataPlane, Observation, RouteTable } from '#ctld/ports.ts'
import type { Clock, Dice, Ids, Log } from '#shared/ports.ts'
import { answerProblem, type Problem } from './answer.io.ts'
import { createDoors } from './doors.io.ts'
import { type Arrival, type Engine, Exchange } from './exchange.io.ts'
import { requestIdOf } from './headers.ts'
import type { ClientRequest, Door } from './listener.io.ts'
import { createPlugIn, type PlugIn } from './plug-in.io.ts'
import { type InstancePool, openPool } from './pool.io.ts'
import { isRefusal, METHODS_FORWARDED, readHead } from './read-head.ts'
import { trustIn } from './trust.ts'
import { createTunnels, responseOn } from './tunnel.io.ts'
import { createUpstreams, type Lane } from './upstreams.ts'

export type ProxyDataPlane = DataPlane & {
  /** Opens the ports. Rejects with the system's error (EADDRINUSE) if the main one cannot be had. */
  listen(): Promise<{ port: number }>
  /**
   * Takes no more connections, lets the requests under way finish for at most `graceMs`, then
   * ends what is left, WebSockets first: they would never finish (F36).
   */
  close(graceMs: number): Promise<void>
  /** The port is the real one once it listens. */
  readonly address: { host: string; port: number }
}

export type ProxyOptions = {
  host: string
  /** 0: any that is free. */
  port: number
  /** Addresses and networks (`10.0.0.0/8`) whose X-Forwarded-* are believed. */
  trustedProxies: readonly string[]
  clock: Clock
  dice: Dice
  ids: Ids
  log: Log
}

type Passage = { arrival: Omit<Arrival, 'response'> } | { problem: Problem }

export function createProxyDataPlane(options: ProxyOptions): ProxyDataPlane {
  const { clock, dice, ids, log, host } = options
  const address = { host, port: options.port }
  const listeners: ((observation: Observation) => void)[] = []
  const tell = (observation: Observation) => {
    for (const listener of listeners) listener(observation)
  }
  const upstreams = createUpstreams<InstancePool>({ clock, dice, log, open: openPool, tell })
  const isTrusted = trustIn(options.trustedProxies)
  const newRequestId = numbered(ids.next())
  const engine: Engine = { clock, newRequestId, upstreams, isTrusted }
  const tunnels = createTunnels(engine)
  const doors = createDoors({ ...options, tell, serve: { request, upgrade, connect, fault } })
  let index = indexRoutes<Lane<InstancePool>>([])
  let plugIn: PlugIn | undefined
  /** Connections on which a request had two meanings: what follows it there has none. */
  const refused = new WeakSet<Duplex>()
  let underWay = 0
  let onIdle: () => void = () => {}

  function request(request: ClientRequest, response: ServerResponse, door: Door): void {
    underWay += 1
    response.once('close', ended)
    if (refused.has(request.socket)) return
    const passage = passageOf(request, door)
    if ('problem' in passage) {
      if (passage.problem.status === 400) refused.add(request.socket)
      answerProblem(response, passage.problem)
    } else {
      const exchange = new Exchange(engine, { ...passage.arrival, response })
      plugIn?.forward(request, response, exchange)
    }
  }

  function ended(): void {
    underWay -= 1
    if (underWay === 0) onIdle()
  }

  function upgrade(request: ClientRequest, socket: Duplex, head: Buffer, door: Door): void {
    const passage = passageOf(request, door)
    if ('problem' in passage) {
      socket.on('error', () => socket.destroy())
      answerProblem(responseOn(request, socket), { ...passage.problem, close: true })
    } else tunnels.open(passage.arrival, socket, head)
  }

  function passageOf(request: ClientRequest, door: Door): Passage {
    const read = readHead({
      method: request.method ?? '',
      url: request.url ?? '',
      httpVersion: request.httpVersion,
      rawHeaders: request.rawHeaders,
    })
    const problem = (status: number, title: string | undefined, detail: string): Passage => ({
      problem: {
        status,
        ...(title === undefined ? {} : { title }),
        detail,
        requestId: requestIdOf(request.headers, newRequestId),
        close: door.isClosing || status === 400,
      },
    })
    if (isRefusal(read)) {
      const refusal = problem(read.status, undefined, read.detail)
      if (read.allow === undefined || !('problem' in refusal)) return refusal
      return { problem: { ...refusal.problem, allow: read.allow } }
    }
    const found = findRoute(index, read.host, read.path, door.port)
    if (found === undefined) {
      return problem(404, 'service not found', 'no service is known by this host or path')
    }
    const { route: lane, strip } = found
    if (lane.upstreams.length === 0) {
      return problem(503, undefined, `no instance of service ${lane.service} is running`)
    }
    return { arrival: { request, door, read, lane, strip } }
  }

  function connect(socket: Duplex): void {
    socket.on('error', () => socket.destroy())
    socket.end(
      `HTTP/1.1 405 Method Not Allowed\r\nAllow: ${METHODS_FORWARDED}\r\n` +
        'Content-Length: 0\r\nConnection: close\r\n\r\n',
    )
  }

  function fault(error: Error): void {
    log.error({ error: error.message }, 'the balancer could not take a connection')
  }

  function finished(graceMs: number): Promise<void> {
    if (underWay === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = clock.after(graceMs, resolve)
      onIdle = () => {
        cancel()
        resolve()
      }
    })
  }

  return {
    address,
    publish(table: RouteTable) {
      const lanes = upstreams.update(table)
      index = indexRoutes(lanes)
      doors.want(new Set(lanes.flatMap(({ publicPort }) => publicPort ?? [])))
    },
    observe(listener) {
      listeners.push(listener)
    },
    async listen() {
      plugIn = await createPlugIn()
      address.port = await doors.open()
      log.info(address, 'balancer listens')
      return { port: address.port }
    },
    async close(graceMs) {
      const closed = doors.close()
      await finished(graceMs)
      tunnels.close()
      doors.cut()
      await closed
      upstreams.close()
      await plugIn?.close()
    },
  }
}

// A random number for each request would cost a tenth of the time that the request takes here.
function numbered(prefix: string): () => string {
  let count = 0
  return () => {
    count += 1
    return `${prefix}-${count.toString(36)}`
  }
}
