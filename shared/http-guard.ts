// Who is asking: turns the Authorization header into a role, in time that does not depend on
// the token, and slows down those who guess. A right token is always let in: otherwise any
// program on a worker could silence its agent by guessing from the same address.

import { createHash, timingSafeEqual } from 'node:crypto'
import { TucanoError } from './errors.ts'
import { createThrottle } from './throttle.ts'

export const FAILED_LOGINS_MAX = 10
export const FAILED_LOGINS_WINDOW_MS = 60_000
const PEERS_MAX = 10_000
const TOKEN_QUERY_KEYS = new Set(['token', 'access_token', 'auth', 'authorization', 'api_key'])

export type Guard = {
  /** Throws `unauthenticated`, or `too_many_requests` with `retryAfterSeconds` set. */
  roleOf(authorization: string | undefined, peer: string, now: number): string
}

export class TooManyLogins extends TucanoError {
  readonly retryAfterSeconds: number

  constructor(waitMs: number) {
    const seconds = Math.max(1, Math.ceil(waitMs / 1_000))
    super('too_many_requests', `too many wrong tokens from this address; wait ${seconds} s`)
    this.retryAfterSeconds = seconds
  }
}

/** `tokens` by role. Throws `invalid_config` for an empty token or one that two roles share. */
export function createGuard(tokens: Readonly<Record<string, string>>): Guard {
  const known = Object.entries(tokens).map(([role, token]) => ({ role, hash: hashOf(token) }))
  if (Object.values(tokens).some((token) => token === '')) {
    throw new TucanoError('invalid_config', 'a token of the API is empty')
  }
  if (new Set(Object.values(tokens)).size !== known.length) {
    throw new TucanoError('invalid_config', 'two roles of the API have the same token')
  }
  const failures = createThrottle({
    max: FAILED_LOGINS_MAX,
    windowMs: FAILED_LOGINS_WINDOW_MS,
    keysMax: PEERS_MAX,
  })

  return {
    roleOf(authorization, peer, now) {
      const token = /^Bearer +([^\s]+)$/i.exec(authorization ?? '')?.[1]
      const hash = hashOf(token ?? '')
      const matches = known.filter((one) => timingSafeEqual(one.hash, hash))
      const role = token === undefined ? undefined : matches[0]?.role
      if (role !== undefined) return role
      const waitMs = failures.waitOf(peer, now)
      failures.take(peer, now)
      if (waitMs > 0) throw new TooManyLogins(waitMs)
      const words = token === undefined ? 'a bearer token is needed' : 'the token is not known'
      throw new TucanoError('unauthenticated', words)
    },
  }
}

/** Query strings end in logs and histories: a token there is refused even when it is right. */
export function refuseTokenInQuery(url: string): void {
  const query = url.split('?')[1] ?? ''
  const keys = [...new URLSearchParams(query).keys()]
  if (!keys.some((key) => TOKEN_QUERY_KEYS.has(key.toLowerCase()))) return
  throw new TucanoError(
    'invalid_request',
    'a token belongs in the Authorization header, not the URL',
  )
}

/** Two Authorization headers may be read as different ones by different programs. */
export function refuseDoubleAuthorization(rawHeaders: readonly string[]): void {
  const names = rawHeaders.filter((_, index) => index % 2 === 0)
  if (names.filter((name) => name.toLowerCase() === 'authorization').length < 2) return
  throw new TucanoError('invalid_request', 'more than one Authorization header')
}

/** `::ffff:10.0.0.1` and `10.0.0.1` are one address. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)
  return mapped?.[1] ?? address.toLowerCase()
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
