// One client connection of the load: sends when it is told to and says when the answer is whole.

import { connect, type Socket } from 'node:net'
import type { Reader } from './answer-reader.ts'

export type Dialogue = {
  /** What is sent before the first request, and its answer: a handshake. */
  opening?: { bytes: string; createReader(): Reader }
  request: string | Buffer
  createReader(): Reader
  /** The server ends the connection after the answer, and has to. */
  isLast: boolean
}

export type Client = { send(): void; close(): void }

export type ClientEvents = {
  /** Connected, and the opening is answered. */
  ready(client: Client): void
  answered(client: Client): void
  /** At most once; the connection is gone then. */
  failed(client: Client, why: string): void
}

// All connections read into it, one after the other; whoever reads uses the bytes at once.
const shared = Buffer.allocUnsafeSlow(256 * 1024)

export function openClient(port: number, dialogue: Dialogue, events: ClientEvents): Client {
  const { opening, request, isLast } = dialogue
  let reader = opening === undefined ? dialogue.createReader() : opening.createReader()
  let isOpening = opening !== undefined
  let isWaiting = isOpening
  let isWhole = false
  let isOver = false

  const fail = (why: string) => {
    if (isOver) return
    isOver = true
    socket.destroy()
    events.failed(client, why)
  }
  const finish = () => {
    isOver = true
    socket.destroy()
    events.answered(client)
  }
  const take = (size: number) => {
    if (isOver) return true
    try {
      if (!isWaiting || isWhole) fail('bytes that were not asked for')
      else if (reader.take(shared, size)) answered()
    } catch (error) {
      fail((error as Error).message)
    }
    return true
  }
  const answered = () => {
    if (isLast) {
      isWhole = true
      return
    }
    isWaiting = false
    if (isOpening) {
      isOpening = false
      reader = dialogue.createReader()
      events.ready(client)
    } else events.answered(client)
  }
  const socket: Socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: { buffer: shared, callback: take },
  })
  const client: Client = {
    send() {
      isWaiting = true
      if (typeof request === 'string') socket.write(request, 'latin1')
      else socket.write(request)
    },
    close() {
      isOver = true
      socket.destroy()
    },
  }
  socket.once('connect', () => {
    if (opening === undefined) events.ready(client)
    else socket.write(opening.bytes, 'latin1')
  })
  socket.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message))
  socket.once('end', () => (isWhole && !isOver ? finish() : fail('closed by the proxy')))
  socket.once('close', () => fail('closed by the proxy'))
  return client
}
