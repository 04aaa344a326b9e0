// A program that speaks bytes, for tests of one loop: it keeps a record of every request, with the
// connection that it came on, and answers as the test says, also in ways that no server would.

import type { Socket } from 'node:net'
import type { Rig } from '#test/ctld/balancer/rig.ts'
import { chunksOf } from './chunks.ts'

export type Seen = {
  /** Number of the connection, from 1. */
  on: number
  method: string
  path: string
  head: string
  body: string
  /** Requests that came in the same read, this one included. */
  together: number
  fields(name: string): string[]
  reply(text: string): void
  socket: Socket
}

export type Origin = Awaited<ReturnType<typeof createOrigin>>

/** `serve` is called with each request when its head and body are whole. */
export async function createOrigin(rig: Rig, serve: (seen: Seen) => void = ok) {
  const seen: Seen[] = []
  const sockets: Socket[] = []
  const waiting: { isSo: () => boolean; tell: () => void }[] = []
  const told = () => {
    for (const one of waiting.splice(0)) {
      if (one.isSo()) one.tell()
      else waiting.push(one)
    }
  }
  const port = await rig.tcp((socket) => {
    const on = sockets.push(socket)
    let rest = ''
    socket.setEncoding('latin1')
    socket.on('close', told)
    socket.on('data', (text: string) => {
      rest += text
      const batch: Seen[] = []
      for (let one = firstOf(rest); one !== undefined; one = firstOf(rest)) {
        rest = rest.slice(one.length)
        batch.push(seenOf(one, on, socket))
      }
      for (const one of batch) {
        one.together = batch.length
        seen.push(one)
      }
      for (const one of batch) serve(one)
      told()
    })
  })
  return {
    port,
    seen,
    sockets,
    paths: () => seen.map(({ path }) => path),
    /** Resolves when it holds, asked after each piece that comes in and each connection's end. */
    until: (isSo: () => boolean) =>
      isSo() ? Promise.resolve() : new Promise<void>((tell) => waiting.push({ isSo, tell })),
    /** Resolves when so many requests have come in all. */
    untilSeen(count: number): Promise<void> {
      return this.until(() => seen.length >= count)
    },
    untilClosed(on: number): Promise<void> {
      return this.until(() => sockets[on - 1]?.closed === true)
    },
  }
}

export function ok(seen: Seen): void {
  seen.reply(answer(seen.path))
}

export function answer(body: string, lines = '', status = '200 OK'): string {
  return `HTTP/1.1 ${status}\r\n${lines}Content-Length: ${body.length}\r\n\r\n${body}`
}

export function chunked(pieces: string[], trailers = ''): string {
  const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`)
  return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.join('')}0\r\n${trailers}\r\n`
}

type Whole = { head: string; body: string; length: number }

function firstOf(text: string): Whole | undefined {
  const end = text.indexOf('\r\n\r\n') + 4
  if (end < 4) return undefined
  const head = text.slice(0, end)
  const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
  if (!/^transfer-encoding: chunked/im.test(head)) {
    if (text.length < end + length) return undefined
    return { head, body: text.slice(end, end + length), length: end + length }
  }
  const chunks = chunksOf(text, end)
  return chunks === undefined ? undefined : { head, body: chunks.body, length: chunks.to }
}

function seenOf({ head, body }: Whole, on: number, socket: Socket): Seen {
  const [method = '', path = ''] = head.split(' ')
  const fields = (name: string) =>
    [...head.matchAll(new RegExp(`^${name}: ([^\\r]*)\\r`, 'gim'))].map(([, value]) => value ?? '')
  const reply = (text: string) => void (socket.destroyed || socket.write(text, 'latin1'))
  return { on, method, path, head, body, together: 1, fields, reply, socket }
}
