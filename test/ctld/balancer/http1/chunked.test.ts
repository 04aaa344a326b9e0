// Where a body in chunks ends, in whatever pieces it comes, and what is no such body.

import { describe, expect, test } from 'vitest'
import { createChunked, feedChunked } from '#ctld/balancer/data-plane/http1/chunked.ts'
import {
  CHUNK_EXTENSION_LENGTH_MAX,
  CHUNK_EXTENSIONS_LENGTH_MAX,
  TRAILER_LIMITS,
} from '#ctld/balancer/data-plane/http1/limits.ts'
import { readChunks } from './readings.ts'

describe('a body is read', () => {
  test.each([
    ['nothing', '0\r\n\r\n', '', ''],
    ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello', ''],
    ['two', '5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n', 'hello, world', ''],
    [
      'digits of any case',
      'a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n',
      '0123456789abcdefghij',
      '',
    ],
    ['zeros before', '00005\r\nhello\r\n0000\r\n\r\n', 'hello', ''],
    ['data that looks like chunks', '7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n', '0\r\n\r\n\r\n', ''],
    ['extensions', '5;a;b=c;d="e;\\"\t f";g=""\r\nhello\r\n0;x=y\r\n\r\n', 'hello', ''],
    ['trailers', '0\r\nX-A:b \r\nX-B: \tc d\r\n\r\n', '', 'X-A: b\r\nX-B: c d\r\n'],
    [
      'trailers that mean something to a proxy',
      '0\r\nX-Tuc-A: b\r\nVia: c\r\nD: e\r\n\r\n',
      '',
      'D: e\r\n',
    ],
  ])('%s', (_, raw, data, trailers) => {
    const read = readChunks(`${raw}GET /`)
    expect(read).toEqual({ data, trailers, rest: 'GET /', outcome: 'done', reason: '' })
  })

  test('as far as it came', () => {
    for (const raw of ['', '5', '5\r\nhel', '5\r\nhello\r\n0\r\n', '0\r\nA: b\r\n']) {
      expect(readChunks(raw).outcome).toBe('incomplete')
    }
  })

  test('in slices of what was given, not in copies', () => {
    const bytes = Buffer.from('5\r\nhello\r\n0\r\n\r\n')
    const slices: [Buffer, number, number][] = []
    feedChunked(createChunked(), bytes, 0, bytes.length, (...slice) => slices.push(slice))
    expect(slices).toEqual([[bytes, 3, 8]])
    expect(slices[0]?.[0]).toBe(bytes)
  })

  test('with a chunk of the greatest size', () => {
    const read = readChunks('1fffffffffffff\r\nabc')
    expect(read).toMatchObject({ outcome: 'incomplete', data: 'abc' })
  })
})

describe('a body is refused', () => {
  test.each([
    ['no size', '\r\n'],
    ['a size that is no number', 'g\r\n'],
    ['a size with a sign', '+5\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size with a prefix', '0x5\r\n'],
    ['a size with an underscore', '0_2e\r\n'],
    ['a blank before the size', ' 5\r\n'],
    ['a blank behind the size', '5 \r\n'],
    ['a tab behind the size', '5\t\r\n'],
    ['a blank before the extension', '5 ;a\r\n'],
    ['a blank in the extension', '5; a\r\n'],
    ['NUL behind the size', '5\x00\r\n'],
    ['LF alone behind the size', '5\nhello'],
    ['CR alone behind the size', '5\rhello'],
    ['CR CR LF behind the size', '5\r\r\n'],
    ['an empty extension', '5;\r\n'],
    ['an extension without a name', '5;=a\r\n'],
    ['an extension without its value', '5;a=\r\n'],
    ['LF in an extension', '5;a\nhello'],
    ['LF in a quoted value', '5;a="\n"\r\n'],
    ['CR in a quoted value', '5;a="\r\n'],
    ['LF behind a backslash', '5;a="\\\n"\r\n'],
    ['text behind a quoted value', '5;a="b"c\r\n'],
    ['LF behind a quoted value', '5;a="b"\n'],
    ['a size that cannot be counted', '20000000000000\r\n'],
    ['a size beyond 64 bits', '10000000000000005\r\nhello'],
    ['a size of too many zeros', '00000000000000005\r\nhello'],
    ['a chunk longer than its size', '5\r\nhellox\r\n'],
    ['no line end behind a chunk', '5\r\nhello0\r\n\r\n'],
    ['LF alone behind a chunk', '5\r\nhello\n0\r\n\r\n'],
    ['CR alone behind a chunk', '5\r\nhello\r0\r\n\r\n'],
    ['LF alone at the end', '0\r\n\n'],
    ['CR alone at the end', '0\r\n\ra'],
    ['something behind the last chunk', '0\r\nx\r\n\r\n'],
    ['a folded trailer', '0\r\nA: b\r\n c\r\n\r\n'],
    ['a trailer with a blank before its colon', '0\r\nA : b\r\n\r\n'],
    ['a trailer that ends with LF', '0\r\nA: b\n\r\n'],
    ['NUL in a trailer', '0\r\nA: \x00\r\n\r\n'],
    ['a length in the trailers', '0\r\nContent-Length: 5\r\n\r\n'],
    ['a coding in the trailers', '0\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['a Host in the trailers', '0\r\nHost: a\r\n\r\n'],
    ['a Connection in the trailers', '0\r\nConnection: close\r\n\r\n'],
    ['a Trailer in the trailers', '0\r\nTrailer: a\r\n\r\n'],
  ])('with %s', (_, raw) => {
    const read = readChunks(raw)
    expect(read.outcome).toBe('refused')
    expect(read.reason).not.toBe('')
    expect(read.trailers).toBe('')
  })

  test('with too long an extension, in one line or in all of them', () => {
    const fits = ';'.concat('a'.repeat(CHUNK_EXTENSION_LENGTH_MAX - 1), '\r\n')
    expect(readChunks(`1${fits}a`).outcome).toBe('incomplete')
    expect(readChunks(`1;a${fits.slice(1)}a`).outcome).toBe('refused')
    const chunk = Buffer.from(`1${fits}a\r\n`)
    const chunked = createChunked()
    let count = 0
    while (feedChunked(chunked, chunk, 0, chunk.length, () => {}) > 0) count += 1
    expect(count).toBe(CHUNK_EXTENSIONS_LENGTH_MAX / CHUNK_EXTENSION_LENGTH_MAX)
  })

  test('with too many trailers, or too long ones', () => {
    const { head, fields } = TRAILER_LIMITS
    const end = '\r\n\r\n'
    const fits = `a:${'b'.repeat(head - 'a:'.length - end.length)}${end}`
    expect(readChunks(`0\r\n${fits}`).outcome).toBe('done')
    expect(readChunks(`0\r\n${fits.replace('b', 'bb')}`).outcome).toBe('refused')
    expect(readChunks(`0\r\n${'a:b\r\n'.repeat(fields)}\r\n`).outcome).toBe('done')
    expect(readChunks(`0\r\n${'a:b\r\n'.repeat(fields + 1)}\r\n`).outcome).toBe('refused')
  })
})
