import { describe, expect, test } from 'vitest'
import { HEAD_LIMITS } from '#ctld/balancer/data-plane/http1/limits.ts'
import {
  createRequestHead,
  parseRequestHead,
  type RequestHead,
} from '#ctld/balancer/data-plane/http1/request-head.ts'
import {
  createResponseHead,
  parseResponseHead,
} from '#ctld/balancer/data-plane/http1/response-head.ts'
import { headToClient } from '#ctld/balancer/data-plane/loop/to-client.ts'
import { headToInstance, peerOf, requestIdOf } from '#ctld/balancer/data-plane/loop/to-instance.ts'
import { type Failure, judge, lastWord } from '#ctld/balancer/data-plane/loop/verdict.ts'
import { trustIn } from '#ctld/balancer/data-plane/trust.ts'

const nobody = () => false
const stranger = peerOf('::ffff:9.9.9.9', nobody)

function requestHead(lines: readonly string[], line = 'GET / HTTP/1.1'): RequestHead {
  const head = createRequestHead()
  const octets = Buffer.from(`${[line, ...lines].join('\r\n')}\r\n\r\n`, 'latin1')
  const end = parseRequestHead(octets, 0, octets.length, head, HEAD_LIMITS)
  expect(end, head.reason).toBe(octets.length)
  return head
}

/** The request line under '', the fields by their name in small letters. */
function programSees(
  lines: readonly string[],
  { line = 'GET / HTTP/1.1', peer = stranger } = {},
): Record<string, string> {
  const head = requestHead(lines, line)
  const request = { id: 'r1', target: head.target, strip: '', asUpgrade: false, host: '' }
  const [first = '', ...fields] = headToInstance(head, peer, request).lines.split('\r\n')
  return { '': first, ...seenIn(fields) }
}

function seenIn(fields: readonly string[]): Record<string, string> {
  const seen: Record<string, string> = {}
  for (const field of fields) {
    const [, name = '', value = ''] = /^([^:]+): (.*)$/.exec(field) ?? []
    const key = name.toLowerCase()
    seen[key] = seen[key] === undefined ? value : `${seen[key]} & ${value}`
  }
  return seen
}

describe('what the program sees', () => {
  test('Q20/S10: nobody but the balancer says who the client is', () => {
    const lies =
      'X-Tuc-Inst,X_Tuc_Inst,X-TUC-Admin,X-Forwarded-For,X-Forwarded-Port,X_Forwarded_For'
    const names = [...lies.split(','), 'Forwarded', 'X-Real-IP', 'X-Forwarded-Proto']
    const seen = programSees(['Host: api', ...names.map((name) => `${name}: lie`)])
    expect(Object.values(seen)).not.toContain('lie')
    expect(seen).toEqual({
      '': 'GET / HTTP/1.1',
      host: 'api',
      via: '1.1 tucano',
      forwarded: 'for=9.9.9.9;proto=http;host="api"',
      'x-forwarded-for': '9.9.9.9',
      'x-forwarded-host': 'api',
      'x-forwarded-proto': 'http',
      'x-request-id': 'r1',
      'x-tuc-fwd-for': '9.9.9.9',
      'x-tuc-inst': '',
    })
  })

  test('Q21: what belongs to the connection stays there, also what Connection names', () => {
    const seen = programSees(
      [
        ...['Host: api', 'Connection: close, X-Private', 'connection: Accept-Odd, Host'],
        ...['X-Private: 1', 'Accept-Odd: 1', 'TE: trailers', 'Upgrade: h2c', 'Keep-Alive: x'],
        ...['Proxy-Authorization: x', 'Expect: 100-continue', 'Content-Length: 3'],
        ...['Accept: a', 'Accept: b', 'Transfer_Encoding: x', 'Content_Length: 9'],
      ],
      { line: 'POST / HTTP/1.1' },
    )
    expect(Object.keys(seen).toSorted()).toEqual([
      '',
      'accept',
      'content-length',
      'forwarded',
      'host',
      'via',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-request-id',
      'x-tuc-fwd-for',
      'x-tuc-inst',
    ])
    expect(seen.accept).toBe('a & b')
    expect(seen['content-length']).toBe('3')
  })

  test('Q20: a trusted proxy is believed, and only as far as the addresses are trusted', () => {
    const isTrusted = trustIn(['10.0.0.0/8', '::1'])
    const lines = [
      ...['Host: api', 'X-Forwarded-For: 6.6.6.6, 7.7.7.7', 'X-Forwarded-For: 10.1.1.1'],
      ...['X-Forwarded-Proto: https', 'X-Forwarded-Host: shop.example', 'Via: 1.1 edge'],
      ...['Forwarded: for=7.7.7.7', 'X-Forwarded-Port: 443'],
    ]
    expect(programSees(lines, { peer: peerOf('10.0.0.1', isTrusted) })).toMatchObject({
      forwarded: 'for=7.7.7.7, for=10.0.0.1;proto=http;host="api"',
      'x-forwarded-for': '6.6.6.6, 7.7.7.7, 10.1.1.1, 10.0.0.1',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-port': '443',
      'x-forwarded-proto': 'https',
      'x-tuc-fwd-for': '7.7.7.7',
      via: '1.1 edge, 1.1 tucano',
    })
    const unknown = programSees(lines, { peer: peerOf('11.0.0.1', isTrusted) })
    expect(unknown['x-tuc-fwd-for']).toBe('11.0.0.1')
    expect(unknown['x-forwarded-port']).toBeUndefined()
    const plain = programSees(['Host: api'], { peer: peerOf('::1', isTrusted) })
    expect(plain).toMatchObject({
      forwarded: 'for="[::1]";proto=http;host="api"',
      'x-tuc-fwd-for': '::1',
    })
  })

  test('Q20: a harmless X-Request-Id is kept, any other replaced', () => {
    const idOf = (...given: string[]) =>
      requestIdOf(requestHead(['Host: api', ...given.map((id) => `X-Request-Id: ${id}`)]), () => {
        return 'new'
      })
    expect(idOf('a.B_c-9')).toBe('a.B_c-9')
    expect(idOf('x'.repeat(128))).toHaveLength(128)
    for (const bad of ['x'.repeat(129), 'a b', '', '<b>', 'a, b']) expect(idOf(bad)).toBe('new')
    expect(idOf()).toBe('new')
    // Of several the first counts, and no other one passes.
    expect(idOf('a', 'b')).toBe('a')
    expect(programSees(['Host: api', 'X-Request-Id: a', 'X-Request-Id: b'])['x-request-id']).toBe(
      'r1',
    )
  })
})

