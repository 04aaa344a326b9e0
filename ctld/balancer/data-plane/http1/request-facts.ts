// Decides what the fields of a request say together: where its body ends, whom it is for, whether
// the connection goes on. Of one thing two statements are one too many (RFC 9112 section 6).

import { FIELD } from './field-kinds.ts'
import * as values from './field-values.ts'
import { OFFSETS, VALUE_END, VALUE_START } from './fields.ts'
import { isHost, isSameAuthority } from './host.ts'
import { latin1 } from './octets.ts'
import { refuse } from './refusal.ts'
import type { RequestHead } from './request-head.ts'

// Constants of this file, not of another one: see octets.ts.
const {
  host: HOST,
  contentLength: LENGTH,
  transferEncoding: CODING,
  connection: CONNECTION,
} = FIELD
const { upgrade: UPGRADE, expect: EXPECT, other: OTHER } = FIELD

/** A body in chunks, of no length known before. */
export const CHUNKED = -1
/** The body of which no field says anything. */
const NONE = -2
const TWO_LENGTHS = 'the length of the body is given twice'
/** The value of a list of codings that ends in chunked, as it must, but begins otherwise. */
const OTHER_CODINGS = /^((?!chunked[ \t]*,)[!#$%&'*+.^_`|~\w-]+[ \t]*,[ \t]*)+chunked$/i
/** Nobody checks what a client says after a change to HTTP/2: it is not offered to programs. */
const HTTP2 = /(^|,)[ \t]*(h2c?|http\/2(\.0)?)[ \t]*(,|$)/i

/**
 * Reads the fields of a complete head, whose line is read. Returns 0, or minus the status of a
 * refusal.
 */
export function readFacts(bytes: Buffer, head: RequestHead): number {
  const authority = head.host
  head.host = ''
  head.bodyLength = NONE
  head.expectContinue = false
  head.upgrade = ''
  head.named = undefined
  const { at, kinds, base, count } = head
  let hosts = 0
  let options = 0
  for (let index = 0; index < count; index += 1) {
    const kind = kinds[index] as number
    if (kind === OTHER || kind > EXPECT) continue
    const start = base + (at[index * OFFSETS + VALUE_START] as number)
    const end = base + (at[index * OFFSETS + VALUE_END] as number)
    let refusal = 0
    switch (kind) {
      case HOST:
        hosts += 1
        refusal = hosts > 1 ? refuse(head, 400, 'two Hosts') : readHost(bytes, start, end, head)
        break
      case LENGTH:
        refusal = readLength(bytes, start, end, head)
        break
      case CODING:
        refusal = readCoding(bytes, start, end, head)
        break
      case CONNECTION:
        options |= values.readConnection(bytes, start, end, head)
        break
      case UPGRADE:
        head.upgrade = joined(head.upgrade, head.text.slice(start - base, end - base))
        break
      case EXPECT:
        refusal = readExpect(bytes, start, end, head)
        break
    }
    if (refusal < 0) return refusal
  }
  if (head.bodyLength === NONE) head.bodyLength = 0
  return readOptions(head, options) || readAuthority(head, authority, hosts)
}

function joined(one: string, other: string): string {
  return one === '' ? other : `${one}, ${other}`
}

function readHost(bytes: Buffer, start: number, end: number, head: RequestHead): number {
  if (!isHost(bytes, start, end)) return refuse(head, 400, 'a Host that names no host')
  head.host = head.text.slice(start - head.base, end - head.base)
  return 0
}

/** RFC 9112 section 6.3: a length beside chunks, or repeated, is an attempt at smuggling. */
function readLength(bytes: Buffer, start: number, end: number, head: RequestHead): number {
  if (head.bodyLength !== NONE) return refuse(head, 400, TWO_LENGTHS)
  head.bodyLength = values.parseLength(bytes, start, end)
  return head.bodyLength < 0 ? refuse(head, 400, 'a Content-Length that is not a number') : 0
}

/** RFC 9112 section 6.1: 501 for a coding that we do not know, 400 where the end is not known. */
function readCoding(bytes: Buffer, start: number, end: number, head: RequestHead): number {
  if (head.bodyLength !== NONE) return refuse(head, 400, TWO_LENGTHS)
  if (head.minor === 0) return refuse(head, 400, 'Transfer-Encoding in HTTP/1.0')
  if (!values.isChunked(bytes, start, end)) {
    const isKnownEnd = OTHER_CODINGS.test(latin1(bytes, start, end))
    return refuse(head, isKnownEnd ? 501 : 400, 'a Transfer-Encoding other than chunked')
  }
  head.bodyLength = CHUNKED
  return 0
}

/** RFC 9110 section 10.1.1. What HTTP/1.0 expects is not heard, unless nobody knows what it is. */
function readExpect(bytes: Buffer, start: number, end: number, head: RequestHead): number {
  if (!values.isContinue(bytes, start, end)) {
    return refuse(head, 417, 'only 100-continue may be expected')
  }
  head.expectContinue = head.minor === 1
  return 0
}

/** RFC 9112 section 9.3; RFC 9110 section 7.8: HTTP/1.0 cannot ask for another protocol. */
function readOptions(head: RequestHead, options: number): number {
  if ((options & values.MALFORMED) !== 0) return refuse(head, 400, 'Connection is not a list')
  const isKept = head.minor === 1 || (options & values.KEEP_ALIVE) !== 0
  head.keepAlive = isKept && (options & values.CLOSE) === 0
  const isUpgrade = head.minor === 1 && (options & values.UPGRADE) !== 0
  if (!isUpgrade || (head.upgrade !== '' && HTTP2.test(head.upgrade))) head.upgrade = ''
  return 0
}

/** RFC 9112 section 3.2. `authority`: that of the target, or ''. */
function readAuthority(head: RequestHead, authority: string, hosts: number): number {
  if (hosts === 0 && head.minor === 1) return refuse(head, 400, 'no Host')
  if (authority === '') return 0
  if (hosts === 1 && !isSameAuthority(head.host, authority, head.defaultPort)) {
    return refuse(head, 400, 'a Host other than that of the target')
  }
  head.host = authority
  return 0
}
