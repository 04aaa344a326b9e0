// Reads the answers that come on a connection to an instance, one after the other, and hands their
// parts to the exchange whose turn it is. What is not HTTP ends the connection.

import {
  type Chunked,
  createChunked,
  feedChunked,
} from '#ctld/balancer/data-plane/http1/chunked.ts'
import { HEAD_LIMITS } from '#ctld/balancer/data-plane/http1/limits.ts'
import {
  bodyOf,
  CHUNKED,
  parseResponseHead,
  type ResponseHead,
  UNTIL_CLOSE,
} from '#ctld/balancer/data-plane/http1/response-head.ts'
import type { Clock } from '#shared/ports.ts'
import type { Exchange } from './exchange.io.ts'
import type { InstanceConnection } from './instance-connection.io.ts'

type Reading = 'head' | 'length' | 'chunks' | 'until_close'

export class AnswerReader {
  readonly #connection: InstanceConnection
  readonly #clock: Clock
  /** It is used up within one call. */
  readonly #head: ResponseHead
  #reading: Reading = 'head'
  /** Octets of the body that are still to come. */
  #left = 0
  #chunked: Chunked | undefined
  #rest: Buffer | undefined

  constructor(
    connection: InstanceConnection,
    shared: { clock: Clock; responseHead: ResponseHead },
  ) {
    this.#connection = connection
    this.#clock = shared.clock
    this.#head = shared.responseHead
  }

  get isAtHead(): boolean {
    return this.#reading === 'head'
  }

  get isUntilClose(): boolean {
    return this.#reading === 'until_close'
  }

  /** The first `size` octets of `bytes`, which are not ours to keep. */
  read(bytes: Buffer, size: number): void {
    const connection = this.#connection
    let octets = bytes
    let from = 0
    let to = size
    if (this.#rest !== undefined) {
      octets = Buffer.concat([this.#rest, bytes.subarray(0, size)])
      this.#rest = undefined
      to = octets.length
    }
    while (from < to && connection.isOpen) {
      const exchange = connection.first
      // Nothing was asked: whatever it is, it must not be taken for an answer to the next.
      if (exchange === undefined) {
        connection.destroy()
        return
      }
      if (this.#reading !== 'head') from = this.#readBody(exchange, octets, from, to)
      else {
        const end = this.#readHead(exchange, octets, from, to)
        if (end === 0) this.#rest = Buffer.from(octets.subarray(from, to))
        if (end === 0) return
        from = end
      }
      if (from < 0) return
    }
  }

  /** Returns the offset after the head; 0: more is to come; -1: the connection is done with. */
  #readHead(exchange: Exchange, octets: Buffer, from: number, to: number): number {
    const head = this.#head
    const end = parseResponseHead(octets, from, to, head, HEAD_LIMITS)
    if (end === 0) return 0
    if (end < 0) return this.#invalid(exchange, head.reason)
    if (head.status === 101) {
      if (exchange.asked.protocol === '') return this.#invalid(exchange, 'an unasked 101')
      exchange.switched(head, this.#connection, Buffer.from(octets.subarray(end, to)))
      return -1
    }
    if (head.status < 200) {
      exchange.interim(head)
      return end
    }
    return this.#begin(exchange, octets, end, to)
  }

  #begin(exchange: Exchange, octets: Buffer, end: number, to: number): number {
    const head = this.#head
    const now = this.#clock.now()
    const length = bodyOf(head, exchange.asked.method)
    this.#connection.noteHead(head, length, now)
    exchange.begin(head, length, now)
    if (length === 0) return this.#ended(exchange, end, to)
    if (length === CHUNKED) this.#chunked = createChunked()
    this.#left = length
    this.#reading = readingOf(length)
    if (length >= 0 && length <= to - end) return this.#readBody(exchange, octets, end, to)
    // A body that is not all here: its pieces have a time limit of their own.
    this.#connection.watchBody()
    // Nobody knows when the body comes: the client sees the head at once.
    if (end === to) exchange.flush()
    return end
  }

  #readBody(exchange: Exchange, octets: Buffer, from: number, to: number): number {
    if (this.#reading === 'chunks') return this.#readChunks(exchange, octets, from, to)
    const end = this.#reading === 'length' ? Math.min(to, from + this.#left) : to
    this.#left -= end - from
    exchange.piece(octets, from, end)
    if (this.#reading === 'length' && this.#left === 0) return this.#ended(exchange, end, to)
    this.#connection.watchBody()
    exchange.flush()
    return end
  }

  #readChunks(exchange: Exchange, octets: Buffer, from: number, to: number): number {
    const chunked = this.#chunked as Chunked
    const end = feedChunked(chunked, octets, from, to, this.#sink)
    if (!this.#connection.isOpen) return -1
    if (end < 0) return this.#invalid(exchange, chunked.reason)
    if (chunked.isDone) {
      exchange.trailers(chunked.trailers)
      return this.#ended(exchange, end, to)
    }
    this.#connection.watchBody()
    exchange.flush()
    return end
  }

  readonly #sink = (octets: Buffer, from: number, to: number): void => {
    this.#connection.first?.piece(octets, from, to)
  }

  #ended(exchange: Exchange, end: number, to: number): number {
    this.#reading = 'head'
    this.#connection.ended(exchange, end === to)
    return this.#connection.isOpen ? end : -1
  }

  #invalid(exchange: Exchange, error: string): number {
    this.#connection.invalid(exchange, error)
    return -1
  }
}

function readingOf(length: number): Reading {
  if (length === CHUNKED) return 'chunks'
  return length === UNTIL_CLOSE ? 'until_close' : 'length'
}
