// Decides which head an instance gets (Q20, Q21, S10). What belongs to one connection stays there;
// what says who the client is comes from us or from a trusted proxy. The head is made anew from
// what was parsed; a run of fields that change nothing is taken over as one piece of text.

import { FIELD } from '#ctld/balancer/data-plane/http1/field-kinds.ts'
import { valueAt, valueOfKind } from '#ctld/balancer/data-plane/http1/fields.ts'
import type { RequestHead } from '#ctld/balancer/data-plane/http1/request-head.ts'
import { passedFields, passing } from './passed-fields.ts'

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
const VIA = '1.1 tucano'
/** Characters of a client's chain of addresses that are passed on. */
const CHAIN_LENGTH_MAX = 2_048

/** The Host header passes as it came: programs build their links from it. */
const fromStranger = passing(FIELD.host, FIELD.cookie, FIELD.setCookie, FIELD.date, FIELD.server)
const fromTrusted = Uint8Array.from(fromStranger)
for (const kind of [FIELD.xRealIp, FIELD.xForwarded]) fromTrusted[kind] = 1

/** Who is at the other end of a client's connection. */
export type Peer = {
  /** IPv4 in IPv6 is written as IPv4. */
  address: string
  isTrusted: boolean
  isAddressTrusted: (address: string) => boolean
  /** All that is the same for each request of a stranger. */
  strangerLines: string
}

export function peerOf(address: string, isTrusted: (address: string) => boolean): Peer {
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address
  const strangerLines =
    `X-Forwarded-For: ${plain}\r\nX-Forwarded-Proto: http\r\nX-Tuc-Fwd-For: ${plain}\r\n` +
    `Forwarded: for=${forwardedNode(plain)};proto=http`
  return { address: plain, isTrusted: isTrusted(plain), isAddressTrusted: isTrusted, strangerLines }
}

export type ToInstance = {
  /** The head up to the instance's id, which is chosen later: `… X-Tuc-Inst: `. */
  lines: string
  /** Whom the request comes from: the peer, or whom a trusted proxy names. */
  client: string
}

/** The request's own id if it is a harmless one, so that logs of several programs can be joined. */
export function requestIdOf(head: RequestHead, generate: () => string): string {
  const given = valueOfKind(head, FIELD.xRequestId)
  return given !== undefined && REQUEST_ID.test(given) ? given : generate()
}

/**
 * Everything of the head but what `endOfHead` adds. `target` is what the program sees; `strip` the
 * prefix that was taken off it, or ''. `asUpgrade` passes a wish for another protocol on. `host`:
 * where the client named none, else ''.
 */
export function headToInstance(
  head: RequestHead,
  peer: Peer,
  request: { id: string; target: string; strip: string; asUpgrade: boolean; host: string },
): ToInstance {
  const passes = peer.isTrusted ? fromTrusted : fromStranger
  let lines = `${head.method} ${request.target} HTTP/1.1\r\n`
  lines += passedFields(head, passes, head.named)
  if (request.host !== '') lines += `Host: ${request.host}\r\n`
  if (head.bodyLength > 0) lines += `Content-Length: ${head.bodyLength}\r\n`
  else if (head.bodyLength < 0) lines += 'Transfer-Encoding: chunked\r\n'
  else if (!head.isSafe && hasLength(head)) lines += 'Content-Length: 0\r\n'
  if (request.asUpgrade) lines += `Connection: upgrade\r\nUpgrade: ${head.upgrade}\r\n`
  if (request.strip !== '') lines += `X-Forwarded-Prefix: ${request.strip}\r\n`
  const origin = peer.isTrusted ? vouchedFor(head, peer) : strangers(head, peer)
  lines += `${origin.lines}\r\nVia: ${viaOf(head)}\r\nX-Request-Id: ${request.id}\r\nX-Tuc-Inst: `
  return { lines, client: origin.client }
}

/** `Content-Length: 0`: an explicitly empty body, which some programs insist on for a POST. */
function hasLength(head: RequestHead): boolean {
  return valueOfKind(head, FIELD.contentLength) !== undefined
}

/** The end of a head that `headToInstance` began. */
export function endOfHead(instance: string): string {
  return `${instance}\r\n\r\n`
}

function viaOf(head: RequestHead): string {
  // The usual case needs no look at the fields.
  const before = valuesOf(head, FIELD.via)
  return before === '' ? VIA : `${before}, ${VIA}`
}

function strangers(head: RequestHead, peer: Peer): { lines: string; client: string } {
  const { host } = head
  if (host === '') return { lines: peer.strangerLines, client: peer.address }
  const lines = `${peer.strangerLines};host=${quoted(host)}\r\nX-Forwarded-Host: ${host}`
  return { lines, client: peer.address }
}

/** The first stranger from the right is the last one that anybody vouched for. */
function vouchedFor(head: RequestHead, peer: Peer): { lines: string; client: string } {
  const said = valuesOf(head, FIELD.xForwardedFor).slice(-CHAIN_LENGTH_MAX)
  const chain = said === '' ? [] : said.split(',').map((address) => address.trim())
  const client = chain.findLast((address) => !peer.isAddressTrusted(address)) ?? chain[0]
  const proto = valueOfKind(head, FIELD.xForwardedProto) || 'http'
  const host = valueOfKind(head, FIELD.xForwardedHost) || head.host
  const forwarded = valuesOf(head, FIELD.forwarded)
  const own = `for=${forwardedNode(peer.address)};proto=http`
  const lines =
    `X-Forwarded-For: ${[...chain, peer.address].join(', ')}\r\n` +
    `X-Forwarded-Proto: ${proto}\r\nX-Tuc-Fwd-For: ${client ?? peer.address}\r\n` +
    (host === '' ? '' : `X-Forwarded-Host: ${host}\r\n`) +
    `Forwarded: ${forwarded === '' ? '' : `${forwarded}, `}${own}` +
    (head.host === '' ? '' : `;host=${quoted(head.host)}`)
  return { lines, client: client ?? peer.address }
}

/** All values of that kind as one list; '' when there is none. */
function valuesOf(fields: RequestHead, kind: number): string {
  const { kinds, count } = fields
  let values = ''
  for (let index = 0; index < count; index += 1) {
    if (kinds[index] !== kind) continue
    const value = valueAt(fields, index)
    if (value !== '') values = values === '' ? value : `${values}, ${value}`
  }
  return values
}

/** RFC 7239 section 6: an IPv6 address stands in brackets and quotes. */
function forwardedNode(address: string): string {
  return address.includes(':') ? `"[${address}]"` : address
}

/** A host with a port is no token. Hosts that were let in have neither quotes nor backslashes. */
function quoted(host: string): string {
  return `"${host}"`
}
