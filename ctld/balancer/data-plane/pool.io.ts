// The connections to one instance, by undici: kept open between requests, one request at a time on
// each, so that a slow answer holds up nobody else's.

import { connect } from 'node:net'
import { Pool } from 'undici'
import type { Target } from '#ctld/ports.ts'

/**
 * Below the 5 s after which Node programs close an idle connection; a shorter time that a program
 * announces is obeyed with the margin. Who sends on a connection that is just closed gets a 502.
 */
const IDLE_MS = 4_000
const IDLE_MARGIN_MS = 1_000
const IDLE_MAX_MS = 60_000

export type InstancePool = Pick<Pool, 'dispatch'> & { close(): void }

export function openPool({ host, port }: Target, connectMs: number): InstancePool {
  const pool = new Pool(`http://${addressOf(host)}:${port}`, {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: IDLE_MS,
    keepAliveTimeoutThreshold: IDLE_MARGIN_MS,
    keepAliveMaxTimeout: IDLE_MAX_MS,
    bodyTimeout: 0,
    connect: (_options, callback) => dial(host, port, connectMs, callback),
  })
  return {
    dispatch: (options, handler) => pool.dispatch(options, handler),
    // Requests under way finish. A second close rejects; it changes nothing.
    close: () => void pool.close().catch(() => {}),
  }
}

// undici's own connector counts its timeout in steps of half a second.
function dial(
  host: string,
  port: number,
  connectMs: number,
  callback: (...result: [Error, null] | [null, ReturnType<typeof connect>]) => void,
): void {
  const socket = connect({ host, port, noDelay: true, keepAlive: true })
  const timer = setTimeout(() => {
    socket.destroy(new Error(`no connection within ${connectMs} ms`))
  }, connectMs)
  const fail = (error: Error) => {
    clearTimeout(timer)
    callback(error, null)
  }
  socket.once('error', fail)
  socket.once('connect', () => {
    clearTimeout(timer)
    socket.off('error', fail)
    callback(null, socket)
  })
}

function addressOf(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
