// Decides where the octets of a body in chunks are, and where the body ends (RFC 9112 section 7.1).
// It can be fed in pieces cut anywhere. Nothing but a trailer section is kept, and that is bounded.

import { type ChunkLine, createChunkLine, readChunkLine } from './chunk-line.ts'
import { FIELD, type FieldKind } from './field-kinds.ts'
import { createFields, isForbiddenInTrailers, nameAt, scanFields, valueAt } from './fields.ts'
import { TRAILER_LIMITS } from './limits.ts'
import { CR, LF, latin1 } from './octets.ts'

export type Chunked = {
  /** The whole body was read, trailer section included. */
  isDone: boolean
  /** The trailer fields to pass on, each with its line end; '' when there are none. */
  trailers: string
  /** Why the body was refused. */
  reason: string
  state: 'line' | 'data' | 'data_cr' | 'data_lf' | 'trailers'
  line: ChunkLine
  /** Octets of data until the end of the chunk. */
  left: number
  /** What came of a trailer section that is not complete. */
  pending: Buffer | undefined
}

/** Takes the octets of data from `start` to `end`. */
export type Sink = (bytes: Buffer, start: number, end: number) => void

/** Of use while one section is read, and then again. */
const trailerFields = createFields(TRAILER_LIMITS.fields)

export function createChunked(): Chunked {
  return {
    isDone: false,
    trailers: '',
    reason: '',
    state: 'line',
    line: createChunkLine(),
    left: 0,
    pending: undefined,
  }
}

/**
 * Reads on from `from`. Returns the offset up to which the octets belong to the body: `to` while it
 * goes on, that after its end when `isDone`. A negative number: it is refused, with the `reason`;
 * data before the fault was handed out by then. Not to be called again after the end or a refusal.
 */
export function feedChunked(
  chunked: Chunked,
  bytes: Buffer,
  from: number,
  to: number,
  sink: Sink,
): number {
  let at = from
  while (at < to) {
    switch (chunked.state) {
      case 'line': {
        at = readChunkLine(chunked.line, bytes, at, to)
        if (at < 0) return refuse(chunked, chunked.line.reason)
        if (!chunked.line.isDone) return to
        chunked.left = chunked.line.size
        chunked.state = chunked.left === 0 ? 'trailers' : 'data'
        break
      }
      case 'data': {
        const end = Math.min(to, at + chunked.left)
        chunked.left -= end - at
        if (chunked.left === 0) chunked.state = 'data_cr'
        sink(bytes, at, end)
        at = end
        break
      }
      case 'data_cr':
        if (bytes[at] !== CR) return refuse(chunked, 'a chunk longer than its size')
        chunked.state = 'data_lf'
        at += 1
        break
      case 'data_lf':
        if (bytes[at] !== LF) return refuse(chunked, 'a CR without LF after a chunk')
        chunked.state = 'line'
        at += 1
        break
      case 'trailers':
        return readTrailers(chunked, bytes, at, to)
    }
  }
  return to
}

/** The section may come in pieces: what there is of it is read from its start again. */
function readTrailers(chunked: Chunked, bytes: Buffer, from: number, to: number): number {
  const before = chunked.pending
  const had = before?.length ?? 0
  const last = Math.min(to, from + TRAILER_LIMITS.head - had)
  const piece = bytes.subarray(from, last)
  const section = before === undefined ? piece : Buffer.concat([before, piece])
  trailerFields.base = 0
  const end = scanFields(section, 0, section.length, trailerFields)
  if (end < 0) return refuse(chunked, `trailers: ${trailerFields.reason}`)
  if (end === 0) {
    if (section.length === TRAILER_LIMITS.head) {
      return refuse(chunked, `trailers of more than ${TRAILER_LIMITS.head} octets`)
    }
    // The octets that were given are not ours to keep.
    chunked.pending = before === undefined ? Buffer.from(section) : section
    return to
  }
  if (trailerFields.count > 0 && !takeTrailers(chunked, latin1(section, 0, end))) {
    return refuse(chunked, 'trailers: a field that belongs into a head')
  }
  chunked.pending = undefined
  chunked.isDone = true
  return from + end - had
}

/**
 * RFC 9110 section 6.5.1: what says where a message ends or goes comes too late. Other fields that
 * mean something to a proxy are not passed on: nobody would look at them again.
 */
function takeTrailers(chunked: Chunked, text: string): boolean {
  trailerFields.text = text
  for (let index = 0; index < trailerFields.count; index += 1) {
    const kind = trailerFields.kinds[index] as FieldKind
    if (isForbiddenInTrailers(kind)) return false
    if (kind !== FIELD.other) continue
    chunked.trailers += `${nameAt(trailerFields, index)}: ${valueAt(trailerFields, index)}\r\n`
  }
  return true
}

function refuse(chunked: Chunked, reason: string): number {
  chunked.reason = reason
  return -1
}
