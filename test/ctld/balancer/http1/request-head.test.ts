// What the head of a request says, and how long it may be.

import { describe, expect, test } from 'vitest'
import { HEAD_LIMITS } from '#ctld/balancer/data-plane/http1/limits.ts'
import { readRequest } from './readings.ts'

const host = 'Host: a.example\r\n'

function requestOf(line: string, fields = host): string {
  return `${line}\r\n${fields}\r\n`
}

describe('a request is understood', () => {
  test('with all that its line and its fields say', () => {
    const raw = requestOf(
      'GET /a/b?c=d HTTP/1.1',
      `${host}Accept:*/*\r\nX-A: \t b c \t\r\nX-B:\r\n`,
    )
    const { end, facts, fields } = readRequest(`${raw}GET /next`)
    expect(end).toBe(raw.length)
    expect(fields).toEqual([
      ['Host', 'a.example'],
      ['Accept', '*/*'],
      ['X-A', 'b c'],
      ['X-B', ''],
    ])
    expect(facts).toMatchObject({
      method: 'GET',
      target: '/a/b?c=d',
      path: '/a/b',
      host: 'a.example',
      minor: 1,
      bodyLength: 0,
      keepAlive: true,
      expectContinue: false,
      upgrade: '',
      named: undefined,
      isSafe: true,
      isIdempotent: true,
    })
  })

  test.each([
    ['after an empty line (RFC 9112 2.2)', `\r\n${requestOf('GET / HTTP/1.1')}`, {}],
    ['HTTP/1.0 without a Host', requestOf('GET / HTTP/1.0', ''), { minor: 0, host: '' }],
    ['HTTP/1.0 with a Host', requestOf('GET / HTTP/1.0'), { minor: 0, host: 'a.example' }],
    ['a method of its own', requestOf('-B!l_ah /foo HTTP/1.1'), { method: '-B!l_ah' }],
    ['a method in small letters', requestOf('get / HTTP/1.1'), { method: 'get', isSafe: false }],
    ['an odd target', requestOf(`GET //a"<>\\^{|}'%zz?? HTTP/1.1`), { path: `//a"<>\\^{|}'%zz` }],
    ['a question about the server', requestOf('OPTIONS * HTTP/1.1'), { target: '*', path: '*' }],
    ['obs-text', requestOf('GET / HTTP/1.1', `${host}X: a\xe9\x80\xff\tb\r\n`), { count: 2 }],
    ['a name of odd letters', requestOf('GET / HTTP/1.1', `${host}!#$%&'*+-.^_\`|~9: 1\r\n`), {}],
    [
      'a length',
      requestOf('POST / HTTP/1.1', `${host}content-LENGTH: 0042\r\n`),
      { bodyLength: 42 },
    ],
    [
      'the greatest length',
      requestOf('POST / HTTP/1.1', `${host}Content-Length: 9007199254740991\r\n`),
      { bodyLength: Number.MAX_SAFE_INTEGER },
    ],
    [
      'chunks',
      requestOf('POST / HTTP/1.1', `${host}transfer-encoding:\tCHUNKED \r\n`),
      { bodyLength: -1 },
    ],
    [
      '100-continue',
      requestOf('PUT / HTTP/1.1', `${host}Expect: 100-Continue\r\n`),
      {
        expectContinue: true,
      },
    ],
    [
      '100-continue of HTTP/1.0, which does not know it',
      requestOf('PUT / HTTP/1.0', `${host}Expect: 100-continue\r\n`),
      { expectContinue: false },
    ],
  ])('%s', (_, raw, facts) => {
    const read = readRequest(raw)
    expect(read.reason).toBe('')
    expect(read.end).toBe(raw.length)
    expect(read.facts).toMatchObject(facts)
  })

  test.each([
    ['GET', true, true],
    ['HEAD', true, true],
    ['OPTIONS', true, true],
    ['PUT', false, true],
    ['DELETE', false, true],
    ['POST', false, false],
    ['PATCH', false, false],
    ['GETS', false, false],
    ['QUERY', false, false],
  ])('%s is safe: %s, idempotent: %s', (method, isSafe, isIdempotent) => {
    const { facts } = readRequest(requestOf(`${method} / HTTP/1.1`))
    expect(facts).toMatchObject({ method, isSafe, isIdempotent })
  })

  test.each([
    ['http://a.example/b?c', 'a.example', 'GET', '/b?c', 'a.example'],
    ['HTTP://A.example/b', 'a.EXAMPLE', 'GET', '/b', 'A.example'],
    ['http://a.example', 'a.example', 'GET', '/', 'a.example'],
    ['http://a.example?b', 'a.example', 'GET', '/?b', 'a.example'],
    ['http://a.example:80/', 'a.example', 'GET', '/', 'a.example:80'],
    ['http://a.example/', 'a.example:80', 'GET', '/', 'a.example'],
    ['http://a.example:/', 'a.example', 'GET', '/', 'a.example:'],
    ['https://a.example:443/', 'a.example', 'GET', '/', 'a.example:443'],
    ['http://a.example:8080/', 'a.example:8080', 'GET', '/', 'a.example:8080'],
    ['http://[::1]:80/x', '[::1]', 'GET', '/x', '[::1]:80'],
    ['http://a.example', 'a.example', 'OPTIONS', '*', 'a.example'],
    ['http://a.example/', 'a.example', 'OPTIONS', '/', 'a.example'],
    ['http://a.example/http://b.example/', 'a.example', 'GET', '/http://b.example/', 'a.example'],
  ])('the absolute target %s for %s', (target, said, method, origin, authority) => {
    const raw = requestOf(`${method} ${target} HTTP/1.1`, `Host: ${said}\r\n`)
    const { facts, reason } = readRequest(raw)
    expect(reason).toBe('')
    expect(facts).toMatchObject({ target: origin, host: authority })
    expect(facts.path).toBe(origin.split('?')[0])
  })

  test.each([
    'a',
    "A.b-c_d~e!$&'()*+;=9",
    'a:80',
    'a:',
    'a:65535',
    '127.0.0.1:8080',
    '[::1]',
    '[2001:db8::a]:443',
    '[::ffff:1.2.3.4]',
  ])('the Host %s', (said) => {
    const { facts, reason } = readRequest(requestOf('GET / HTTP/1.1', `Host: ${said}\r\n`))
    expect(reason).toBe('')
    expect(facts.host).toBe(said)
  })

  test.each([
    ['1.1', '', true],
    ['1.1', 'Connection: close\r\n', false],
    ['1.1', 'Connection: Keep-Alive\r\n', true],
    ['1.1', 'Connection: keep-alive, Close\r\n', false],
    ['1.1', 'Connection: \r\n', true],
    ['1.1', 'Connection: closed\r\n', true],
    ['1.0', '', false],
    ['1.0', 'Connection: keep-alive\r\n', true],
    ['1.0', 'Connection: x\r\nconnection: a, KEEP-alive\r\n', true],
    ['1.0', 'Connection: keep-alive\r\nConnection: close\r\n', false],
    ['1.0', 'Keep-Alive: 300\r\n', false],
  ])('whether HTTP/%s with %j stays', (version, fields, keepAlive) => {
    const { facts, reason } = readRequest(requestOf(`GET / HTTP/${version}`, host + fields))
    expect(reason).toBe('')
    expect(facts.keepAlive).toBe(keepAlive)
  })

  test.each([
    ['Connection: X-A\r\n', ['x-a']],
    ['Connection: ,X-A ,\t, x-B,close,\r\nConnection: TE\r\n', ['x-a', 'x-b', 'te']],
    ['Connection: keep-alive\r\n', undefined],
    ['X-Connection: X-A\r\n', undefined],
  ])('what %j names', (fields, named) => {
    expect(readRequest(requestOf('GET / HTTP/1.1', host + fields)).facts.named).toEqual(named)
  })

  test.each([
    ['1.1', 'Connection: Upgrade\r\nUpgrade: websocket\r\n', 'websocket'],
    ['1.1', 'Upgrade: a/1\r\nConnection: keep-alive, upgrade\r\nUpgrade: b\r\n', 'a/1, b'],
    ['1.1', 'Upgrade: websocket\r\n', ''],
    ['1.1', 'Connection: upgrade\r\n', ''],
    ['1.0', 'Connection: upgrade\r\nUpgrade: websocket\r\n', ''],
    ['1.1', 'Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n', ''],
    ['1.1', 'Connection: upgrade\r\nUpgrade: websocket, H2C\r\n', ''],
    ['1.1', 'Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n', ''],
    ['1.1', 'Connection: upgrade\r\nUpgrade: h2cat\r\n', 'h2cat'],
  ])('what HTTP/%s with %j changes to', (version, fields, upgrade) => {
    const { facts, reason } = readRequest(requestOf(`GET / HTTP/${version}`, host + fields))
    expect(reason).toBe('')
    expect(facts.upgrade).toBe(upgrade)
  })
})

