// The answers that the balancer gives itself, as problem details (RFC 9457) or as the page that a
// service's maintenance asks for. Whole messages: one write each.

import type { Asked } from './ask.ts'
import { connectionLine } from './reply.ts'
import { STATUS_WORDS } from './status-words.ts'

export const METHODS_FORWARDED = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'
const RETRY_AFTER_S = 1

export type Problem = {
  status: number
  /** Default: the status in words. */
  title?: string
  detail: string
}

export const LATE_HEAD: Problem = {
  status: 408,
  detail: 'the head of the request did not come in time',
}
export const LATE_BODY: Problem = { status: 408, detail: 'the rest of the body did not come' }

export type AnswerTo = {
  requestId: string
  /** HEAD: the same head, without the body. */
  isHead: boolean
  /** `Connection` line with its end, or ''. */
  connection: string
}

/** `isKept`: the connection can be used again. */
export function answerTo(asked: Asked, isKept: boolean): AnswerTo {
  return {
    requestId: asked.requestId,
    isHead: asked.method === 'HEAD',
    connection: connectionLine(isKept, asked.minor),
  }
}

export function problemAnswer({ status, title, detail }: Problem, to: AnswerTo): string {
  const words = STATUS_WORDS[status] ?? 'Error'
  const body = latin1Of(
    JSON.stringify({
      type: 'about:blank',
      title: title ?? words.toLowerCase(),
      status,
      detail,
      ...(to.requestId === '' ? {} : { request_id: to.requestId }),
    }),
  )
  const allow = status === 405 ? `Allow: ${METHODS_FORWARDED}\r\n` : ''
  return whole(status, `Content-Type: application/problem+json\r\n${allow}`, body, to)
}

export function maintenanceAnswer(page: string, to: AnswerTo): string {
  return whole(503, 'Content-Type: text/html; charset=utf-8\r\n', latin1Of(page), to)
}

function whole(status: number, lines: string, body: string, to: AnswerTo): string {
  const id = to.requestId === '' ? '' : `X-Request-Id: ${to.requestId}\r\n`
  const retry = status === 503 ? `Retry-After: ${RETRY_AFTER_S}\r\n` : ''
  return (
    `HTTP/1.1 ${status} ${STATUS_WORDS[status] ?? 'Error'}\r\n${lines}` +
    `Content-Length: ${body.length}\r\nCache-Control: no-store\r\n${retry}${id}` +
    `${to.connection}\r\n${to.isHead ? '' : body}`
  )
}

/** Text is written as latin1: the octets of UTF-8, one character each. */
function latin1Of(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
