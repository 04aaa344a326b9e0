// Says in words why an agent could not be reached or read; never in those of the library.

import { TucanoError } from '#shared/errors.ts'

export function agentFailure(peer: string, cause: unknown): TucanoError {
  if (codeOf(cause) === 'UND_ERR_HEADERS_TIMEOUT') {
    return new TucanoError('timeout', `${peer} did not answer in time`, { cause })
  }
  return new TucanoError('agent_failed', `${peer} ${brokenWords(cause)}`, { cause })
}

/** What it did instead of answering, after its name. */
export function brokenWords(cause: unknown): string {
  const words: Record<string, string> = {
    ECONNREFUSED: 'refused the connection',
    ECONNRESET: 'broke off the connection',
    UND_ERR_SOCKET: 'broke off the connection',
    EHOSTUNREACH: 'cannot be reached',
    ENETUNREACH: 'cannot be reached',
    UND_ERR_CONNECT_TIMEOUT: 'does not take connections',
  }
  return words[codeOf(cause)] ?? 'gave no valid answer'
}

/** The code of the innermost error. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const { code, cause } = error as Error & { code?: string }
  return codeOf(cause) || (code ?? '')
}
