// The program behind the proxies: two ports, as little work as HTTP/1.1 allows, answers known to
// the byte. It answers pipelined requests in one write, compares the bodies it is sent and refuses
// what does not carry the fields that every proxy here has to add.

import { createServer, type Server, type Socket } from 'node:net'
import { takeBody } from './body-reader.ts'
import { createFrameEcho } from './frame-echo.ts'
import { acceptOf, bodyOf, HOST, postBody, SIZES, SMALL_BYTES } from './messages.ts'

export type Origin = {
  ports: number[]
  /** Whole requests since the start. */
  count(): number
  /** What the proxies sent wrong, since the last call. */
  faults(): string[]
  close(): Promise<void>
}

const PORTS = 2
const FAULTS_MAX = 20
const DATE_EVERY_MS = 1_000
const FORWARDED = /\r\nx-forwarded-for: *127\.0\.0\.1\r\n/i
const HOST_FIELD = new RegExp(`\\r\\nhost: *${HOST}\\r\\n`, 'i')

export async function createOrigin(): Promise<Origin> {
  const answers = createAnswers()
  const faults: string[] = []
  const sockets = new Set<Socket>()
  let count = 0

  function fault(socket: Socket, what: string): void {
    if (faults.length < FAULTS_MAX) faults.push(`the origin was sent ${what}`)
    socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
  }

  function serve(socket: Socket): void {
    socket.setNoDelay(true)
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    let pending = ''
    let isKnown = false
    const read = (bytes: Buffer) => {
      const text = pending + bytes.toString('latin1')
      let out = ''
      let from = 0
      while (from < text.length) {
        const end = text.indexOf('\r\n\r\n', from)
        if (end === -1) break
        if (!isKnown) {
          const head = text.slice(from, end + 4)
          if (!HOST_FIELD.test(head)) return fault(socket, 'no or another Host')
          if (!FORWARDED.test(head)) return fault(socket, 'no X-Forwarded-For')
          isKnown = true
        }
        let next = end + 4
        if (text.startsWith('POST ', from)) {
          const body = takeBody(text.slice(from, next), text, next)
          if (body === undefined) break
          if (body.text !== postBody) return fault(socket, 'a wrong body')
          next = body.next
        }
        count += 1
        const path = text.slice(text.indexOf(' ', from) + 1, pathEnd(text, from))
        if (path === '/echo') {
          const key = /\r\nsec-websocket-key: *(\S+)/i.exec(text.slice(from, next))?.[1]
          if (key === undefined) return fault(socket, 'a handshake without a key')
          socket.off('data', read)
          socket.on(
            'data',
            createFrameEcho(socket, () => (count += 1)),
          )
          socket.write(switching(key))
          return
        }
        const body = answers.body(path)
        if (body === undefined) return fault(socket, `the path ${path}`)
        if (typeof body === 'string') out += answers.head(body.length) + body
        else {
          socket.cork()
          socket.write(out + answers.head(body.length), 'latin1')
          socket.write(body)
          socket.uncork()
          out = ''
        }
        from = next
      }
      pending = from === text.length ? '' : text.slice(from)
      if (out !== '') socket.write(out, 'latin1')
    }
    socket.on('data', read)
  }

  const servers = await Promise.all(Array.from({ length: PORTS }, () => listen(serve)))
  return {
    ports: servers.map((server) => (server.address() as { port: number }).port),
    count: () => count,
    faults: () => faults.splice(0),
    async close() {
      answers.close()
      for (const socket of sockets) socket.destroy()
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    },
  }
}

/** Small bodies are text, so that head and body are one string and one write. */
function createAnswers() {
  const bodies = new Map<string, string | Buffer>()
  for (const size of SIZES) {
    const body = bodyOf(size)
    bodies.set(`/${size}?page=1`, size === SMALL_BYTES ? body.toString('latin1') : body)
  }
  bodies.set('/post', bodyOf(SMALL_BYTES).toString('latin1'))
  let heads = new Map<number, string>()
  const timer = setInterval(() => {
    heads = new Map()
  }, DATE_EVERY_MS)
  return {
    body: (path: string) => bodies.get(path),
    head(length: number) {
      let head = heads.get(length)
      if (head === undefined) {
        head = [
          'HTTP/1.1 200 OK',
          `Date: ${new Date().toUTCString()}`,
          'Content-Type: text/plain; charset=utf-8',
          `Content-Length: ${length}`,
          'Cache-Control: no-store\r\n\r\n',
        ].join('\r\n')
        heads.set(length, head)
      }
      return head
    },
    close: () => clearInterval(timer),
  }
}

function pathEnd(text: string, from: number): number {
  return text.indexOf(' ', text.indexOf(' ', from) + 1)
}

function switching(key: string): string {
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`,
  ].join('\r\n')
}

function listen(serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer(serve)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => resolve(server))
  })
}
