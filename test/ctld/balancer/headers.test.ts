import { describe, expect, test } from 'vitest'
import { judgeFailure } from '#ctld/balancer/data-plane/failure.ts'
import { originOf, requestIdOf, toClient, toProgram } from '#ctld/balancer/data-plane/headers.ts'
import { readHead } from '#ctld/balancer/data-plane/read-head.ts'
import { trustIn } from '#ctld/balancer/data-plane/trust.ts'

const nobody = () => false
const stranger = originOf({ host: 'api' }, '::ffff:9.9.9.9', nobody)

function programSees(rawHeaders: string[], origin = stranger): Record<string, string> {
  const list = toProgram(rawHeaders, origin, { id: 'r1', strip: '' })
  const seen: Record<string, string> = {}
  for (let at = 0; at < list.length; at += 2) {
    const name = list[at]?.toLowerCase() ?? ''
    seen[name] = seen[name] === undefined ? (list[at + 1] ?? '') : `${seen[name]} & ${list[at + 1]}`
  }
  return seen
}

describe('what the program sees', () => {
  test('Q20/S10: nobody but the balancer says who the client is', () => {
    const lies =
      'X-Tuc-Inst,X_Tuc_Inst,X-TUC-Admin,X-Forwarded-For,X-Forwarded-Port,X_Forwarded_For'
    const names = [...lies.split(','), 'Forwarded', 'X-Real-IP', 'X-Forwarded-Proto']
    const seen = programSees(['Host', 'api', ...names.flatMap((name) => [name, 'lie'])])
    expect(Object.values(seen)).not.toContain('lie')
    expect(seen).toEqual({
      host: 'api',
      via: '1.1 tucano',
      'x-forwarded-for': '9.9.9.9',
      'x-forwarded-host': 'api',
      'x-forwarded-proto': 'http',
      'x-request-id': 'r1',
      'x-tuc-fwd-for': '9.9.9.9',
      'x-tuc-inst': '',
    })
  })

  test('Q21: what belongs to the connection stays there, also what Connection names', () => {
    const seen = programSees([
      ...['Connection', 'close, X-Private', 'connection', 'Content-Length', 'X-Private', '1'],
      ...['TE', 'trailers', 'Upgrade', 'h2c', 'Keep-Alive', 'x', 'Transfer-Encoding', 'chunked'],
      ...['Proxy-Authorization', 'x', 'Expect', '100-continue', 'Content-Length', '3'],
      ...['Accept', 'a', 'Accept', 'b', 'Transfer_Encoding', 'x', 'Content_Length', '9'],
    ])
    expect(Object.keys(seen).toSorted()).toEqual([
      'accept',
      'content-length',
      'via',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-request-id',
      'x-tuc-fwd-for',
      'x-tuc-inst',
    ])
    expect(seen.accept).toBe('a & b')
  })

  test('a trusted proxy is believed, and only as far as the addresses are trusted', () => {
    const isTrusted = trustIn(['10.0.0.0/8', '::1'])
    const headers = {
      host: 'api',
      'x-forwarded-for': '6.6.6.6, 7.7.7.7, 10.1.1.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
    }
    expect(originOf(headers, '10.0.0.1', isTrusted)).toEqual({
      clientAddress: '7.7.7.7',
      forwardedFor: '6.6.6.6, 7.7.7.7, 10.1.1.1, 10.0.0.1',
      proto: 'https',
      host: 'shop.example',
      isTrusted: true,
    })
    expect(originOf(headers, '11.0.0.1', isTrusted).clientAddress).toBe('11.0.0.1')
    expect(originOf({ host: 'api' }, '::1', isTrusted).clientAddress).toBe('::1')
  })

  test('Q20: a harmless X-Request-Id is kept, any other replaced', () => {
    const idOf = (given: string | string[]) =>
      requestIdOf({ 'x-request-id': given as string }, () => 'new')
    expect(idOf('a.B_c-9')).toBe('a.B_c-9')
    expect(idOf('x'.repeat(128))).toHaveLength(128)
    for (const bad of ['x'.repeat(129), 'a b', '', '<b>']) expect(idOf(bad)).toBe('new')
    expect(idOf(['a', 'b'])).toBe('new')
  })
})

