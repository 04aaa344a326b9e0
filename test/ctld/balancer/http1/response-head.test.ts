// What the head of a response says, where its body ends, and what is no answer of HTTP at all.

import { describe, expect, test } from 'vitest'
import { HEAD_LIMITS } from '#ctld/balancer/data-plane/http1/limits.ts'
import {
  bodyOf,
  CHUNKED,
  type ResponseHead,
  UNTIL_CLOSE,
} from '#ctld/balancer/data-plane/http1/response-head.ts'
import { readResponse } from './readings.ts'

function responseOf(fields: string, line = 'HTTP/1.1 200 OK'): string {
  return `${line}\r\n${fields}\r\n`
}

test('a response is understood with all that its line and its fields say', () => {
  const raw = responseOf('Content-Length: 2\r\nX-A:\t b \r\n', 'HTTP/1.1 404 Not h\xe9re')
  const { end, facts, fields } = readResponse(`${raw}ab`)
  expect(end).toBe(raw.length)
  expect(fields).toEqual([
    ['Content-Length', '2'],
    ['X-A', 'b'],
  ])
  expect(facts).toMatchObject({
    status: 404,
    minor: 1,
    phrase: 'Not h\xe9re',
    contentLength: 2,
    isChunked: false,
    keepAlive: true,
    keepAliveTimeoutMs: -1,
    upgrade: '',
    named: undefined,
  })
})

test.each([
  ['HTTP/1.1 200 OK', 200, 'OK'],
  ['HTTP/1.1 200 ', 200, ''],
  ['HTTP/1.1 200', 200, ''],
  ['HTTP/1.1 200  a\tb ', 200, ' a\tb '],
  ['HTTP/1.0 599 x', 599, 'x'],
  ['HTTP/1.1 100 Continue', 100, 'Continue'],
])('the line %j', (line, status, phrase) => {
  const { facts, reason } = readResponse(responseOf('', line))
  expect(reason).toBe('')
  expect(facts).toMatchObject({ status, phrase })
})

test.each([
  ['GET', 200, 'Content-Length: 5\r\n', 5],
  ['GET', 200, 'Content-Length: 0\r\n', 0],
  ['GET', 200, 'Transfer-Encoding: Chunked\r\n', CHUNKED],
  ['GET', 200, '', UNTIL_CLOSE],
  ['POST', 201, '', UNTIL_CLOSE],
  ['HEAD', 200, 'Content-Length: 5\r\n', 0],
  ['HEAD', 200, 'Transfer-Encoding: chunked\r\n', 0],
  ['HEAD', 200, '', 0],
  ['GET', 304, 'Content-Length: 5\r\n', 0],
  ['GET', 304, '', 0],
  ['GET', 204, '', 0],
  ['GET', 103, 'Link: </a>\r\n', 0],
  ['GET', 205, '', UNTIL_CLOSE],
])('the body that answers %s with %i and %j', (method, status, fields, body) => {
  const { facts, reason } = readResponse(responseOf(fields, `HTTP/1.1 ${status} x`))
  expect(reason).toBe('')
  expect(bodyOf(facts as ResponseHead, method)).toBe(body)
})

test.each([
  ['1.1', '', true],
  ['1.1', 'Connection: close\r\n', false],
  ['1.1', 'Connection: keep-alive\r\nConnection: x, CLOSE\r\n', false],
  ['1.0', '', false],
  ['1.0', 'Connection: Keep-Alive\r\n', true],
  ['1.0', 'Connection: keep-alive, close\r\n', false],
])('whether HTTP/%s with %j stays', (version, fields, keepAlive) => {
  const { facts } = readResponse(responseOf(fields, `HTTP/${version} 200 OK`))
  expect(facts.keepAlive).toBe(keepAlive)
})

test.each([
  [204, 'Content-Length: 0\r\n', true],
  [204, 'Content-Length: 5\r\n', false],
  [204, 'Transfer-Encoding: chunked\r\n', false],
  [304, 'Content-Length: 5\r\n', true],
])(
  'whether a %i with %j stays: no body that should not be may answer others',
  (status, fields, is) => {
    const { facts } = readResponse(responseOf(fields, `HTTP/1.1 ${status} x`))
    expect(facts.keepAlive).toBe(is)
  },
)

