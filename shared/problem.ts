// RFC 9457 problem details: how every daemon says over HTTP that something went wrong, and how
// a client turns that answer back into the error it was. Never a stack, a cause or a secret.

import { z } from 'zod'
import { type ErrorCode, httpStatusOf, isErrorCode, TucanoError } from './errors.ts'

export const PROBLEM_TYPE = 'application/problem+json'

const titles: Record<number, string> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timed out',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported media type',
  422: 'Refused',
  429: 'Too many requests',
  431: 'Header fields too large',
  500: 'Internal error',
  502: 'Bad gateway',
  503: 'Unavailable',
  504: 'Timed out',
  507: 'Storage failed',
}

export const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
  /** A code of errors.ts, or `internal`. */
  code: z.string(),
  problems: z.array(z.strictObject({ where: z.string(), what: z.string() })).optional(),
  request_id: z.string(),
})
export type ProblemDetails = z.infer<typeof problemSchema>

/** What is not a TucanoError is a bug: its words stay in the log, found by the request id. */
export function problemOf(error: unknown, requestId: string): ProblemDetails {
  if (!(error instanceof TucanoError)) {
    return details(
      500,
      'internal',
      'internal error; the log has it under this request id',
      requestId,
    )
  }
  const problem = details(httpStatusOf(error.code), error.code, error.message, requestId)
  return error.problems.length === 0 ? problem : { ...problem, problems: [...error.problems] }
}

/** The error that an answer of `status` with this body stands for; never throws. */
export function errorOfProblem(status: number, body: unknown): TucanoError {
  const parsed = problemSchema.safeParse(body)
  if (!parsed.success) return new TucanoError(codeOf(status), `the answer was HTTP ${status}`)
  const { code, detail, problems, request_id } = parsed.data
  const words = code === 'internal' ? `${detail} (${request_id})` : detail
  return new TucanoError(isErrorCode(code) ? code : codeOf(status), words, {
    problems: problems ?? [],
  })
}

function details(status: number, code: string, detail: string, requestId: string): ProblemDetails {
  const type = `urn:tucano:problem:${code}`
  return { type, title: titles[status] ?? 'Error', status, detail, code, request_id: requestId }
}

function codeOf(status: number): ErrorCode {
  const codes: Record<number, ErrorCode> = {
    401: 'unauthenticated',
    403: 'forbidden',
    404: 'not_found',
    405: 'method_not_allowed',
    409: 'conflict',
    413: 'too_large',
    415: 'unsupported_type',
    422: 'limit_reached',
    429: 'too_many_requests',
    504: 'timeout',
    507: 'store_failed',
  }
  return codes[status] ?? (status < 500 ? 'invalid_request' : 'unavailable')
}
