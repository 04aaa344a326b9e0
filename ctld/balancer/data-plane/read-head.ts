// Decides whether a request may pass at all, and reads from its head what routing needs. Node's
// parser (strict) has refused what is not HTTP; this refuses what two programs in a row could read
// in two ways (RFC 9112 sections 3.2, 6.1 and 11.2).

export type RequestHead = {
  method: string
  /** The request target as it came. */
  url: string
  httpVersion: string
  /** Names and values in turn, as they came. */
  rawHeaders: readonly string[]
}

export type ReadHead = {
  /** The Host header; undefined in an HTTP/1.0 request without one. */
  host: string | undefined
  /** Path and query, verbatim. */
  target: string
  /** Path alone. */
  path: string
  hasBody: boolean
}

export type Refusal = { status: number; detail: string; allow?: string }

export const METHODS_REFUSED: readonly string[] = ['CONNECT', 'TRACE']

/** RFC 9110 section 7.2: a registered name, an address or an address in brackets, and a port. */
const HOST = /^(\[[0-9a-f:.]+\]|[\w.~%!$&'()*+,;=-]*)(:\d*)?$/i

export function readHead(head: RequestHead): ReadHead | Refusal {
  const { rawHeaders, httpVersion } = head
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return refused(`HTTP/${httpVersion} here`)
  let host: string | undefined
  let isChunked = false
  let length = ''
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase()
    if (name === 'host') {
      if (host !== undefined) return refused('more than one Host header')
      host = rawHeaders[at + 1]
    } else if (name === 'transfer-encoding') isChunked = true
    else if (name === 'content-length') length = rawHeaders[at + 1] ?? ''
  }
  if (host !== undefined && !HOST.test(host)) return refused('no valid Host header')
  if (isChunked && httpVersion === '1.0') return refused('Transfer-Encoding in HTTP/1.0')
  if (METHODS_REFUSED.includes(head.method)) {
    return { status: 405, detail: `${head.method} is not forwarded`, allow: METHODS_FORWARDED }
  }
  const target = originForm(head.url, host)
  if (typeof target !== 'string') return target
  const queryAt = target.indexOf('?')
  const path = queryAt === -1 ? target : target.slice(0, queryAt)
  return { host, target, path, hasBody: isChunked || (length !== '' && Number(length) > 0) }
}

export function isRefusal(read: ReadHead | Refusal): read is Refusal {
  return 'status' in read
}

export const METHODS_FORWARDED = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'

// An absolute target's authority wins over Host (RFC 9112 section 3.2.2), so a program behind us
// could be told another host than the one we routed by.
function originForm(url: string, host: string | undefined): string | Refusal {
  if (url.includes('#')) return refused('a fragment in the request target')
  if (url.startsWith('/')) return url
  const absolute = /^http:\/\/([^/?]*)([/?].*)?$/i.exec(url)
  if (absolute === null) return refused('the request target is neither a path nor an http address')
  if (absolute[1]?.toLowerCase() !== host?.toLowerCase()) {
    return refused('the request target names another host than the Host header')
  }
  const rest = absolute[2] ?? '/'
  return rest.startsWith('?') ? `/${rest}` : rest
}

function refused(detail: string): Refusal {
  return { status: 400, detail }
}
