// Decides whether octets are the head of a response, and where its body ends (RFC 9112 sections 4
// and 6). As strict as with requests: an instance that is misunderstood would answer one client
// with what belongs to another.

import { beginsWith, FIELD } from './field-kinds.ts'
import {
  CLOSE,
  isChunked,
  KEEP_ALIVE as KEPT,
  MALFORMED,
  parseLength,
  readConnection,
  UPGRADE as UPGRADES,
} from './field-values.ts'
import { createFields, type Fields, OFFSETS, scanFields, VALUE_END, VALUE_START } from './fields.ts'
import type { HeadLimits } from './limits.ts'
import { endOfValue, latin1 } from './octets.ts'

export type ResponseHead = Fields & {
  /** 100 to 599; 0 when the head was refused. */
  status: number
  minor: 0 | 1
  /** The reason phrase, which may be empty. (`reason` says why a head is refused.) */
  phrase: string
  /** What Content-Length says, or -1. Where the body ends is told by `bodyOf`. */
  contentLength: number
  isChunked: boolean
  /** Whether the connection can be used again after a body whose end is known. */
  keepAlive: boolean
  /** How long the instance says it keeps an idle connection, or -1. */
  keepAliveTimeoutMs: number
  /** What the instance changes to, of a 101. */
  upgrade: string
  /** Names of other fields in Connection, in small letters. */
  named: string[] | undefined
}

const TIMEOUT = new TextEncoder().encode('timeout=')

/** A body in chunks. */
export const CHUNKED = -1
/** A body that ends with the connection. */
export const UNTIL_CLOSE = -2

// Constants of this file, not of another one: see octets.ts.
const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const ZERO = 0x30
const { contentLength: LENGTH, transferEncoding: CODING, connection: CONNECTION } = FIELD
const { keepAlive: KEEP_ALIVE, upgrade: UPGRADE, other: OTHER } = FIELD

const KEEP_ALIVE_TIMEOUT = /(?:^|[,;])[ \t]*timeout[ \t]*=[ \t]*"?(\d{1,7})(?!\d)/i

export function createResponseHead(fieldsMax?: number): ResponseHead {
  return {
    ...createFields(fieldsMax),
    status: 0,
    minor: 1,
    phrase: '',
    contentLength: -1,
    isChunked: false,
    keepAlive: false,
    keepAliveTimeoutMs: -1,
    upgrade: '',
    named: undefined,
  }
}

/**
 * Octets of the body, or `CHUNKED` or `UNTIL_CLOSE`. `method`: of the request that it answers
 * (RFC 9112 section 6.3). Of a body until close, the connection is not used again.
 */
export function bodyOf(head: ResponseHead, method: string): number {
  const { status } = head
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 0
  if (head.isChunked) return CHUNKED
  return head.contentLength < 0 ? UNTIL_CLOSE : head.contentLength
}

/**
 * Reads a head from `from` on. Returns the offset after it; 0 when it is valid so far but not
 * complete; a negative number when it is no head of HTTP/1, with the `reason` in `head`.
 */
export function parseResponseHead(
  bytes: Buffer,
  from: number,
  to: number,
  head: ResponseHead,
  limits: HeadLimits,
): number {
  head.text = ''
  head.status = 0
  head.base = from
  head.countMax = limits.fields
  const last = Math.min(to, from + limits.head)
  const end = readHead(bytes, last, head, limits)
  if (end === 0 && last - from === limits.head) {
    return refuse(head, `a head of more than ${limits.head} octets`)
  }
  if (end < 0) head.status = 0
  return end
}

function readHead(bytes: Buffer, to: number, head: ResponseHead, limits: HeadLimits): number {
  const { base } = head
  const lineEnd = readStatusLine(bytes, to, head, limits)
  if (lineEnd <= 0) return lineEnd
  const end = scanFields(bytes, lineEnd, to, head)
  if (end <= 0) return end
  head.text = latin1(bytes, base, end)
  head.phrase = head.text.slice(AFTER_STATUS + 1, lineEnd - base - 2)
  return readFacts(bytes, head) < 0 ? -1 : end
}

const AFTER_STATUS = 'HTTP/1.1 200'.length
/** What must stand before the status, but for the minor version. */
const VERSION = [0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e]

/**
 * Sets version and status. Returns the offset after the line. The space after the status is
 * asked for by RFC 9112 section 4; a line that ends before it is common and means one thing only.
 */
