// The answers that the balancer gives itself, as problem details (RFC 9457).

import { type ServerResponse, STATUS_CODES } from 'node:http'

const RETRY_AFTER_S = 1

export type Problem = {
  status: number
  title?: string
  detail: string
  requestId: string
  allow?: string
  /** The connection cannot be trusted, or is not wanted, for another request. */
  close?: boolean
}

export function answerProblem(response: ServerResponse, problem: Problem): void {
  const { status, requestId, detail } = problem
  const title = problem.title ?? STATUS_CODES[status]?.toLowerCase() ?? 'error'
  const body = JSON.stringify({
    type: 'about:blank',
    title,
    status,
    detail,
    request_id: requestId,
  })
  response.writeHead(status, {
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Request-Id': requestId,
    ...(status === 503 ? { 'Retry-After': String(RETRY_AFTER_S) } : {}),
    ...(problem.allow === undefined ? {} : { Allow: problem.allow }),
    ...(problem.close === true ? { Connection: 'close' } : {}),
  })
  response.end(body)
}
