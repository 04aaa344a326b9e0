// Writes the header by which a program learns who its client is when a balancer stands between
// them: the PROXY protocol of HAProxy, version 1 (a line of text) and version 2 (bytes).
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, sections 2.1 and 2.2

import { isIPv4, isIPv6 } from 'node:net'

/** Addresses as the kernel tells them; undefined ones make the header say that it knows nothing. */
export type Ends = {
  sourceHost: string | undefined
  sourcePort: number | undefined
  destinationHost: string | undefined
  destinationPort: number | undefined
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** The balancer's own word: the receiver takes the connection's own ends. */
const VERSION_2_LOCAL = 0x20
const VERSION_2_PROXY = 0x21
const UNSPECIFIED = 0x00
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21
const HEAD_BYTES = SIGNATURE.length + 4

export function proxyHeader(version: 'v1' | 'v2', ends: Ends): Buffer {
  const known = knownEnds(ends)
  return version === 'v1' ? lineOf(known) : bytesOf(known)
}

type Address = { text: string; bytes: readonly number[] }
type Known = { from: Address; to: Address; fromPort: number; toPort: number }

function lineOf(known: Known | undefined): Buffer {
  if (known === undefined) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1')
  const { from, to, fromPort, toPort } = known
  const family = from.bytes.length === 4 ? 'TCP4' : 'TCP6'
  const line = `PROXY ${family} ${from.text} ${to.text} ${fromPort} ${toPort}\r\n`
  return Buffer.from(line, 'latin1')
}

function bytesOf(known: Known | undefined): Buffer {
  if (known === undefined) {
    return Buffer.from([...SIGNATURE, VERSION_2_LOCAL, UNSPECIFIED, 0, 0])
  }
  const { from, to, fromPort, toPort } = known
  const family = from.bytes.length === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6
  const length = from.bytes.length + to.bytes.length + 4
  const header = Buffer.alloc(HEAD_BYTES + length)
  header.set([...SIGNATURE, VERSION_2_PROXY, family])
  header.writeUInt16BE(length, HEAD_BYTES - 2)
  header.set([...from.bytes, ...to.bytes], HEAD_BYTES)
  header.writeUInt16BE(fromPort, HEAD_BYTES + length - 4)
  header.writeUInt16BE(toPort, HEAD_BYTES + length - 2)
  return header
}

/** Both of one family: an IPv4 address beside an IPv6 one is written as a mapped one. */
function knownEnds(ends: Ends): Known | undefined {
  const from = addressOf(ends.sourceHost)
  const to = addressOf(ends.destinationHost)
  const { sourcePort: fromPort, destinationPort: toPort } = ends
  if (from === undefined || to === undefined) return undefined
  if (fromPort === undefined || toPort === undefined) return undefined
  if (from.bytes.length === to.bytes.length) return { from, to, fromPort, toPort }
  return { from: mapped(from), to: mapped(to), fromPort, toPort }
}

function addressOf(host: string | undefined): Address | undefined {
  if (host === undefined) return undefined
  if (isIPv4(host)) return { text: host, bytes: host.split('.').map(Number) }
  if (!isIPv6(host)) return undefined
  // A zone (`%eth0`) means nothing on another machine.
  const text = host.replace(/%.*$/, '')
  const bytes = bytesOfIPv6(text)
  if (!isMapped(bytes)) return { text, bytes }
  const last = bytes.slice(12)
  return { text: last.join('.'), bytes: last }
}

function mapped(address: Address): Address {
  if (address.bytes.length === 16) return address
  const bytes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address.bytes]
  return { text: `::ffff:${address.text}`, bytes }
}

function isMapped(bytes: readonly number[]): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff && bytes.slice(0, 10).every((byte) => byte === 0)
}

/** RFC 4291, section 2.2; the text is known to be an address. */
function bytesOfIPv6(text: string): number[] {
  const [before = '', after] = text.split('::')
  const head = groupsOf(before)
  const tail = groupsOf(after ?? '')
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail]
}

function groupsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
