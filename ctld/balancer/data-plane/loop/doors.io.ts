// The ports that stand open: the main one, and one for each service that asked for its own. One
// that cannot be had is reported and tried again; the others go on. Listening sockets of the
// program that was before are taken over, so that no connection is refused in between.

import { createServer, type Server, type Socket } from 'node:net'
import { messageOf } from '#shared/errors.ts'
import type { Cancel, Clock, Log } from '#shared/ports.ts'
import type { ListeningPort, LoopNews } from './loop-table.ts'

const RETRY_MS = 5_000
/** Connections that the kernel keeps until they are accepted. */
const BACKLOG = 4_096

export type Accept = (socket: Socket, port: number) => void

type Door = { port: number; server: Server | undefined; isOpen: boolean; cancelRetry: Cancel }

export type Doors = ReturnType<typeof createDoors>

export function createDoors(ports: {
  clock: Clock
  log: Log
  tell: (news: LoopNews) => void
  accept: Accept
}) {
  const { clock, log, tell, accept } = ports
  const doors = new Map<number, Door>()
  let host = ''
  let isClosed = false

  async function open(port: number, fd: number | undefined): Promise<void> {
    const door: Door = { port, server: undefined, isOpen: false, cancelRetry: () => {} }
    doors.set(port, door)
    await tryToOpen(door, fd)
  }

  async function tryToOpen(door: Door, fd: number | undefined): Promise<void> {
    // Read before the instance is known, what a client sends would have to be kept; so the
    // connection decides when it is read. allowHalfOpen: an end is for the connection to judge.
    const server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true })
    door.server = server
    server.on('connection', (socket) => accept(socket, door.port))
    try {
      await listen(server, fd === undefined ? { host, port: door.port } : { fd })
      if (doors.get(door.port) !== door) return void server.close()
      door.isOpen = true
      server.on('error', (error) => log.warn({ port: door.port, error: error.message }, 'accept'))
    } catch (error) {
      if (doors.get(door.port) !== door) return
      door.cancelRetry = clock.after(RETRY_MS, () => void tryToOpen(door, undefined))
      log.warn({ port: door.port, error: messageOf(error) }, 'a port is not to be had')
      tell({ kind: 'listener_failed', port: door.port, error: messageOf(error) })
    }
  }

  function close(door: Door): void {
    doors.delete(door.port)
    door.cancelRetry()
    if (door.isOpen) door.server?.close()
  }

  return {
    /** Opens and closes until just these are open. Resolves when each is open or has failed. */
    async want(
      nextHost: string,
      wanted: ReadonlySet<number>,
      inherited: readonly ListeningPort[],
    ): Promise<void> {
      if (isClosed) return
      for (const { port, fd } of inherited) if (!wanted.has(port)) closeInherited(fd)
      const isElsewhere = nextHost !== host
      host = nextHost
      for (const door of [...doors.values()]) {
        if (isElsewhere || !wanted.has(door.port)) close(door)
      }
      const missing = [...wanted].filter((port) => !doors.has(port))
      await Promise.all(
        missing.map((port) => open(port, inherited.find((one) => one.port === port)?.fd)),
      )
    },

    /** With the numbers that the system gave to port 0. */
    listening(): ListeningPort[] {
      return [...doors.values()]
        .filter(({ isOpen }) => isOpen)
        .map(({ server }) => ({ port: portOf(server as Server), fd: fdOf(server as Server) }))
    },

    /** None is opened again. */
    close(): void {
      isClosed = true
      for (const door of [...doors.values()]) close(door)
    },
  }
}

function listen(server: Server, at: { host: string; port: number } | { fd: number }) {
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Every loop has a socket of its own on the same port, and the kernel spreads connections.
    server.listen('fd' in at ? at : { ...at, reusePort: true, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** A socket that nobody listens on would still take connections, and leave them waiting. */
function closeInherited(fd: number): void {
  const server = createServer()
  server.on('error', () => {
    // It was closed already.
  })
  server.listen({ fd }, () => server.close())
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Node names it nowhere else; without it an upgrade opens the ports anew. */
function fdOf(server: Server): number {
  const { _handle: handle } = server as Server & { _handle?: { fd?: number } }
  return handle?.fd ?? -1
}
