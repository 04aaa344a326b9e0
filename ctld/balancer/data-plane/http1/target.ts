// Decides what a request target says that does not begin with a slash (RFC 9112 section 3.2). The
// absolute-form is rewritten to the origin-form, so that no program reads a host of its own in it.

import { isHost } from './host.ts'

const ABSOLUTE = /^(https?):\/\/([^/?]*)(.*)$/i

/**
 * Sets the target, and for an absolute one the host. Returns why it is refused, or ''.
 * `target`: visible ASCII, not empty. CONNECT and its authority-form are refused before.
 */
export function readTarget(
  target: string,
  head: { method: string; target: string; host: string; defaultPort: number },
): string {
  if (target === '*') {
    if (head.method !== 'OPTIONS') return 'only OPTIONS may ask about *'
    head.target = target
    return ''
  }
  const [, scheme = '', authority = '', rest = ''] = ABSOLUTE.exec(target) ?? []
  if (scheme === '') return 'a target that is neither a path nor an http URI'
  const octets = Buffer.from(authority, 'latin1')
  if (!isHost(octets, 0, octets.length)) return 'the target names no host, or more than a host'
  head.host = authority
  head.defaultPort = scheme.length === 'https'.length ? 443 : 80
  // RFC 9112 section 3.2.4: what began as a question about the server is one again.
  if (rest === '' && head.method === 'OPTIONS') head.target = '*'
  else head.target = rest.startsWith('/') ? rest : `/${rest}`
  return ''
}
