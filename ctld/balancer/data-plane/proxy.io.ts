// The engine that carries the traffic, on fastify and @fastify/http-proxy: wiring. The reception
// admits a request, the plug-in hands it to its exchange, the exchange chooses among the upstreams.

import { indexRoutes } from '#ctld/balancer/route.ts'
import type { DataPlane, Observation, RouteTable } from '#ctld/ports.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Clock, Dice, Ids, Log } from '#shared/ports.ts'
import { createDoors } from './doors.io.ts'
import type { Engine } from './exchange.io.ts'
import { createPlugIn, type PlugIn } from './plug-in.io.ts'
import { type InstancePool, openPool } from './pool.io.ts'
import { createReception } from './reception.io.ts'
import { trustIn } from './trust.ts'
import { createTunnels } from './tunnel.io.ts'
import { createUpstreams, type Lane } from './upstreams.ts'

export type ProxyDataPlane = DataPlane & {
  /** Opens the ports. Rejects with the system's error (EADDRINUSE) if the main one is not had. */
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

export function createProxyDataPlane(options: ProxyOptions): ProxyDataPlane {
  const { clock, dice, ids, log, host } = options
  const address = { host, port: options.port }
  const listeners: ((observation: Observation) => void)[] = []
  const tell = (observation: Observation) => {
    for (const listener of listeners) listener(observation)
  }
  const upstreams = createUpstreams<InstancePool>({ clock, dice, log, open: openPool, tell })
  const engine: Engine = {
    clock,
    newRequestId: numbered(ids.next()),
    upstreams,
    isTrusted: trustIn(options.trustedProxies),
  }
  const tunnels = createTunnels(engine)
  let index = indexRoutes<Lane<InstancePool>>([])
  let plugIn: PlugIn | undefined
  const reception = createReception({
    engine,
    clock,
    log,
    index: () => index,
    forward: (request, response, exchange) => plugIn?.forward(request, response, exchange),
    tunnels,
  })
  const doors = createDoors({ ...options, tell, serve: reception.serve })

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
    counters: () =>
      Promise.reject(new TucanoError('unavailable', 'this balancer does not count its requests')),
    async listen() {
      plugIn = await createPlugIn()
      address.port = await doors.open()
      log.info(address, 'balancer listens')
      return { port: address.port }
    },
    async close(graceMs) {
      await doors.announce()
      const closed = doors.close()
      await reception.finished(graceMs)
      // Connections that were accepted last may not have been read from yet.
      await Promise.race([closed, doors.linger()])
      await reception.finished(graceMs)
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
