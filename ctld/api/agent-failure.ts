// Says in words why an agent could not be read.

import { TucanoError } from '#shared/errors.ts'

/** Words for an agent that could not be read; never those of the library. */
export function agentFailure(peer: string, cause: unknown): TucanoError {
  const code = deepCode(cause)
  if (code === 'UND_ERR_HEADERS_TIMEOUT') {
    return new TucanoError('timeout', `${peer} did not answer in time`, { cause })
  }
  const words: Record<string, string> = {
    ECONNREFUSED: 'refused the connection',
    ECONNRESET: 'broke off the connection',
    UND_ERR_SOCKET: 'broke off the connection',
    EHOSTUNREACH: 'cannot be reached',
    ENETUNREACH: 'cannot be reached',
    UND_ERR_CONNECT_TIMEOUT: 'does not take connections',
  }
  return new TucanoError('agent_failed', `${peer} ${words[code] ?? 'gave no valid answer'}`, {
    cause,
  })
}

function deepCode(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const { code, cause } = error as Error & { code?: string }
  return deepCode(cause) || (code ?? '')
}
