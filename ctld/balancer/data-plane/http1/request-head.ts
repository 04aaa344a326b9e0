// Decides whether octets are the head of a request, and what it says (RFC 9110, RFC 9112). As
// strict as the strictest: what two servers could read in two ways is refused, and so is
// everything that RFC 9112 calls invalid. Nothing is repaired.

import { createFields, type Fields, scanFields } from './fields.ts'
import type { HeadLimits } from './limits.ts'
import { CR, LF, latin1 } from './octets.ts'
import { refuse } from './refusal.ts'
import { readFacts } from './request-facts.ts'
import { AFTER_TARGET, readRequestLine } from './request-line.ts'

export type RequestHead = Fields & {
  /** Of a refusal: 400, 405, 414, 417, 431, 501 or 505. Else 0. */
  status: number
  method: string
  /** In origin-form, or `*`. What was sent in absolute-form is rewritten. */
  target: string
  /** The target without its query. */
  path: string
  /** As sent, port included; the authority of a target in absolute-form. '' only in HTTP/1.0. */
  host: string
  /** The port that the scheme of a target in absolute-form means. Else of no meaning. */
  defaultPort: number
  minor: 0 | 1
  /** -1: in chunks. */
  bodyLength: number
  /** Whether the client can send another request afterwards. */
  keepAlive: boolean
  expectContinue: boolean
  /** What Upgrade asks for, when Connection names it too. */
  upgrade: string
  /** Names of other fields in Connection, in small letters. */
  named: string[] | undefined
  isSafe: boolean
  isIdempotent: boolean
}

export function createRequestHead(fieldsMax?: number): RequestHead {
  return {
    ...createFields(fieldsMax),
    status: 0,
    method: '',
    target: '',
    path: '',
    host: '',
    defaultPort: 80,
    minor: 1,
    bodyLength: 0,
    keepAlive: false,
    expectContinue: false,
    upgrade: '',
    named: undefined,
    isSafe: false,
    isIdempotent: false,
  }
}

/**
 * Reads a head from `from` on. Returns the offset after it; 0 when it is valid so far but not
 * complete; a negative number when it is refused, with `status` and `reason` in `head`.
 * One empty line before the head is skipped (RFC 9112 section 2.2).
 */
export function parseRequestHead(
  bytes: Buffer,
  from: number,
  to: number,
  head: RequestHead,
  limits: HeadLimits,
): number {
  head.text = ''
  let base = from
  if (from < to && bytes[from] === CR) {
    if (from + 1 === to) return 0
    if (bytes[from + 1] !== LF) return refuse(head, 400, 'a CR without LF before the request')
    base += 2
  }
  head.base = base
  head.countMax = limits.fields
  const last = Math.min(to, base + limits.head)
  const end = readHead(bytes, last, head, limits)
  if (end === 0 && last - base === limits.head) {
    return refuse(head, 431, `a head of more than ${limits.head} octets`)
  }
  return end
}

function readHead(bytes: Buffer, to: number, head: RequestHead, limits: HeadLimits): number {
  const lineEnd = readRequestLine(bytes, to, head, limits)
  if (lineEnd <= 0) return lineEnd
  const end = scanFields(bytes, lineEnd, to, head)
  if (end < 0) head.status = -end
  if (end <= 0) return end
  head.text = latin1(bytes, head.base, end)
  const refusal = readFacts(bytes, head)
  if (refusal < 0) return refusal
  const { method } = head
  if (head.target === '') {
    head.target = head.text.slice(method.length + 1, lineEnd - head.base - AFTER_TARGET)
  }
  const query = head.target.indexOf('?')
  head.path = query < 0 ? head.target : head.target.slice(0, query)
  head.isSafe = method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
  head.isIdempotent = head.isSafe || method === 'PUT' || method === 'DELETE'
  return end
}
