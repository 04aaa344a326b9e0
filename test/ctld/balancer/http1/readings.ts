// Reads raw text with the parsers of the data plane, in one piece and cut at every octet, and says
// in plain values what came of it.

import { expect } from 'vitest'
import { createChunked, feedChunked } from '#ctld/balancer/data-plane/http1/chunked.ts'
import { type Fields, nameAt, valueAt } from '#ctld/balancer/data-plane/http1/fields.ts'
import { HEAD_LIMITS } from '#ctld/balancer/data-plane/http1/limits.ts'
import {
  createRequestHead,
  parseRequestHead,
  type RequestHead,
} from '#ctld/balancer/data-plane/http1/request-head.ts'
import {
  createResponseHead,
  parseResponseHead,
  type ResponseHead,
} from '#ctld/balancer/data-plane/http1/response-head.ts'

/** `end`: 0 when incomplete, negative when refused. Facts and fields only of a complete head. */
export type HeadReading<H> = {
  end: number
  status: number
  reason: string
  facts: Partial<H>
  fields: string[][]
}

type Parse = (bytes: Buffer, from: number, to: number) => number

const requestHead = createRequestHead()
const responseHead = createResponseHead()

export function readRequest(raw: string, limits = HEAD_LIMITS): HeadReading<RequestHead> {
  return readEverywhere(raw, requestHead, (bytes, from, to) =>
    parseRequestHead(bytes, from, to, requestHead, limits),
  )
}

export function readResponse(raw: string, limits = HEAD_LIMITS): HeadReading<ResponseHead> {
  return readEverywhere(raw, responseHead, (bytes, from, to) =>
    parseResponseHead(bytes, from, to, responseHead, limits),
  )
}

/** Also behind other octets, and in every pair of pieces: nothing may depend on where it is cut. */
function readEverywhere<H extends Fields & { status: number }>(
  raw: string,
  head: H,
  parse: Parse,
): HeadReading<H> {
  const bytes = Buffer.from(raw, 'latin1')
  const whole = readingOf(bytes, 0, head, parse)
  const shifted = Buffer.from(`ab\r\n${raw}`, 'latin1')
  expect(readingOf(shifted, 4, head, parse), `${raw} behind others`).toEqual(whole)
  for (let cut = 0; cut < bytes.length; cut += 1) {
    const first = parse(bytes, 0, cut)
    // A head that is complete or refused before the end of the text is so in one piece too.
    if (first !== 0 && first !== whole.end)
      expect(first, `${raw} cut at ${cut}: ${head.reason}`).toBe(whole.end)
  }
  return whole
}

function readingOf<H extends Fields & { status: number }>(
  bytes: Buffer,
  from: number,
  head: H,
  parse: Parse,
): HeadReading<H> {
  head.reason = ''
  const end = parse(bytes, from, bytes.length)
  const { status, reason } = head
  if (end <= 0) return { end, status, reason, facts: {}, fields: [] }
  const { at: _at, kinds: _kinds, canonical: _canonical, text: _text, ...facts } = head
  const fields = Array.from({ length: head.count }, (_, index) => [
    nameAt(head, index),
    valueAt(head, index),
  ])
  // Where the text begins is the one thing that must differ.
  return { end: end - from, status, reason, facts: { ...facts, base: 0 } as Partial<H>, fields }
}

export type BodyReading = {
  data: string
  trailers: string
  /** Octets behind the body, when it is done. */
  rest: string
  outcome: 'done' | 'incomplete' | 'refused'
  reason: string
}

/** In one piece, in every pair of pieces and octet by octet. */
export function readChunks(raw: string): BodyReading {
  const bytes = Buffer.from(raw, 'latin1')
  const whole = feedPieces([bytes])
  for (let cut = 1; cut < bytes.length; cut += 1) {
    const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)]
    expectSame(feedPieces(pieces), whole, () => `${JSON.stringify(raw)} cut at ${cut}`)
  }
  const octets = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
  expect(feedPieces(octets), `${JSON.stringify(raw)} octet by octet`).toEqual(whole)
  return whole
}

/** To make a message for each of a thousand cuts takes longer than to read them. */
function expectSame(reading: BodyReading, whole: BodyReading, where: () => string): void {
  const isSame = (Object.keys(whole) as (keyof BodyReading)[]).every(
    (key) => reading[key] === whole[key],
  )
  if (!isSame) expect(reading, where()).toEqual(whole)
}

function feedPieces(pieces: readonly Buffer[]): BodyReading {
  const chunked = createChunked()
  let data = ''
  for (const [index, piece] of pieces.entries()) {
    // The octets belong to whoever reads the socket: they are gone after each call.
    const lent = Buffer.from(piece)
    const end = feedChunked(chunked, lent, 0, lent.length, (bytes, from, to) => {
      data += bytes.toString('latin1', from, to)
    })
    lent.fill('!')
    const { trailers, reason } = chunked
    if (end < 0) return { data, trailers, rest: '', outcome: 'refused', reason }
    if (!chunked.isDone) {
      expect(end).toBe(piece.length)
      continue
    }
    const rest = Buffer.concat([piece.subarray(end), ...pieces.slice(index + 1)])
    return { data, trailers, rest: rest.toString('latin1'), outcome: 'done', reason }
  }
  return { data, trailers: chunked.trailers, rest: '', outcome: 'incomplete', reason: '' }
}
