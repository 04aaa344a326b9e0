// The ports that stand open: the main one, and one for each service that asked for its own. One
// that cannot be had is reported and tried again; the others go on.

import type { Observation } from '#ctld/ports.ts'
import { messageOf } from '#shared/errors.ts'
import type { Cancel, Clock, Log } from '#shared/ports.ts'
import { createListener, type Listener, type Serve } from './listener.io.ts'

const RETRY_MS = 5_000
/** A client may just be sending on an idle connection, which must not be reset under it. */
const LINGER_MS = 500

export type Doors = {
  /** Opens the main port; rejects with the system's error (EADDRINUSE). */
  open(): Promise<number>
  /** Opens and closes until just these dedicated ports are open. Before `open` it notes them. */
  want(ports: ReadonlySet<number>): void
  /** Every answer ends its connection now; resolves when keep-alive clients had time to notice. */
  announce(): Promise<void>
  /** A moment in which what is on its way arrives. */
  linger(): Promise<void>
  /** Takes no more connections. Resolves when the last one has ended. */
  close(): Promise<void>
  cut(): void
}

type Dedicated = { listener: Listener; cancelRetry: Cancel }

export function createDoors(ports: {
  host: string
  port: number
  serve: Serve
  clock: Clock
  log: Log
  tell: (observation: Observation) => void
}): Doors {
  const { host, serve, clock, log, tell } = ports
  const main = createListener(host, ports.port, serve)
  const dedicated = new Map<number, Dedicated>()
  const leaving = new Set<Listener>()
  let wanted: ReadonlySet<number> = new Set()
  let state: 'new' | 'open' | 'closed' = 'new'

  function adjust(): void {
    for (const [port, { listener, cancelRetry }] of dedicated) {
      if (wanted.has(port)) continue
      cancelRetry()
      dedicated.delete(port)
      log.info({ port }, 'dedicated port closed')
      leave(listener)
    }
    for (const port of wanted) if (!dedicated.has(port)) void openDedicated(port)
  }

  async function openDedicated(port: number): Promise<void> {
    const entry: Dedicated = {
      listener: createListener(host, port, serve),
      cancelRetry: () => {},
    }
    dedicated.set(port, entry)
    try {
      await entry.listener.open()
      log.info({ port }, 'dedicated port open')
    } catch (error) {
      if (dedicated.get(port) !== entry) return
      entry.cancelRetry = clock.after(RETRY_MS, () => void openDedicated(port))
      log.warn({ port, error: messageOf(error) }, 'dedicated port not to be had')
      tell({ kind: 'listener_failed', port, error: messageOf(error) })
    }
  }

  function all(): Listener[] {
    return [main, ...[...dedicated.values()].map(({ listener }) => listener)]
  }

  function leave(listener: Listener): Promise<void> {
    leaving.add(listener)
    return listener.close().then(() => void leaving.delete(listener))
  }

  function linger(): Promise<void> {
    return new Promise((resolve) => clock.after(LINGER_MS, resolve))
  }

  return {
    async open() {
      const port = await main.open()
      state = 'open'
      adjust()
      return port
    },
    want(next) {
      wanted = next
      if (state === 'open') adjust()
    },
    async announce() {
      if (state !== 'open') return
      for (const listener of all()) listener.announce()
      await linger()
    },
    linger,
    async close() {
      state = 'closed'
      const open = all()
      for (const { cancelRetry } of dedicated.values()) cancelRetry()
      dedicated.clear()
      // Right after the turn in which all that had connected was accepted: what still waits to be
      // accepted when a port closes is reset by the kernel.
      await new Promise((resolve) => setImmediate(resolve))
      await Promise.all(open.map(leave))
    },
    cut() {
      for (const listener of leaving) listener.cut()
    },
  }
}