test.each([
  ['timeout=5', 5000],
  ['timeout=5, max=100', 5000],
  ['max=100,Timeout = "75"', 75_000],
  ['timeout=0', 0],
  ['5', -1],
  ['timeout=', -1],
  ['timeout=-5', -1],
  ['xtimeout=5', -1],
  ['timeout=99999999', -1],
])('how long the instance keeps an idle connection: %s', (value, ms) => {
  const { facts } = readResponse(responseOf(`Keep-Alive: ${value}\r\n`))
  expect(facts.keepAliveTimeoutMs).toBe(ms)
})

test('what it changes to, and which fields end here', () => {
  const raw = responseOf('Upgrade: websocket\r\nConnection: upgrade, X-A\r\n', 'HTTP/1.1 101 x')
  expect(readResponse(raw).facts).toMatchObject({ upgrade: 'websocket', named: ['x-a'] })
  expect(readResponse(responseOf('Upgrade: websocket\r\n')).facts.upgrade).toBe('')
})

test.each([
  '',
  'H',
  'HTTP/1.1',
  'HTTP/1.1 200',
  'HTTP/1.1 200 OK\r',
  'HTTP/1.1 200 OK\r\nA: b\r\n',
])('incomplete: %j', (raw) => expect(readResponse(raw).end).toBe(0))

describe('no answer is', () => {
  test.each([
    'a',
    '\r\n',
    '\n',
    '\x16\x03',
    'HTTP/2',
    'HTTP/1.2',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1  200 OK',
    'http/1.1 200 OK',
    'ICY 200 OK',
    'HTTP/1.1 099',
    'HTTP/1.1 600',
    'HTTP/1.1 999',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 2xx OK',
    'HTTP/1.1 +20 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1 200\n',
    'HTTP/1.1 200 OK\n',
    'HTTP/1.1 200 O\x00K',
    'HTTP/1.1 200 OK\r\r',
    'HTTP/1.1 200\ra',
  ])('the line %j', (line) => {
    const { end, reason, status } = readResponse(line)
    expect(reason).not.toBe('')
    expect([end, status]).toEqual([-1, 0])
  })

  test.each([
    'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
    'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n',
    'Content-Length: 5\r\nContent-Length: 6\r\n',
    'Content-Length: 5\r\nContent-Length: 5\r\n',
    'Content-Length: 5, 5\r\n',
    'Content-Length: -1\r\n',
    'Content-Length:\r\n',
    'Transfer-Encoding: gzip, chunked\r\n',
    'Transfer-Encoding: identity\r\n',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
    'X: a\r\n b\r\n',
    'X : a\r\n',
    'X: a\nY: b\r\n',
    'X: a\x00\r\n',
    'X\r\n',
    'Connection: a b\r\n',
  ])('what has the fields %j', (fields) => {
    expect(readResponse(responseOf(fields)).end).toBeLessThan(0)
  })

  test('chunks of HTTP/1.0, and an interim answer that speaks of a body', () => {
    const chunks = 'Transfer-Encoding: chunked\r\n'
    expect(readResponse(responseOf(chunks, 'HTTP/1.0 200 OK')).end).toBe(-1)
    expect(readResponse(responseOf(chunks, 'HTTP/1.1 101 x')).end).toBe(-1)
    expect(readResponse(responseOf('Content-Length: 1\r\n', 'HTTP/1.1 100 x')).end).toBe(-1)
  })

  test('what is too long', () => {
    const long = 'a'.repeat(HEAD_LIMITS.line)
    expect(readResponse(responseOf('', `HTTP/1.1 200 ${long}`)).end).toBeLessThan(0)
    expect(readResponse(responseOf(`A: ${long}${long}\r\n`)).end).toBeLessThan(0)
    expect(readResponse(responseOf('A: b\r\n'.repeat(101))).end).toBeLessThan(0)
  })
})
