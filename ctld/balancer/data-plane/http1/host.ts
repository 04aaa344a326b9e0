// Decides whether a text names a host as RFC 9110 section 4.2 and RFC 3986 section 3.2.2 allow it:
// a name or an address, and perhaps a port. Nobody may be named before an `@`.

import { isIPv6 } from 'node:net'
import { endOf, REG_NAME } from './octets.ts'

const COLON = 0x3a
const BRACKET = 0x5b
const PORT_DIGITS_MAX = 5
const PORT_MAX = 65_535

/**
 * Whether the octets are `name`, `name:port` or `[address]:port`. RFC 9110 section 7.2 allows an
 * empty one for targets without an authority. We route by it, and no client of an http URI sends
 * it, so it is refused. Percent-encoding and the comma are refused too: no host in use has them,
 * and a list of hosts is what some servers read into a comma.
 */
export function isHost(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return false
  const nameEnd =
    bytes[start] === BRACKET ? endOfAddress(bytes, start, end) : endOf(REG_NAME, bytes, start, end)
  if (nameEnd === end) return true
  if (nameEnd <= start || bytes[nameEnd] !== COLON) return false
  return isPort(bytes, nameEnd + 1, end)
}

/** Whether both name the same place. `port`: what is meant where none is given. */
export function isSameAuthority(one: string, other: string, port: number): boolean {
  return one === other || withoutPort(one, port) === withoutPort(other, port)
}

function withoutPort(authority: string, port: number): string {
  const lower = authority.toLowerCase()
  if (lower.endsWith(`:${port}`)) return lower.slice(0, -`:${port}`.length)
  return lower.endsWith(':') ? lower.slice(0, -1) : lower
}

/** Offset after the closing bracket, or -1. */
function endOfAddress(bytes: Uint8Array, start: number, end: number): number {
  const close = bytes.indexOf(0x5d, start)
  if (close < 0 || close >= end) return -1
  const address = String.fromCharCode(...bytes.subarray(start + 1, close))
  // A zone (`%eth0`) means something on one machine only.
  return isIPv6(address) && !address.includes('%') ? close + 1 : -1
}

/** RFC 3986 section 3.2.3 allows no digit at all. */
function isPort(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > PORT_DIGITS_MAX) return false
  let port = 0
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 9) return false
    port = port * 10 + digit
  }
  return port <= PORT_MAX
}
