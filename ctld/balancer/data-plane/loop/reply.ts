// An instance's answer on its way to the client: head, pieces of the body, end. The framing is made
// anew: a length stays a length; chunks, and a body that ends with the connection, become chunks
// for a client that knows them and end the connection for one that does not.

import {
  CHUNKED,
  type ResponseHead,
  UNTIL_CLOSE,
} from '#ctld/balancer/data-plane/http1/response-head.ts'
import { headToClient } from './to-client.ts'

/** The client's end, as a reply needs it. */
export type ReplyTo = {
  text(text: string): void
  octets(bytes: Buffer, from: number, to: number): void
}

export type ReplyFacts = {
  method: string
  /** Of the client's version of HTTP: 1.0 knows no chunks. */
  minor: 0 | 1
  requestId: string
  instance: string
  cookie: string
  /** The client's connection may be used again, as far as the request is concerned. */
  mayKeep: boolean
}

export class Reply {
  readonly status: number
  /** Can the client send another request on its connection? */
  readonly isKept: boolean
  bytes = 0
  readonly #to: ReplyTo
  readonly #inChunks: boolean

  constructor(to: ReplyTo, head: ResponseHead, length: number, facts: ReplyFacts) {
    const isUnframed = length === CHUNKED || length === UNTIL_CLOSE
    this.#to = to
    this.status = head.status
    this.#inChunks = isUnframed && facts.minor === 1
    this.isKept = facts.mayKeep && (!isUnframed || facts.minor === 1)
    to.text(
      headToClient(head, {
        requestId: facts.requestId,
        instance: facts.instance,
        cookie: facts.cookie,
        framing: this.#inChunks ? 'Transfer-Encoding: chunked\r\n' : framingOf(head, length, facts),
        connection: connectionLine(this.isKept, facts.minor),
      }),
    )
  }

  piece(octets: Buffer, from: number, to: number): void {
    const size = to - from
    if (size === 0) return
    this.bytes += size
    if (this.#inChunks) this.#to.text(`${size.toString(16)}\r\n`)
    this.#to.octets(octets, from, to)
    if (this.#inChunks) this.#to.text('\r\n')
  }

  /** `trailers`: lines that were read after the last chunk. */
  end(trailers: string): void {
    if (this.#inChunks) this.#to.text(`0\r\n${trailers}\r\n`)
  }
}

/** What a client is told of its connection; nothing where its version of HTTP says it already. */
export function connectionLine(isKept: boolean, minor: 0 | 1): string {
  if (!isKept) return 'Connection: close\r\n'
  return minor === 1 ? '' : 'Connection: keep-alive\r\n'
}

// The answer to HEAD, and 304, say the length of a body that is not there.
function framingOf(head: ResponseHead, length: number, { method }: ReplyFacts): string {
  if (length > 0) return `Content-Length: ${length}\r\n`
  if (length < 0 || head.status === 204) return ''
  if (method !== 'HEAD' && head.status !== 304) return 'Content-Length: 0\r\n'
  if (head.contentLength >= 0) return `Content-Length: ${head.contentLength}\r\n`
  return ''
}
