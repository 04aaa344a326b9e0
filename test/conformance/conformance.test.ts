// A small set of our own goes the way of the corpora: through a data plane that listens, to an
// origin that trusts nobody. And what judges them is shown what it has to see.

import { expect, test } from 'vitest'
import type { Case } from './corpora.ts'
import { createLanes } from './lanes.ts'
import { readStrictly } from './strict-reader.ts'
import { type Seen, verdictOn } from './verdict.ts'

const post = 'POST / HTTP/1.1\r\nHost: a\r\n'
const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`
const next = 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n'

const valid: Record<string, string> = {
  'a request': 'GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n',
  'two requests': next + next,
  'an absolute target': 'GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n',
  'a question about the server': 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
  'HTTP/1.0': 'GET /old HTTP/1.0\r\nHost: a\r\n\r\n',
  'HTTP/1.0 without a Host': 'GET /old HTTP/1.0\r\n\r\n',
  'a length, and another request': `${post}Content-Length: 5\r\n\r\nhello${next}`,
  'chunks, and another request': `${chunked}5;a="b"\r\nhello\r\n0\r\n\r\n${next}`,
  'chunks with trailers': `${chunked}1\r\n\n\r\n0\r\nX-T: u\r\n\r\n${next}`,
  'a body that looks like a request': `${post}Content-Length: ${next.length}\r\n\r\n${next}`,
  'an empty line before': `\r\n${next}`,
  'a method of its own': 'BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n',
  'fields that end here': `GET / HTTP/1.1\r\nHost: a\r\nConnection: x-a\r\nX-A: b\r\nTE: gzip\r\n\r\n`,
  'a disguised length': `${post}Content_Length: 9\r\nContent-Length: 1\r\n\r\na`,
  'a HEAD, and another request': `HEAD / HTTP/1.1\r\nHost: a\r\n\r\n${next}`,
}

const invalid: Record<string, string> = {
  'a length beside chunks': `${post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'two lengths': `${post}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`,
  'a length with a sign': `${post}Content-Length: +1\r\n\r\na`,
  'a coding with a tab before its colon': `${post}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n`,
  'a coding behind a vertical tab': `${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
  'obs-fold': `${post}X: a\r\n Transfer-Encoding: chunked\r\n\r\n`,
  'LF alone': 'GET / HTTP/1.1\nHost: a\n\n',
  'CR alone': `${post}X: a\rTransfer-Encoding: chunked\r\n\r\n`,
  NUL: `${post}X: a\0b\r\n\r\n`,
  'no Host': 'GET / HTTP/1.1\r\n\r\n',
  'two Hosts': 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'a target of another host': 'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n',
  'a fragment': 'GET /#a HTTP/1.1\r\nHost: a\r\n\r\n',
  'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'a size with an underscore': `${chunked}0_2e\r\n\r\n${next}`,
  'a chunk longer than its size': `${chunked}4\r\nhello\r\n0\r\n\r\n`,
  'LF alone behind a size': `${chunked}5\nhello\r\n0\r\n\r\n`,
  'a length in the trailers': `${chunked}0\r\nContent-Length: 5\r\n\r\n`,
}

function casesOf(texts: Record<string, string>, want: Case['want']): Case[] {
  return Object.entries(texts).map(([id, raw]) => ({ id, raw, want, forwardedMax: 2 }))
}

test('what is valid arrives with its meaning, what is invalid does not arrive', async () => {
  await using lanes = await createLanes(4)
  const cases = [
    ...casesOf(valid, 'valid'),
    ...casesOf(invalid, 'invalid'),
    // Whatever is refused, what was sent before it was served.
    ...casesOf({ 'one, and then nonsense': `${next}\x16\x03\x01` }, 'any'),
  ]
  const outcomes = await lanes.run(cases, (one, seen) => {
    const { outcome, why } = verdictOn(one, seen)
    return `${one.id}: ${outcome} ${why} ${one.want === 'valid' ? '' : seen.messages.length}`.trim()
  })
  expect(outcomes).toEqual([
    ...Object.keys(valid).map((id) => `${id}: passed`),
    ...Object.keys(invalid).map((id) => `${id}: refused  0`),
    'one, and then nonsense: refused  1',
  ])
})

test('the judge sees what went wrong', () => {
  const one: Case = {
    id: 'one',
    raw: `${post}X: y\r\nContent-Length: 1\r\n\r\na`,
    want: 'valid',
    forwardedMax: 1,
  }
  const [message] = readStrictly(one.raw).messages
  if (message === undefined) throw new Error('the case of this test is no request')
  const right: Seen = { messages: [message], faults: [], statuses: [200], isClosed: false }
  expect(verdictOn(one, right)).toEqual({ outcome: 'passed', why: '' })
  const seen: [Partial<Case>, Partial<Seen>][] = [
    [{}, { messages: [{ ...message, method: 'GET' }] }],
    [{}, { messages: [{ ...message, target: '/b' }] }],
    [{}, { messages: [{ ...message, body: '' }] }],
    [{}, { messages: [{ ...message, fields: message.fields.filter(([name]) => name !== 'x') }] }],
    [{}, { messages: [{ ...message, fields: [['host', 'b']] }] }],
    [{}, { messages: [message, message] }],
    [{ forwardedMax: 2 }, { messages: [message, message] }],
    [{ forwardedMax: 0 }, {}],
    [{}, { messages: [] }],
    [{}, { statuses: [400], isClosed: true }],
    [{}, { faults: ['malformed'] }],
    [{ want: 'invalid' }, {}],
    [{ want: 'invalid' }, { messages: [], statuses: [400] }],
  ]
  for (const [other, came] of seen) {
    const verdict = verdictOn({ ...one, ...other }, { ...right, ...came })
    expect(verdict.outcome, JSON.stringify([other, came])).toBe('wrong')
  }
})

test('the strict reader reads what is right, and nothing else', () => {
  for (const [id, raw] of Object.entries(valid)) expect(readStrictly(raw).end, id).toBe('empty')
  const known = new Set(['a target of another host'])
  for (const [id, raw] of Object.entries(invalid)) {
    if (!known.has(id)) expect(readStrictly(raw).end, id).not.toBe('empty')
  }
  expect(readStrictly(`${next}GET / HT`)).toMatchObject({ end: 'incomplete', messages: [{}] })
  expect(readStrictly(`${post}Connection: close\r\n\r\n${next}`).end).toBe('rest')
})
