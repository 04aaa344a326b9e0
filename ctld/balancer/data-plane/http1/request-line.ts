// Decides what a request line says (RFC 9112 section 3): the method, the target, the version. Each
// octet is judged when it is seen, so what is no HTTP at all is known by its first octets.

import type { HeadLimits } from './limits.ts'
import { METHOD_LENGTH_MAX } from './limits.ts'
import { endOf, isDigit, latin1, TARGET, TOKEN } from './octets.ts'
import { refuse } from './refusal.ts'
import type { RequestHead } from './request-head.ts'
import { readTarget } from './target.ts'

// Constants of this file, not of another one: see octets.ts.
const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const SLASH = 0x2f
const VERSION = ' HTTP/1.1'
const MAJOR_AT = 6
const MINOR_AT = 8
const ZERO = 0x30
/** Octets of a request line after its target, the line end included. */
export const AFTER_TARGET = VERSION.length + 2

/**
 * RFC 9112 section 3. Sets method and version, and what a target says that is not in origin-form;
 * for one in origin-form `target` and `host` are left empty. Returns the offset after the line.
 */
export function readRequestLine(
  bytes: Buffer,
  to: number,
  head: RequestHead,
  limits: HeadLimits,
): number {
  const { base } = head
  const methodEnd = endOf(TOKEN, bytes, base, Math.min(to, base + METHOD_LENGTH_MAX + 1))
  if (methodEnd - base > METHOD_LENGTH_MAX) return refuse(head, 501, 'no method is that long')
  if (methodEnd === to) return 0
  if (methodEnd === base || bytes[methodEnd] !== SP) {
    return refuse(head, 400, 'the request does not begin with a method and a space')
  }
  const method = methodOf(bytes, base, methodEnd)
  head.method = method
  if (method === 'CONNECT' || method === 'TRACE') {
    return refuse(head, 405, `${method} is not done here`)
  }
  const targetStart = methodEnd + 1
  const lineTo = Math.min(to, base + limits.line)
  const targetEnd = endOf(TARGET, bytes, targetStart, lineTo)
  // Nine octets follow a target that is not too long.
  if (targetEnd - base > limits.line - VERSION.length) {
    return refuse(head, 414, `a request line of more than ${limits.line} octets`)
  }
  if (targetEnd === to) return 0
  if (targetEnd === targetStart || bytes[targetEnd] !== SP) {
    return refuse(head, 400, 'a target that is empty or has an octet that no target may have')
  }
  const lineEnd = readVersion(bytes, targetEnd, to, head)
  if (lineEnd <= 0) return lineEnd
  head.target = ''
  head.host = ''
  if (bytes[targetStart] === SLASH) return lineEnd
  const reason = readTarget(latin1(bytes, targetStart, targetEnd), head)
  return reason === '' ? lineEnd : refuse(head, 400, reason)
}

/** The strings of the usual methods are there already. */
function methodOf(bytes: Buffer, start: number, end: number): string {
  switch (end - start) {
    case 3:
      if (hasText(bytes, start, 'GET')) return 'GET'
      if (hasText(bytes, start, 'PUT')) return 'PUT'
      break
    case 4:
      if (hasText(bytes, start, 'POST')) return 'POST'
      if (hasText(bytes, start, 'HEAD')) return 'HEAD'
      break
  }
  return latin1(bytes, start, end)
}

function hasText(bytes: Buffer, start: number, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    if (bytes[start + at] !== text.charCodeAt(at)) return false
  }
  return true
}

/** ` HTTP/1.1` and the line end. Of another version only a digit may differ, to be a 505. */
function readVersion(bytes: Buffer, from: number, to: number, head: RequestHead): number {
  let at = from
  for (; at < from + MINOR_AT; at += 1) {
    if (at === to) return 0
    if (bytes[at] === VERSION.charCodeAt(at - from)) continue
    return wrongVersion(head, at - from === MAJOR_AT && isDigit(bytes[at] as number))
  }
  if (at === to) return 0
  const minor = (bytes[at] as number) - ZERO
  if (minor !== 1 && minor !== 0) return wrongVersion(head, isDigit(bytes[at] as number))
  head.minor = minor
  if (at + 1 === to) return 0
  if (bytes[at + 1] !== CR) return refuse(head, 400, 'the request line does not end with CR LF')
  if (at + 2 === to) return 0
  if (bytes[at + 2] !== LF) return refuse(head, 400, 'a CR without LF after the request line')
  return at + 3
}

function wrongVersion(head: RequestHead, isVersion: boolean): number {
  if (isVersion) return refuse(head, 505, 'only HTTP/1.1 and HTTP/1.0 are spoken here')
  return refuse(head, 400, 'the request line does not end with a version of HTTP')
}
