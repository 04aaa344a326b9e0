// Decides what a request wants, from its head: which service, what its program is sent, which of
// the instances it should be. The head is used up afterwards.

import { cookieValue } from '#ctld/balancer/data-plane/choose/sticky.ts'
import { FIELD } from '#ctld/balancer/data-plane/http1/field-kinds.ts'
import { nameAt, valueAt, valueOfKind } from '#ctld/balancer/data-plane/http1/fields.ts'
import type { RequestHead } from '#ctld/balancer/data-plane/http1/request-head.ts'
import type { Route } from '#ctld/ports.ts'
import { headToInstance, type Peer } from './to-instance.ts'

/** All of a request that is needed after its head was read. */
export type Asked = {
  method: string
  minor: 0 | 1
  host: string
  path: string
  requestId: string
  /** Whom the request comes from. */
  from: string
  /** The head for the instance, up to the instance's id. */
  lines: string
  /** Octets; -1: in chunks. */
  bodyLength: number
  keepAlive: boolean
  expectContinue: boolean
  /** The protocol that the client wants to change to, or ''. */
  protocol: string
  isSafe: boolean
  key: string | undefined
  token: string | undefined
}

/** `strip`: prefix of the path that the program knows nothing of. */
export function askedOf(
  head: RequestHead,
  peer: Peer,
  about: { route: Route; strip: string; requestId: string },
): Asked {
  const { route, strip, requestId } = about
  const protocol = protocolOf(head)
  const { lines, client } = headToInstance(head, peer, {
    id: requestId,
    target: strip === '' ? head.target : stripped(head.target, strip),
    strip,
    asUpgrade: protocol !== '',
    host: hasHost(head) ? '' : head.host || route.service,
  })
  return {
    method: head.method,
    minor: head.minor,
    host: head.host,
    path: head.path,
    requestId,
    from: client,
    lines,
    bodyLength: head.bodyLength,
    keepAlive: head.keepAlive,
    expectContinue: head.expectContinue,
    protocol,
    isSafe: head.isSafe,
    key: route.hash === undefined ? undefined : keyOf(head, route.hash, client),
    token: route.stickyCookie === undefined ? undefined : cookieOf(head, route.stickyCookie),
  }
}

// HTTP/2 by upgrade would be a way past every rule of this file, and no browser uses it.
function protocolOf(head: RequestHead): string {
  const { upgrade } = head
  if (upgrade === '' || head.bodyLength !== 0 || head.minor === 0) return ''
  return upgrade.toLowerCase().includes('h2c') ? '' : upgrade
}

// HTTP/1.1 asks for one, which a client of HTTP/1.0 need not have sent, nor beside a whole URI.
function hasHost(head: RequestHead): boolean {
  return head.minor === 1 || valueOfKind(head, FIELD.host) !== undefined
}

function stripped(target: string, strip: string): string {
  const rest = target.slice(strip.length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

function keyOf(head: RequestHead, hash: NonNullable<Route['hash']>, client: string) {
  switch (hash.by) {
    case 'ip':
      return client
    case 'header':
      return headerOf(head, hash.name.toLowerCase())
    case 'cookie':
      return cookieOf(head, hash.name)
  }
}

function cookieOf(head: RequestHead, name: string): string | undefined {
  const header = valueOfKind(head, FIELD.cookie)
  return header === undefined ? undefined : cookieValue(header, name)
}

function headerOf(head: RequestHead, name: string): string | undefined {
  for (let index = 0; index < head.count; index += 1) {
    const own = nameAt(head, index)
    if (own.length === name.length && own.toLowerCase() === name) return valueAt(head, index)
  }
  return undefined
}