describe('a request is incomplete', () => {
  test.each([
    '',
    '\r',
    '\r\n',
    'G',
    'GET',
    'GET ',
    'GET /',
    'GET / ',
    'GET / HTTP/1',
    'GET / HTTP/1.1',
  ])('%j', (raw) => expect(readRequest(raw).end).toBe(0))

  test.each(['\r', '\r\n', '\r\nHost', '\r\nHost:', '\r\nHost: a', '\r\nHost: a\r\n\r'])(
    'after the line with %j',
    (raw) => expect(readRequest(`GET / HTTP/1.1${raw}`).end).toBe(0),
  )
})

describe('the limits', () => {
  test('of the request line', () => {
    const { line } = HEAD_LIMITS
    const target = `/${'a'.repeat(line - 'GET / HTTP/1.1'.length)}`
    expect(readRequest(requestOf(`GET ${target} HTTP/1.1`)).facts.target).toBe(target)
    expect(readRequest(requestOf(`GET ${target}a HTTP/1.1`)).end).toBe(-414)
    expect(readRequest(`GET ${target}a`).end).toBe(-414)
    expect(readRequest(`GET ${target}`).end).toBe(0)
  })

  test('of the number of fields', () => {
    const some = host + 'a: b\r\n'.repeat(99)
    expect(readRequest(requestOf('GET / HTTP/1.1', some)).facts.count).toBe(100)
    expect(readRequest(requestOf('GET / HTTP/1.1', `${some}a: b\r\n`)).end).toBe(-431)
    const limits = { ...HEAD_LIMITS, fields: 1 }
    expect(readRequest(requestOf('GET / HTTP/1.1'), limits).facts.count).toBe(1)
    expect(readRequest(requestOf('GET / HTTP/1.1', `${host}a: b\r\n`), limits).end).toBe(-431)
  })

  test('of the whole head', () => {
    const limits = { ...HEAD_LIMITS, head: 200 }
    const rest = 200 - requestOf('GET / HTTP/1.1', `${host}a: \r\n`).length
    const fitting = requestOf('GET / HTTP/1.1', `${host}a: ${'b'.repeat(rest)}\r\n`)
    expect(fitting).toHaveLength(200)
    expect(readRequest(fitting, limits).end).toBe(200)
    expect(readRequest(`\r\n${fitting}`, limits).end).toBe(202)
    expect(readRequest(fitting.replace('bb', 'bbb'), limits).end).toBe(-431)
    expect(readRequest(`${fitting.slice(0, -4)}bbbb`, limits).end).toBe(-431)
  })
})
