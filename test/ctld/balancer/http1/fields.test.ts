// Which names are known, and what may be copied as it came.

import { expect, test } from 'vitest'
import { FIELD, type FieldKind } from '#ctld/balancer/data-plane/http1/field-kinds.ts'
import { valueOfKind } from '#ctld/balancer/data-plane/http1/fields.ts'
import { HEAD_LIMITS } from '#ctld/balancer/data-plane/http1/limits.ts'
import {
  createRequestHead,
  parseRequestHead,
} from '#ctld/balancer/data-plane/http1/request-head.ts'

const known: Record<string, FieldKind> = {
  Host: FIELD.host,
  'Content-Length': FIELD.contentLength,
  'Transfer-Encoding': FIELD.transferEncoding,
  Connection: FIELD.connection,
  'Keep-Alive': FIELD.keepAlive,
  Upgrade: FIELD.upgrade,
  Expect: FIELD.expect,
  TE: FIELD.te,
  Trailer: FIELD.trailer,
  'Proxy-Connection': FIELD.proxyConnection,
  'Proxy-Authenticate': FIELD.proxyAuthenticate,
  'Proxy-Authorization': FIELD.proxyAuthorization,
  'HTTP2-Settings': FIELD.http2Settings,
  'X-Request-Id': FIELD.xRequestId,
  Forwarded: FIELD.forwarded,
  'X-Real-IP': FIELD.xRealIp,
  Via: FIELD.via,
  'X-Tuc-Inst': FIELD.xTuc,
  'X-Tuc-a': FIELD.xTuc,
  'X-Forwarded-For': FIELD.xForwardedFor,
  'X-Forwarded-Proto': FIELD.xForwardedProto,
  'X-Forwarded-Host': FIELD.xForwardedHost,
  'X-Forwarded-Prefix': FIELD.xForwarded,
  'X-Forwarded-Fox': FIELD.xForwarded,
  Cookie: FIELD.cookie,
  'Set-Cookie': FIELD.setCookie,
  Date: FIELD.date,
  Server: FIELD.server,
}

const others = [
  ...['Accept', 'User-Agent', 'Hose', 'Hos', 'Hostt', 'Vib', 'Content-Lengtg', 'X-Tuc', 'X-Tuc-'],
  ...['X-Forwarded-', 'X-Forwarded', 'X-Tuck', 'my_header', 'a_', '_', 'Contentlength', 'T', 'X'],
]

function kindOfName(name: string): number | undefined {
  const raw = Buffer.from(`GET / HTTP/1.0\r\n${name}: ${valueFor(name)}\r\n\r\n`)
  const sent = raw.toString('latin1')
  const head = createRequestHead()
  expect(parseRequestHead(raw, 0, raw.length, head, HEAD_LIMITS), head.reason).toBe(raw.length)
  // It only looks.
  expect(raw.toString('latin1')).toBe(sent)
  expect(head.text).toBe(sent)
  return head.kinds[0]
}

/** One that the parser does not refuse. */
function valueFor(name: string): string {
  if (/^expect$/i.test(name)) return '100-continue'
  return /^(content-length|host)$/i.test(name) ? '1' : 'a'
}

test('every kind has a name here', () => {
  const kinds = new Set<number>([...Object.values(known), FIELD.other, FIELD.underscore])
  expect(kinds).toEqual(new Set(Object.values(FIELD)))
})

test.each(Object.entries(known).filter(([name]) => name !== 'Transfer-Encoding'))(
  '%s is known in any case, and with underscores it is a disguise',
  (name, kind) => {
    for (const form of [name, name.toLowerCase(), name.toUpperCase()]) {
      expect(kindOfName(form)).toBe(kind)
    }
    if (name.includes('-')) expect(kindOfName(name.replace('-', '_'))).toBe(FIELD.underscore)
    if (name.includes('-')) expect(kindOfName(name.replaceAll('-', '_'))).toBe(FIELD.underscore)
  },
)

test('Transfer-Encoding is known, and with underscores it is a disguise', () => {
  expect(kindOfName('transfer_encoding')).toBe(FIELD.underscore)
  const raw = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING: chunked\r\n\r\n')
  const head = createRequestHead()
  parseRequestHead(raw, 0, raw.length, head, HEAD_LIMITS)
  expect(head.kinds[1]).toBe(FIELD.transferEncoding)
})

test.each(others)('%s is of no concern', (name) => {
  expect(kindOfName(name)).toBe(FIELD.other)
})

test('what stands as it would be written can be copied', () => {
  const lines = ['Host: a', 'B:c', 'D:  e', 'F: g ', 'H:\ti', 'J: ', 'K:', 'l: m n', 'O: p\t']
  const raw = Buffer.from(`GET / HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  const head = createRequestHead()
  expect(parseRequestHead(raw, 0, raw.length, head, HEAD_LIMITS)).toBe(raw.length)
  const copied = lines.filter((_, index) => head.canonical[index] === 1)
  expect(copied).toEqual(['Host: a', 'J: ', 'l: m n'])
  expect(head.text).toBe(raw.toString('latin1'))
})

test('the value of the first field of a kind', () => {
  const raw = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nVia: b\r\nvia: c\r\n\r\n')
  const head = createRequestHead()
  parseRequestHead(raw, 0, raw.length, head, HEAD_LIMITS)
  expect(valueOfKind(head, FIELD.via)).toBe('b')
  expect(valueOfKind(head, FIELD.cookie)).toBeUndefined()
})
