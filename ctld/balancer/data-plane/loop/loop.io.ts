// One loop of the data plane: wiring. Listens on the ports of its table, serves what comes in, and
// tells what the controller should know. A new table replaces the old one between two requests.

import type { Socket } from 'node:net'
import type { DataPlaneCounters, InstanceCounters } from '#ctld/balancer/data-plane/counters.ts'
import { createRequestHead } from '#ctld/balancer/data-plane/http1/request-head.ts'
import { createResponseHead } from '#ctld/balancer/data-plane/http1/response-head.ts'
import { latenciesOf } from '#ctld/balancer/data-plane/latency.ts'
import { OwnWrites } from '#ctld/balancer/data-plane/tcp/own-writes.io.ts'
import { trustIn } from '#ctld/balancer/data-plane/trust.ts'
import { indexRoutes } from '#ctld/balancer/route.ts'
import type { Clock, Dice, Log } from '#shared/ports.ts'
import { type AccessLog, createAccessLog } from './access-log.io.ts'
import { createBulk } from './bulk.ts'
import { ClientConnection } from './client-connection.io.ts'
import { createDeadlines } from './deadlines.ts'
import { departedOf } from './departed.ts'
import { createDispatcher } from './dispatcher.io.ts'
import { createDoors } from './doors.io.ts'
import type { Engine } from './engine.ts'
import { createJournal, lineWriter } from './journal.ts'
import type { ListeningPort, LoopNews, LoopTable, Settings } from './loop-table.ts'
import { createScratch } from './outlet.io.ts'
import { READ_SIZE } from './read-buffer.ts'
import { createRegistry } from './registry.ts'
import type { SharedCounts } from './shared-counts.ts'
import { acceptTcp } from './tcp-door.io.ts'
import { peerOf } from './to-instance.ts'
import type { Lane } from './upstream.ts'

const ANNOUNCE_MS = 500

export type LoopPorts = {
  index: number
  shared: SharedCounts
  clock: Clock
  dice: Dice
  log: Log
  newRequestId(): string
  tell(news: LoopNews): void
}

export type Loop = {
  /** Resolves when the ports of the table are open or have failed; each failure is news. */
  update(table: LoopTable): Promise<void>
  /** Takes no more connections; resolves when the last one is gone or the grace is over. */
  drain(graceMs: number): Promise<void>
  counters(): DataPlaneCounters
  listening(): ListeningPort[]
  close(): void
}