test('what the client sees: its request id and the instance, nothing of the connection', () => {
  const head = createResponseHead()
  const lines = [
    ...['HTTP/1.1 200 OK', 'Connection: close, X-Private', 'X-Private: 1', 'Content-Length: 5'],
    ...['X-Tuc-Inst: lie', 'Set-Cookie: a', 'Set-Cookie: b', 'Keep-Alive: timeout=5'],
  ]
  const octets = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  const end = parseResponseHead(octets, 0, octets.length, head, HEAD_LIMITS)
  expect(end, head.reason).toBe(octets.length)
  const to = { requestId: 'r1', instance: 'i1', cookie: '', connection: '' }
  const text = headToClient(head, { ...to, framing: 'Content-Length: 5\r\n' })
  expect(text.split('\r\n')).toEqual([
    'HTTP/1.1 200 OK',
    'Set-Cookie: a',
    'Set-Cookie: b',
    'X-Request-Id: r1',
    'X-Tuc-Inst: i1',
    'Content-Length: 5',
    '',
    '',
  ])
})

describe('after a failure', () => {
  const lost: Failure = { kind: 'lost', wasSent: true, wasReused: false, error: 'ECONNRESET' }

  test('Q09: another instance if nothing was sent, or if repeating does no harm, thrice', () => {
    expect(judge({ ...lost, wasSent: false }, false, { sent: 0, unsent: 15 })).toBe('another')
    expect(judge(lost, true, { sent: 2, unsent: 0 })).toBe('another')
    expect(judge(lost, true, { sent: 3, unsent: 0 })).toMatchObject({ status: 502 })
    expect(judge(lost, false, { sent: 1, unsent: 0 })).toMatchObject({ status: 502 })
  })

  test('Q09: silence is 504 and nonsense 502, whatever the method', () => {
    const tries = { sent: 1, unsent: 0 }
    expect(judge({ ...lost, kind: 'timeout' }, true, tries)).toMatchObject({ status: 504 })
    expect(judge({ ...lost, kind: 'invalid' }, true, tries)).toMatchObject({ status: 502 })
  })

  test('F38: when nothing could be reached at all it is 503', () => {
    const tries = { sent: 0, unsent: 16 }
    expect(judge({ ...lost, wasSent: false }, true, tries)).toMatchObject({ status: 503 })
    expect(lastWord({ sent: 1, unsent: 15 })).toMatchObject({ status: 502 })
  })
})
