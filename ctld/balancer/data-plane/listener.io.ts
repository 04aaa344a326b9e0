// A port on which clients are served. Its limits are those that keep one client from taking the
// balancer away from the others; the time for a body is watched by who reads it.

import { createServer, IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'

export const HEAD_BYTES_MAX = 16_384
export const CONNECTIONS_MAX = 10_000
const HEAD_MS_MAX = 5_000
const HEAD_CHECK_EVERY_MS = 1_000
const KEEP_ALIVE_MS = 60_000

export type Door = {
  /** The port asked for: a dedicated one leads to its service (Q09). */
  readonly port: number
  /** Answers then end their connection. */
  readonly isClosing: boolean
}

export type Listener = Door & {
  /** From here on every answer ends its connection. */
  announce(): void
  /** Resolves with the port; rejects when it cannot be had. */
  open(): Promise<number>
  /** Takes no more connections and ends the idle ones. Resolves when the last is gone. */
  close(): Promise<void>
  /** Cuts the connections that are left, tunnels excepted: nobody but their owner knows them. */
  cut(): void
}

export type Serve = {
  /** A connection could not be taken (no file descriptors left): the next one may be. */
  fault(error: Error): void
  request(request: ClientRequest, response: ServerResponse, door: Door): void
  upgrade(request: ClientRequest, socket: Duplex, head: Buffer, door: Door): void
  connect(socket: Duplex): void
}

/** A request that carries its exchange past the proxy's plug-in. */
export class ClientRequest extends IncomingMessage {
  exchange: unknown
}

export function createListener(host: string, port: number, serve: Serve): Listener {
  let isClosing = false
  const door: Door = {
    port,
    get isClosing() {
      return isClosing
    },
  }
  const server = createServer({
    IncomingMessage: ClientRequest,
    maxHeaderSize: HEAD_BYTES_MAX,
    headersTimeout: HEAD_MS_MAX,
    connectionsCheckingInterval: HEAD_CHECK_EVERY_MS,
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    insecureHTTPParser: false,
    noDelay: true,
    // `Upgrade: h2c` and the like are offers, which an answer over HTTP/1.1 declines.
    shouldUpgradeCallback: ({ method, headers }) =>
      method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket',
  })
  server.maxConnections = CONNECTIONS_MAX
  server.on('request', (request, response) => serve.request(request, response, door))
  server.on('upgrade', (request, socket, head) => serve.upgrade(request, socket, head, door))
  server.on('connect', (_request, socket) => serve.connect(socket))

  return {
    port,
    get isClosing() {
      return isClosing
    },
    open() {
      return new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host, port }, () => {
          server.off('error', reject)
          server.on('error', serve.fault)
          resolve((server.address() as AddressInfo).port)
        })
      })
    },
    announce() {
      isClosing = true
    },
    close() {
      isClosing = true
      // An error here says that it was not open.
      return new Promise((resolve) => server.close(() => resolve()))
    },
    cut() {
      server.closeAllConnections()
    },
  }
}
