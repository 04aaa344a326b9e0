// A client of bytes for tests of one loop: sends what it is told, reads answers one by one, and
// sees how its connection ends.

import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { chunksOf } from './chunks.ts'

export type Reply = {
  status: number
  head: string
  body: string
  fields(name: string): string[]
}

export type Client = ReturnType<typeof createClient>

/** Its connection is closed after the test. */
export function createClient(port: number) {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
  onTestFinished(() => void socket.destroy())
  let text = ''
  let isOver = false
  let error = ''
  let tell = () => {}
  socket.setEncoding('latin1')
  socket.on('data', (piece: string) => {
    text += piece
    tell()
  })
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    error = cause.code ?? cause.message
  })
  for (const event of ['end', 'close']) {
    socket.on(event, () => {
      isOver = true
      tell()
    })
  }

  const more = () =>
    new Promise<void>((resolve) => {
      tell = resolve
    })

  return {
    socket: socket as Socket,
    send(bytes: string): void {
      socket.write(bytes, 'latin1')
    },
    /** What has come and was not read yet. */
    text: () => text,
    error: () => error,
    /** The next answer, interim ones too. `method` HEAD: it has no body. */
    async answer(method = 'GET'): Promise<Reply> {
      for (;;) {
        const found = firstOf(text, method, isOver)
        if (found !== undefined) {
          text = text.slice(found.length)
          return found.reply
        }
        if (isOver) throw new Error(`the connection ended ${error} after ${JSON.stringify(text)}`)
        await more()
      }
    },
    async ask(bytes: string, method = 'GET'): Promise<Reply> {
      this.send(bytes)
      return this.answer(method)
    },
    /** Resolves when this has come. */
    async until(wanted: string): Promise<string> {
      while (!text.includes(wanted)) {
        if (isOver) throw new Error(`ended ${error} with ${JSON.stringify(text)}`)
        await more()
      }
      return text
    },
    /** All that came until the balancer ended the connection. */
    async rest(): Promise<string> {
      while (!isOver) await more()
      return text
    },
    leave(): void {
      socket.destroy()
    },
  }
}

export function get(path: string, lines = '', host = 'api'): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`
}

export function post(path: string, body: string, lines = ''): string {
  return `POST ${path} HTTP/1.1\r\nHost: api\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`
}

function firstOf(text: string, method: string, isOver: boolean) {
  const end = text.indexOf('\r\n\r\n') + 4
  if (end < 4) return undefined
  const head = text.slice(0, end)
  const status = Number(head.slice(9, 12))
  const fields = (name: string) =>
    [...head.matchAll(new RegExp(`^${name}: ([^\\r]*)\\r`, 'gim'))].map(([, value]) => value ?? '')
  const whole = (body: string, length: number) => ({
    reply: { status, head, body, fields } satisfies Reply,
    length,
  })
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return whole('', end)
  const [length] = fields('content-length')
  if (length !== undefined) {
    const to = end + Number(length)
    return text.length < to ? undefined : whole(text.slice(end, to), to)
  }
  if (fields('transfer-encoding').length === 0) {
    return isOver ? whole(text.slice(end), text.length) : undefined
  }
  const chunks = chunksOf(text, end)
  return chunks === undefined ? undefined : whole(chunks.body, chunks.to)
}
