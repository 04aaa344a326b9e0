// A program that speaks bytes and may die in any phase of a request. It counts each request that
// it saw by the id in its path, so that a test knows what was sent twice.

import { createServer, type Socket } from 'node:net'
import { listening } from '#test/ctld/balancer/rig.ts'

export type Seen = { method: string; path: string; body: string }
/**
 * `turn`: which request of its connection it is, from 0. The next one of the connection is served
 * when the promise resolves, so that answers come in order.
 */
export type Serve = (seen: Seen, socket: Socket, turn: number) => unknown

export type Origin = AsyncDisposable & {
  port: number
  /** How often each path came, whole or not. */
  requests: Map<string, number>
  /** How often all of them came. */
  total(): number
  sockets: Set<Socket>
}

export async function startOrigin(
  serve: Serve,
  onConnection: (socket: Socket) => void = () => {},
): Promise<Origin> {
  const requests = new Map<string, number>()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}) // A balancer that leaves in a hurry.
    socket.once('close', () => sockets.delete(socket))
    read(socket, requests, serve)
    onConnection(socket)
  })
  const port = await listening(server)
  return {
    port,
    requests,
    sockets,
    total: () => [...requests.values()].reduce((sum, count) => sum + count, 0),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The program's answer to a request: it says which one it answers. */
export function answerTo({ path }: Seen): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`
}

/** Bodies have a length. A request counts when its head is there. */
function read(socket: Socket, requests: Map<string, number>, serve: Serve): void {
  let rest = ''
  let pending: { seen: Seen; length: number } | undefined
  let turn = 0
  let isServing = false

  /** undefined: more is to come. */
  function next(): Seen | undefined {
    if (pending === undefined) {
      const end = rest.indexOf('\r\n\r\n')
      if (end === -1) return undefined
      const head = rest.slice(0, end)
      rest = rest.slice(end + 4)
      const [method = '', path = ''] = head.split(' ')
      requests.set(path, (requests.get(path) ?? 0) + 1)
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
      pending = { seen: { method, path, body: '' }, length }
    }
    const { seen, length } = pending
    if (rest.length < length) return undefined
    pending = undefined
    const body = rest.slice(0, length)
    rest = rest.slice(length)
    return { ...seen, body }
  }

  async function serveAll(): Promise<void> {
    isServing = true
    for (let seen = next(); seen !== undefined; seen = next()) {
      await serve(seen, socket, turn)
      turn += 1
    }
    isServing = false
  }

  socket.setEncoding('latin1')
  socket.on('data', (text: unknown) => {
    rest += text
    if (!isServing) void serveAll()
  })
}