export function createLoop(ports: LoopPorts): Loop {
  const { clock, log, tell } = ports
  const deadlines = createDeadlines(clock)
  const registry = createRegistry({ ...ports, counts: ports.shared })
  const engine: Engine = {
    clock,
    newRequestId: ports.newRequestId,
    deadlines,
    registry,
    dispatcher: createDispatcher(() => engine),
    journal: createJournal(),
    index: indexRoutes([]),
    requestHead: createRequestHead(),
    responseHead: createResponseHead(),
    bulk: createBulk(),
    scratch: createScratch(OwnWrites.of),
    readBuffer: Buffer.allocUnsafeSlow(READ_SIZE),
    isDraining: false,
    clients: new Set(),
  }
  const startedAt = clock.wall()
  const sessions = new Set<{ cut(): void }>()
  const byAddress = new Map<string, number>()
  let settings: Settings | undefined
  let isTrusted = trustIn([])
  let tableVersion = 0
  let accepted = 0
  let refused = 0
  let accessLogFile: string | null = null
  let accessLog: AccessLog | undefined
  let onEmpty = () => {}
  const doors = createDoors({ clock, log, tell, accept })

  function accept(socket: Socket, port: number): void {
    const address = socket.remoteAddress ?? ''
    const { max, perIp } = limitsOf(settings)
    const ofAddress = byAddress.get(address) ?? 0
    if (
      address === '' ||
      engine.clients.size + sessions.size >= max ||
      (perIp > 0 && ofAddress >= perIp)
    ) {
      refused += 1
      socket.destroy()
      return
    }
    accepted += 1
    byAddress.set(address, ofAddress + 1)
    const onLeft = () => {
      const left = (byAddress.get(address) ?? 1) - 1
      if (left === 0) byAddress.delete(address)
      else byAddress.set(address, left)
      if (engine.clients.size + sessions.size === 0) onEmpty()
    }
    const dedicated = engine.index.byPort.get(port)
    const lane = dedicated?.protocol === 'tcp' ? registry.lane(dedicated.service) : undefined
    if (lane !== undefined) {
      serve(socket, lane, onLeft)
      return
    }
    const peer = peerOf(address, isTrusted)
    engine.clients.add(new ClientConnection(engine, socket, { peer, port, onLeft }))
    socket.resume()
  }

  function logTo(file: string | null): void {
    if (file === accessLogFile) return
    accessLogFile = file
    void accessLog?.close()
    accessLog = file === null ? undefined : createAccessLog({ file, clock, log })
    engine.journal.logTo(accessLog === undefined ? undefined : lineWriter(accessLog, clock))
  }

  // A session may be over before it is known here.
  function serve(socket: Socket, lane: Lane, onLeft: () => void): void {
    let isOver = false
    let session: { cut(): void } | undefined
    session = acceptTcp(engine, socket, lane, () => {
      isOver = true
      if (session !== undefined) sessions.delete(session)
      onLeft()
    })
    if (!isOver) sessions.add(session)
  }

  function cutAll(): void {
    for (const client of [...engine.clients]) client.destroy()
    for (const session of [...sessions]) session.cut()
  }

  return {
    async update(table) {
      settings = table.settings
      tableVersion = table.version
      isTrusted = trustIn(settings.trustedProxies)
      logTo(settings.accessLog)
      engine.index = indexRoutes(table.routes)
      registry.update(table)
      const own = table.routes.flatMap(({ publicPort }) => publicPort ?? [])
      await doors.want(settings.host, new Set([settings.port, ...own]), table.inherited ?? [])
    },

    async drain(graceMs) {
      // A client may just be sending on an idle connection, which must not be reset under it: each
      // answer is the last of its connection now, for a moment in which the others come to know.
      engine.isDraining = true
      if (graceMs > 0) await new Promise<void>((resolve) => clock.after(ANNOUNCE_MS, resolve))
      // Right after the turn in which all that had connected was accepted: what still waits to be
      // accepted when a port closes is reset by the kernel.
      await new Promise<void>((resolve) => setImmediate(resolve))
      doors.close()
      const { promise, resolve } = Promise.withResolvers<void>()
      onEmpty = resolve
      for (const client of [...engine.clients]) client.drain()
      const cancel = clock.after(graceMs, resolve)
      if (engine.clients.size + sessions.size > 0) await promise
      cancel()
      cutAll()
      await accessLog?.close()
    },

    counters() {
      const open = engine.clients.size + sessions.size
      return {
        startedAt,
        tableVersion,
        loops: 1,
        connections: { accepted, open, refused },
        rejected: engine.journal.rejections(),
        services: Object.fromEntries(
          [...registry.lanes()].map((lane) => [lane.service, told(lane, clock.now())]),
        ),
      }
    },

    listening: () => doors.listening(),

    close() {
      doors.close()
      cutAll()
      registry.close()
      deadlines.close()
      logTo(null)
    },
  }
}

/** A loop's share of what is allowed in all. */
function limitsOf(settings: Settings | undefined): { max: number; perIp: number } {
  if (settings === undefined) return { max: 0, perIp: 0 }
  const loops = Math.max(1, settings.threads)
  return {
    max: Math.ceil(settings.connectionsMax / loops),
    perIp: Math.ceil(settings.connectionsPerIp / loops),
  }
}

function told(lane: Lane, now: number) {
  const instances: Record<string, InstanceCounters> = {}
  let inFlight = 0
  for (const upstream of [...lane.upstreams, ...departedOf(lane, now)]) {
    inFlight += upstream.inFlight
    instances[upstream.instance] = {
      ...upstream.counters,
      latency: latenciesOf(upstream.took),
      inTable: upstream.isLeaving ? 0 : 1,
      inFlight: upstream.inFlight,
      idleConnections: upstream.idle.length,
      openConnections: upstream.openConnections,
    }
  }
  return lane.tally.told({ waiting: lane.waiting.size, inFlight, instances })
}
