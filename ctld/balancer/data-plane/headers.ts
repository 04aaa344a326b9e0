// Decides which headers a program and a client get to see (Q20, Q21, S10). What belongs to one
// connection stays there; what says who the client is comes from us or from a trusted proxy.

import type { IncomingHttpHeaders } from 'node:http'

/** RFC 9110 section 7.6.1, and what older proxies and clients use the same way. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Naming them in Connection must not take them away: they say where a message ends and goes. */
const unnameable: ReadonlySet<string> = new Set(['content-length', 'host'])

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/

export type Origin = {
  /** Who sent the request: the peer, or whom a trusted proxy names. */
  clientAddress: string
  forwardedFor: string
  proto: string
  host: string | undefined
  isTrusted: boolean
}

/** What is known of the sender. `isTrusted` tells a proxy's address from a stranger's. */
export function originOf(
  headers: IncomingHttpHeaders,
  peer: string,
  isTrusted: (address: string) => boolean,
): Origin {
  const peerAddress = peer.startsWith('::ffff:') ? peer.slice(7) : peer
  const { host } = headers
  if (!isTrusted(peerAddress)) {
    return {
      clientAddress: peerAddress,
      forwardedFor: peerAddress,
      proto: 'http',
      host,
      isTrusted: false,
    }
  }
  const said = textOf(headers['x-forwarded-for'])
  const chain = said === '' ? [] : said.split(',').map((address) => address.trim())
  // Each proxy appends, so the first stranger from the right is the last one anybody vouched for.
  const client = chain.findLast((address) => !isTrusted(address)) ?? chain[0]
  return {
    clientAddress: client ?? peerAddress,
    forwardedFor: [...chain, peerAddress].join(', '),
    proto: textOf(headers['x-forwarded-proto']) || 'http',
    host: textOf(headers['x-forwarded-host']) || host,
    isTrusted: true,
  }
}

/** The request's own id if it is a harmless one, so that logs of several programs can be joined. */
export function requestIdOf(headers: IncomingHttpHeaders, generate: () => string): string {
  const given = textOf(headers['x-request-id'])
  return REQUEST_ID.test(given) ? given : generate()
}

/**
 * Names and values in turn, for the program. The Host header passes as it came: programs build
 * their links from it. The instance's id, the last value, is filled in when it is chosen.
 */
export function toProgram(
  rawHeaders: readonly string[],
  origin: Origin,
  request: { id: string; strip: string },
): string[] {
  const named = namedInConnection(rawHeaders)
  const passed: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name, value] = [rawHeaders[at], rawHeaders[at + 1]]
    if (name === undefined || value === undefined) break
    const lower = name.toLowerCase()
    if (named?.has(lower) || isWithheld(lower, origin.isTrusted)) continue
    passed.push(name, value)
  }
  if (origin.host !== undefined) passed.push('X-Forwarded-Host', origin.host)
  if (request.strip !== '') passed.push('X-Forwarded-Prefix', request.strip)
  passed.push(
    'X-Forwarded-For',
    origin.forwardedFor,
    'X-Forwarded-Proto',
    origin.proto,
    'Via',
    '1.1 tucano',
    'X-Request-Id',
    request.id,
    'X-Tuc-Fwd-For',
    origin.clientAddress,
    'X-Tuc-Inst',
    '',
  )
  return passed
}

/** Names and values in turn, for the client. */
export function toClient(
  headers: IncomingHttpHeaders,
  from: { requestId: string; instance: string },
): string[] {
  const named = namesIn(textOf(headers.connection))
  // A length beside a transfer coding is not the length of what we send on.
  if (headers['transfer-encoding'] !== undefined) named.add('content-length')
  const passed: string[] = []
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (value === undefined || hopByHop.has(name) || named.has(name) || isOurs(name)) continue
    if (typeof value === 'string') passed.push(name, value)
    else for (const one of value) passed.push(name, one)
  }
  passed.push('X-Request-Id', from.requestId, 'X-Tuc-Inst', from.instance)
  return passed
}

// Programs behind CGI and WSGI read `X_Tuc_Inst` as `X-Tuc-Inst`, and `Content_Length` as a length:
// the underscore must not be a way around the rules.
function isWithheld(lower: string, isTrusted: boolean): boolean {
  if (!lower.includes('_')) return hopByHop.has(lower) || isReserved(lower, isTrusted)
  const name = lower.replaceAll('_', '-')
  return unnameable.has(name) || hopByHop.has(name) || isReserved(name, isTrusted)
}

function isReserved(name: string, isTrusted: boolean): boolean {
  if (isOurs(name) || name === 'x-forwarded-for') return true
  if (name === 'x-forwarded-proto' || name === 'x-forwarded-host') return true
  if (isTrusted) return false
  return name.startsWith('x-forwarded-') || name === 'forwarded' || name === 'x-real-ip'
}

function isOurs(lower: string): boolean {
  return lower.startsWith('x-tuc-') || lower === 'x-request-id'
}

function namedInConnection(rawHeaders: readonly string[]): Set<string> | undefined {
  let named: Set<string> | undefined
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length !== 10 || name.toLowerCase() !== 'connection') continue
    named = new Set([...(named ?? []), ...namesIn(rawHeaders[at + 1])])
  }
  return named
}

function namesIn(connection: string | undefined): Set<string> {
  if (connection === undefined) return new Set()
  const names = connection.split(',').map((name) => name.trim().toLowerCase())
  return new Set(names.filter((name) => !unnameable.has(name)))
}

function textOf(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.join(', ') ?? '')
}