test('what the client sees: its request id and the instance, nothing of the connection', () => {
  const headers = {
    connection: 'close, x-private',
    'x-private': '1',
    'transfer-encoding': 'chunked',
    'content-length': '5',
    'x-tuc-inst': 'lie',
    'set-cookie': ['a', 'b'],
    'keep-alive': 'timeout=5',
  }
  expect(toClient(headers, { requestId: 'r1', instance: 'i1' })).toEqual([
    'set-cookie',
    'a',
    'set-cookie',
    'b',
    'X-Request-Id',
    'r1',
    'X-Tuc-Inst',
    'i1',
  ])
})

describe('what a request may do', () => {
  const head = { method: 'GET', url: '/', httpVersion: '1.1', rawHeaders: ['Host', 'api'] }
  const read = (more: Partial<typeof head>) => readHead({ ...head, ...more })

  test.each([
    ['two Host headers', { rawHeaders: ['Host', 'api', 'HOST', 'api'] }],
    ['a coding in 1.0', { httpVersion: '1.0', rawHeaders: ['Transfer-Encoding', 'chunked'] }],
    ['an absolute target of another host', { url: 'http://other/' }],
    ['an absolute target without Host', { url: 'http://api/', rawHeaders: [] }],
    ['credentials in the target', { url: 'http://x@api/' }],
    ['a fragment', { url: '/#x' }],
    ['an asterisk', { method: 'OPTIONS', url: '*' }],
    ['a Host with a path', { rawHeaders: ['Host', 'api/x'] }],
    ['a Host with a user', { rawHeaders: ['Host', 'x@api'] }],
    ['a Host with a space', { rawHeaders: ['Host', 'a pi'] }],
    ['version 2.0', { httpVersion: '2.0' }],
    ['an https target', { url: 'https://api/' }],
  ])('%s is refused with 400', (_name, more) => {
    expect(read(more)).toMatchObject({ status: 400 })
  })

  test('TRACE is refused with 405 and Allow', () => {
    expect(read({ method: 'TRACE' })).toMatchObject({
      status: 405,
      allow: expect.stringContaining('GET'),
    })
  })

  test('an absolute target of the same host becomes a path', () => {
    expect(read({ url: 'http://API/a?b' })).toMatchObject({ target: '/a?b', path: '/a' })
    expect(read({ url: 'http://api?b' })).toMatchObject({ target: '/?b', path: '/' })
    expect(read({ url: 'http://api' })).toMatchObject({ target: '/', path: '/' })
  })

  test.each(['api', 'api:80', 'API.example.', '[::1]:80', '10.0.0.1:', '', 'my_service'])(
    'the Host %s is a valid one',
    (host) => {
      expect(read({ rawHeaders: ['Host', host] })).toMatchObject({ host })
    },
  )

  test('a body is announced by its length or its coding', () => {
    expect(read({})).toMatchObject({ hasBody: false })
    expect(read({ rawHeaders: ['Content-Length', '0'] })).toMatchObject({ hasBody: false })
    expect(read({ rawHeaders: ['Content-Length', '1'] })).toMatchObject({ hasBody: true })
    expect(read({ rawHeaders: ['Transfer-Encoding', 'chunked'] })).toMatchObject({ hasBody: true })
  })
})

describe('after a failure', () => {
  const lost = {
    wasSent: true,
    kind: 'lost',
    isRepeatable: true,
    triesSent: 1,
    triesUnsent: 0,
  } as const

  test('Q09: another instance if nothing was sent, or if repeating does no harm, thrice', () => {
    expect(judgeFailure({ ...lost, wasSent: false, isRepeatable: false })).toBe('another')
    expect(judgeFailure({ ...lost, triesSent: 2 })).toBe('another')
    expect(judgeFailure({ ...lost, triesSent: 3 })).toMatchObject({ status: 502 })
    expect(judgeFailure({ ...lost, isRepeatable: false })).toMatchObject({ status: 502 })
  })

  test('Q09: silence is 504 and nonsense 502, whatever the method', () => {
    expect(judgeFailure({ ...lost, kind: 'headers_timeout' })).toMatchObject({ status: 504 })
    expect(judgeFailure({ ...lost, kind: 'invalid' })).toMatchObject({ status: 502 })
  })

  test('F38: when nothing could be reached at all it is 503', () => {
    const unsent = { ...lost, wasSent: false, triesSent: 0, triesUnsent: 16 }
    expect(judgeFailure(unsent)).toMatchObject({ status: 503 })
  })
})
