// Answers what is not a valid HTTP request, where there is no request to answer to yet.

import type { Socket } from 'node:net'
import { TucanoError } from './errors.ts'
import { PROBLEM_TYPE, problemOf } from './problem.ts'

export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 431
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 408
        : 400
  const problem = problemOf(
    new TucanoError('invalid_request', 'this is not a valid HTTP request'),
    '',
  )
  const body = JSON.stringify({ ...problem, status })
  const head = `HTTP/1.1 ${status} Bad Request\r\nContent-Type: ${PROBLEM_TYPE}\r\n`
  socket.end(
    `${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
