// Reads all that a client sends on one connection, twice: with our parser, and with Node's own
// (llhttp, strict). What each of them takes for requests is told in the same words.

import { createServer, IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import { createChunked, feedChunked } from '#ctld/balancer/data-plane/http1/chunked.ts'
import { nameAt, valueAt } from '#ctld/balancer/data-plane/http1/fields.ts'
import { HEAD_LIMITS } from '#ctld/balancer/data-plane/http1/limits.ts'
import {
  createRequestHead,
  parseRequestHead,
} from '#ctld/balancer/data-plane/http1/request-head.ts'

export type Message = {
  method: string
  /** As it was sent. */
  target: string
  minor: number
  /** Names and values in turn. */
  fields: string[]
  body: string
  /** The body came to its end. */
  isWhole: boolean
}

export type StreamReading = {
  messages: Message[]
  /** Offset of each message; told by ours only. */
  starts: number[]
  /** `closed`: the last request said that it is the last one. */
  end: 'open' | 'closed' | 'refused'
  why: string
}

const head = createRequestHead()

export function ourReading(bytes: Buffer): StreamReading {
  const messages: Message[] = []
  const starts: number[] = []
  let at = 0
  for (;;) {
    const bodyStart = parseRequestHead(bytes, at, bytes.length, head, HEAD_LIMITS)
    if (bodyStart < 0) return { messages, starts, end: 'refused', why: head.reason }
    if (bodyStart === 0) return { messages, starts, end: 'open', why: 'in a head' }
    let where = 'in a body'
    const message: Message = {
      method: head.method,
      target: head.text.split(' ', 2)[1] ?? '',
      minor: head.minor,
      fields: fieldsOf(),
      body: '',
      isWhole: false,
    }
    messages.push(message)
    starts.push(head.base)
    if (head.bodyLength >= 0) {
      at = Math.min(bytes.length, bodyStart + head.bodyLength)
      message.body = bytes.toString('latin1', bodyStart, at)
      message.isWhole = at === bodyStart + head.bodyLength
    } else {
      const chunked = createChunked()
      at = feedChunked(chunked, bytes, bodyStart, bytes.length, (piece, start, end) => {
        message.body += piece.toString('latin1', start, end)
      })
      if (at < 0) return { messages, starts, end: 'refused', why: chunked.reason }
      message.isWhole = chunked.isDone
      if (chunked.state === 'trailers') where = 'in trailers'
    }
    if (!message.isWhole) return { messages, starts, end: 'open', why: where }
    // What follows an upgrade is no HTTP, or nothing: Node reads no further either.
    if (!head.keepAlive || asksForUpgrade(message.fields))
      return { messages, starts, end: 'closed', why: '' }
  }
}

function fieldsOf(): string[] {
  const fields: string[] = []
  for (let index = 0; index < head.count; index += 1) {
    fields.push(nameAt(head, index), valueAt(head, index))
  }
  return fields
}

function asksForUpgrade(fields: readonly string[]): boolean {
  const valuesOf = (name: string) =>
    fields.filter((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === name)
  return valuesOf('upgrade').length > 0 && /upgrade/i.test(valuesOf('connection').join())
}

/** Hears of each piece of a body at once, not when somebody reads it. */
class HeardMessage extends IncomingMessage {
  heard = ''

  override push(piece: Buffer | null): boolean {
    if (piece !== null) this.heard += piece.toString('latin1')
    return super.push(piece)
  }
}

/** Never connected to anything: Node's server parses what is emitted as its data. */
class DeafSocket extends Duplex {
  override _read(): void {}

  override _write(_piece: Buffer, _encoding: string, done: () => void): void {
    done()
  }
}

/** To be awaited between many readings, so that what Node does afterwards is done. */
export function createNodeReader(): (bytes: Buffer) => StreamReading {
  let requests: HeardMessage[] = []
  let failures: string[] = []
  const server = createServer({ IncomingMessage: HeardMessage, insecureHTTPParser: false })
  const take = (request: HeardMessage) => requests.push(request)
  server.on('request', take)
  server.on('checkContinue', take)
  server.on('clientError', (error: Error & { code?: string; reason?: string }) => {
    failures.push(`${error.code}: ${error.reason ?? error.message}`)
  })
  return (bytes) => {
    requests = []
    failures = []
    const socket = new DeafSocket()
    socket.on('error', () => {})
    server.emit('connection', socket)
    socket.emit('data', bytes)
    const messages = requests.map((request) => ({
      method: request.method ?? '',
      target: request.url ?? '',
      minor: request.httpVersionMinor,
      fields: request.rawHeaders,
      body: request.heard,
      isWhole: request.complete,
    }))
    const [why = ''] = failures
    socket.destroy()
    return { messages, starts: [], end: why === '' ? 'open' : 'refused', why }
  }
}
