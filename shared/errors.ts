// The errors that a user may meet: each has a code, from which the HTTP status and the exit code
// follow. Whatever is not a TucanoError is a bug and ends the process.

const statusOf = {
  usage: 400,
  invalid_config: 400,
  invalid_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  stale_version: 409,
  stale_order: 409,
  already_running: 409,
  too_large: 413,
  unsupported_type: 415,
  image_unsafe: 422,
  limit_reached: 422,
  too_many_requests: 429,
  starting: 503,
  unavailable: 503,
  timeout: 504,
  store_failed: 507,
  data_locked: 500,
  port_taken: 500,
  agent_failed: 502,
} as const

export type ErrorCode = keyof typeof statusOf

export type Problem = {
  /** Where: `topology.yaml:12:5 topology[2].ip`, `/image/run`. */
  where: string
  what: string
}

/** An expected failure. `problems` lists every fault of a checked document, not the first alone. */
export class TucanoError extends Error {
  readonly code: ErrorCode
  readonly problems: readonly Problem[]

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; problems?: readonly Problem[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TucanoError'
    this.code = code
    this.problems = options.problems ?? []
  }
}

export function httpStatusOf(code: ErrorCode): number {
  return statusOf[code]
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(statusOf, text)
}

/** 2: the user asked wrongly (usage, configuration); 1: it failed. */
export function exitCodeOf(error: unknown): 1 | 2 {
  if (!(error instanceof TucanoError)) return 1
  return error.code === 'usage' || error.code === 'invalid_config' ? 2 : 1
}

/** The words of whatever was thrown, with its cause's code where it has one. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause
  if (cause instanceof Error && !error.message.includes(cause.message)) {
    return `${error.message}: ${messageOf(cause)}`
  }
  return error.message
}