function readStatusLine(bytes: Buffer, to: number, head: ResponseHead, limits: HeadLimits): number {
  const { base } = head
  for (let index = 0; index < VERSION.length; index += 1) {
    if (base + index === to) return 0
    if (bytes[base + index] !== VERSION[index]) return refuse(head, 'no status line of HTTP/1')
  }
  const refusal = readStatus(bytes, base + VERSION.length, to, head)
  if (refusal < 0) return refusal
  let at = base + AFTER_STATUS
  if (at >= to) return 0
  if (bytes[at] === SP) {
    at = endOfValue(bytes, at, Math.min(to, base + limits.line))
    if (at - base === limits.line) return refuse(head, 'a status line that is too long')
    if (at === to) return 0
  }
  if (bytes[at] !== CR) return refuse(head, 'an octet that no status line may have')
  if (at + 1 === to) return 0
  if (bytes[at + 1] !== LF) return refuse(head, 'a CR without LF after the status line')
  return at + 2
}

/** The minor version, a space and three digits, as far as they are there. */
function readStatus(bytes: Buffer, from: number, to: number, head: ResponseHead): number {
  if (from === to) return 0
  const minor = (bytes[from] as number) - ZERO
  if (minor !== 1 && minor !== 0) return refuse(head, 'a version other than 1.0 and 1.1')
  head.minor = minor
  if (from + 1 === to) return 0
  if (bytes[from + 1] !== SP) return refuse(head, 'no space between version and status')
  const last = Math.min(to, from + 5)
  let status = 0
  for (let at = from + 2; at < last; at += 1) {
    const digit = (bytes[at] as number) - ZERO
    if (digit < 0 || digit > 9) return refuse(head, 'a status that is not a number')
    status = status * 10 + digit
    if (status === 0 || (status > 5 && at === from + 2)) {
      return refuse(head, 'a status not in 100 to 599')
    }
  }
  head.status = status
  return 0
}

function readFacts(bytes: Buffer, head: ResponseHead): number {
  head.contentLength = -1
  head.isChunked = false
  head.keepAliveTimeoutMs = -1
  head.upgrade = ''
  head.named = undefined
  const { at, kinds, base, count } = head
  let options = 0
  for (let index = 0; index < count; index += 1) {
    const kind = kinds[index] as number
    if (kind === OTHER || kind > UPGRADE) continue
    const start = base + (at[index * OFFSETS + VALUE_START] as number)
    const end = base + (at[index * OFFSETS + VALUE_END] as number)
    switch (kind) {
      case LENGTH:
        if (hasFraming(head)) return refuse(head, TWO_LENGTHS)
        head.contentLength = parseLength(bytes, start, end)
        if (head.contentLength < 0) return refuse(head, 'a Content-Length that is not a number')
        break
      case CODING:
        if (hasFraming(head)) return refuse(head, TWO_LENGTHS)
        head.isChunked = head.minor === 1 && isChunked(bytes, start, end)
        if (!head.isChunked) return refuse(head, 'a Transfer-Encoding other than chunked')
        break
      case CONNECTION:
        options |= readConnection(bytes, start, end, head)
        break
      case KEEP_ALIVE:
        head.keepAliveTimeoutMs = timeoutOf(bytes, start, end)
        break
      case UPGRADE:
        head.upgrade = head.text.slice(start - base, end - base)
        break
    }
  }
  return readOptions(head, options)
}

const TWO_LENGTHS = 'the length of the body is given twice'

function hasFraming(head: ResponseHead): boolean {
  return head.isChunked || head.contentLength >= 0
}

function readOptions(head: ResponseHead, options: number): number {
  if ((options & MALFORMED) !== 0) return refuse(head, 'Connection is not a list')
  const isKept = head.minor === 1 || (options & KEPT) !== 0
  head.keepAlive = isKept && (options & CLOSE) === 0
  if ((options & UPGRADES) === 0) head.upgrade = ''
  // RFC 9110 section 8.6, RFC 9112 section 6.1: it has no body, yet speaks of one. If one comes
  // all the same it must not be taken for the next answer.
  const isWithoutBody = head.status < 200 || head.status === 204
  if (isWithoutBody && (head.isChunked || head.contentLength > 0)) {
    if (head.status < 200) return refuse(head, 'an interim answer with the length of a body')
    head.keepAlive = false
  }
  return 0
}

/** Nearly always it is `timeout=5`, sent with every answer: the rest is left to the pattern. */
function timeoutOf(bytes: Buffer, start: number, end: number): number {
  const digits = start + TIMEOUT.length
  const seconds = end > digits && end - digits < 8 ? parseLength(bytes, digits, end) : -1
  if (seconds >= 0 && beginsWith(bytes, start, TIMEOUT)) return seconds * 1000
  const said = KEEP_ALIVE_TIMEOUT.exec(latin1(bytes, start, end))?.[1]
  return said === undefined ? -1 : Number(said) * 1000
}

function refuse(head: ResponseHead, reason: string): number {
  head.reason = reason
  return -1
}
