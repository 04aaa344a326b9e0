// Programs and clients that speak bytes on loopback, and a balancer's door between them.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { type Joint, type JointEnd, joinSockets } from '#ctld/balancer/data-plane/tcp/pipe.io.ts'
import { machineClock } from '#shared/clock.io.ts'
import type { Clock } from '#shared/ports.ts'
import { listening } from '#test/ctld/balancer/rig.ts'

/** A server whose connections end with the test. */
export async function door(
  serve: (socket: Socket) => void,
  options: { pauseOnConnect?: boolean } = {},
): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, ...options }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket)
  })
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return listening(server)
}

/** A program: its sockets' errors are part of what is tested. */
export function program(serve: (socket: Socket) => void): Promise<number> {
  return door((socket) => {
    socket.on('error', () => {})
    serve(socket)
  })
}

export function echo(): Promise<number> {
  return program((socket) => {
    socket.on('data', (piece) => socket.write(piece))
    socket.once('end', () => socket.end())
  })
}

export function client(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

export type Joined = Pick<Joint, 'client' | 'upstream'> & { cut(): void; ended: Promise<JointEnd> }

export type Tunnel = { port: number; joined: () => Promise<Joined> }

/** A door that joins each client with a connection to `to`; `joined` gives them in turn. */
export async function tunnel(
  to: number,
  how: Partial<Pick<Joint, 'idleMs' | 'clientHead' | 'upstreamHead'>> & { clock?: Clock } = {},
  before: (sockets: Pick<Joint, 'client' | 'upstream'>) => Promise<void> | void = () => {},
): Promise<Tunnel> {
  const made: Joined[] = []
  const waiting: ((joined: Joined) => void)[] = []
  const port = await door(
    async (socket) => {
      const upstream = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true })
      await once(upstream, 'connect')
      await before({ client: socket, upstream })
      const { promise: ended, resolve: onEnd } = Promise.withResolvers<JointEnd>()
      const sockets = { client: socket, upstream }
      const { cut } = joinSockets({ idleMs: 0, clock: machineClock, ...how, ...sockets, onEnd })
      const joined = { ...sockets, cut, ended }
      const first = waiting.shift()
      if (first === undefined) made.push(joined)
      else first(joined)
    },
    { pauseOnConnect: true },
  )
  return {
    port,
    joined() {
      const first = made.shift()
      return first === undefined
        ? new Promise((tell) => waiting.push(tell))
        : Promise.resolve(first)
    },
  }
}

/** All that comes until the other side ends. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of socket.iterator({ destroyOnReturn: false })) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Exactly so many bytes; the connection stays as it is. */
export function readBytes(socket: Socket, count: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const take = (piece: Buffer) => {
      text += piece.toString('latin1')
      if (text.length < count) return
      socket.off('data', take)
      socket.off('close', gone)
      resolve(text)
    }
    const gone = () => reject(new Error(`closed after ${JSON.stringify(text)}`))
    socket.on('data', take)
    socket.once('close', gone)
  })
}

/** The code of the error a socket ends with; undefined: it ended without one. */
export function errorOf(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let code: string | undefined
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code
    })
    socket.once('close', () => resolve(code))
    socket.resume()
  })
}
