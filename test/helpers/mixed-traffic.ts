// Traffic of all kinds through one balancer, until it is stopped: kept and new connections, bodies
// with a length and in chunks both ways, clients that leave in the middle, WebSockets. By seed.

import { Agent, createServer, request } from 'node:http'
import { connect } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import { listening } from '#test/ctld/balancer/rig.ts'
import { randomOf } from './seeds.ts'

export type MixedTraffic = {
  /** How often each kind ended well, and how each that did not. */
  ended: Record<string, number>
  failed: Map<string, number>
  requests(): number
  /** Resolves when so many more have ended. */
  more(count: number): Promise<void>
  stop(): Promise<void>
}

/** Says back what it was sent: path, body, or message; answers `/chunked` in chunks. */
export async function startEchoProgram(): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((incoming, response) => {
    let body = ''
    incoming.setEncoding('latin1')
    incoming.on('error', () => {}) // The client left in the middle.
    incoming.on('data', (piece) => {
      body += piece
    })
    incoming.on('end', () => {
      const text = `${incoming.url} ${body}`
      if (incoming.url?.startsWith('/hold') === true) return
      if (incoming.url?.startsWith('/chunked') === true) {
        response.write(text.slice(0, 5))
        response.end(text.slice(5))
      } else response.writeHead(200, { 'Content-Length': text.length }).end(text)
    })
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => {
    socket.on('error', () => {}) // As above.
    socket.on('message', (message) => socket.send(message))
  })
  const port = await listening(server)
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function startMixedTraffic(port: number, seed: number): MixedTraffic {
  const random = randomOf(seed)
  const ended: Record<string, number> = {}
  const failed = new Map<string, number>()
  const waiting = new Map<number, () => void>()
  let count = 0
  let isStopped = false

  function note(kind: string, words: string): void {
    count += 1
    ended[kind] = (ended[kind] ?? 0) + 1
    if (words !== '') failed.set(`${kind}: ${words}`, (failed.get(`${kind}: ${words}`) ?? 0) + 1)
    waiting.get(count)?.()
    waiting.delete(count)
  }

  async function client(kinds: readonly Kind[]): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let n = 0; !isStopped; n += 1) {
      const kind = random.pick(kinds)
      const size = random.chance(0.02) ? 300_000 : random.int(1, 2_000)
      note(kind, await KINDS[kind]({ port, agent, n, size }))
    }
    agent.destroy()
  }

  const plain: Kind[] = ['kept', 'kept', 'kept', 'post', 'chunked', 'upload in chunks', 'new']
  const rough: Kind[] = ['leaves waiting', 'leaves sending', 'websocket', 'new']
  const clients = [
    ...Array.from({ length: 12 }, () => client(plain)),
    ...Array.from({ length: 4 }, () => client(rough)),
  ]
  return {
    ended,
    failed,
    requests: () => count,
    more: (many) => new Promise((resolve) => void waiting.set(count + many, resolve)),
    async stop() {
      isStopped = true
      await Promise.all(clients)
    },
  }
}

type Given = { port: number; agent: Agent; n: number; size: number }
type Kind = keyof typeof KINDS

/** Each resolves with what went wrong; '': nothing. */
const KINDS = {
  kept: (given: Given) => ask(given, 'GET', `/kept-${given.n}`, ''),
  new: ({ port, n, size }: Given) =>
    ask({ port, n, size, agent: new Agent() }, 'GET', `/new-${n}`, ''),
  post: (given: Given) => ask(given, 'POST', `/post-${given.n}`, 'b'.repeat(given.size)),
  chunked: (given: Given) => ask(given, 'POST', `/chunked-${given.n}`, 'c'.repeat(given.size)),
  'upload in chunks': (given: Given) =>
    ask(given, 'POST', `/up-${given.n}`, 'u'.repeat(given.size), true),
  'leaves waiting': ({ port, n }: Given) =>
    leave(port, `GET /hold-${n} HTTP/1.1\r\nHost: api\r\n\r\n`, n),
  'leaves sending': ({ port, n }: Given) =>
    leave(port, `POST /${n} HTTP/1.1\r\nHost: api\r\nContent-Length: 9000\r\n\r\nsome of it`, n),
  websocket: ({ port, size }: Given) => talk(port, 'w'.repeat(size)),
}

function ask(
  { port, agent }: Given,
  method: string,
  path: string,
  body: string,
  inChunks = false,
): Promise<string> {
  return new Promise((resolve) => {
    const length = method === 'GET' || inChunks ? {} : { 'content-length': body.length }
    const headers = { host: 'api', ...length }
    const sent = request({ host: '127.0.0.1', port, path, method, agent, headers })
    sent.once('error', (error) => resolve(error.message))
    sent.once('response', (answer) => {
      let text = ''
      answer.setEncoding('latin1')
      answer.on('data', (piece) => {
        text += piece
      })
      answer.once('error', (error) => resolve(error.message))
      answer.once('end', () => {
        const isRight = text === `${path} ${body}`
        resolve(answer.statusCode === 200 && isRight ? '' : `${answer.statusCode}, ${isRight}`)
      })
    })
    if (inChunks) sent.write(body.slice(0, body.length / 2))
    sent.end(inChunks ? body.slice(body.length / 2) : body)
  })
}

/** Sends this, and leaves before anything can come: by an end, or by a reset. */
function leave(port: number, text: string, n: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.write(text, () => {
        if (n % 2 === 0) socket.destroy()
        else socket.resetAndDestroy()
      })
    })
    socket.once('error', (error) => resolve(error.message))
    socket.once('close', () => resolve(''))
  })
}

function talk(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { host: 'api' } })
    let heard = 0
    socket.once('error', (error) => resolve(error.message))
    socket.once('open', () => socket.send(text))
    socket.on('message', (message) => {
      heard += 1
      if (String(message) !== text) resolve('another message')
      if (heard < 5) socket.send(text)
      else socket.close()
    })
    socket.once('close', () => resolve(heard === 5 ? '' : `closed after ${heard} messages`))
  })
}
