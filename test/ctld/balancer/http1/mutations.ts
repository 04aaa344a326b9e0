// Makes text that is nearly HTTP: a valid request, or two behind each other, changed in a few
// places with what has fooled servers before.

import type { Random } from '#test/helpers/seeds.ts'

const line = (...fields: string[]) => `${fields.join('\r\n')}\r\n\r\n`

const requests: readonly string[] = [
  line('GET / HTTP/1.1', 'Host: a'),
  line('GET /a/b?c=d&e HTTP/1.1', 'Host: a.example:80', 'Accept: */*', 'X-A:  b \t', 'X-B:'),
  line('GET / HTTP/1.0'),
  line('GET / HTTP/1.0', 'Connection: keep-alive', 'Host: a'),
  line('HEAD / HTTP/1.1', 'Host: a', 'Connection: close'),
  line('OPTIONS * HTTP/1.1', 'Host: a'),
  line('GET http://a.example/b?c HTTP/1.1', 'Host: a.example'),
  line('DELETE /a HTTP/1.1', 'Host: [::1]:80', 'Connection: x-a, keep-alive', 'X-A: 1'),
  line('GET /ws HTTP/1.1', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket'),
  `${line('POST / HTTP/1.1', 'Host: a', 'Content-Length: 5')}hello`,
  `${line('POST / HTTP/1.0', 'Content-Length: 11')}GET / HTTP/`,
  `${line('PUT /a HTTP/1.1', 'Host: a', 'Content-Length: 2', 'Expect: 100-continue')}ab`,
  `${line('POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`,
  `${line('POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}` +
    'A;a=b;c="d\\"e"\r\n0123456789\r\n1\r\n\n\r\n0\r\nX-T: u\r\n\r\n',
  `${line('PATCH / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked', 'Trailer: X-T')}` +
    '000\r\nX-T: u\r\nX-U:\r\n\r\n',
]

const tokens: readonly string[] = [
  ...['\0', '\r', '\n', '\t', ' ', '\r\n', '\n\n', '\r\n\r\n', '\r\r\n', '\n\r', '\x0b', '\x0c'],
  ...['\x1f', '\x7f', '\x80', '\x85', '\xa0', '\xff', '\xc4\xb0', ':', ': ', ' :', '#', '?', '@'],
  ...['\r\n ', '\r\n\t', '\n ', ';', ',', '"', '\\', '=', '_', '-', '+', '/', '//', '0', '*'],
  ...['Host: b\r\n', 'Host:\r\n', 'Host : a\r\n', 'host: a\r\n', 'Content-Length: 0\r\n'],
  ...[
    'Content-Length: 5\r\n',
    'Content-Length: 05\r\n',
    'Content-Length: +5\r\n',
    'Content-Length:',
  ],
  ...['Content-Length: 5, 5\r\n', 'Content-Length: 5 5\r\n', 'Content-Length: 0x5\r\n'],
  ...[
    'Content-Length: -1\r\n',
    'Content-Length: 18446744073709551616\r\n',
    'content_length: 5\r\n',
  ],
  ...[
    'Content-Length\r\n',
    'Content-Length : 5\r\n',
    'Content-Length: 5\n',
    'Content-Length:\t5\r\n',
  ],
  ...['Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: chunked \r\n'],
  ...['Transfer-Encoding:chunked\r\n', 'Transfer-Encoding: CHUNKED\r\n', 'Transfer-Encoding:\r\n'],
  ...['Transfer-Encoding: xchunked\r\n', 'Transfer-Encoding: chunkedx\r\n'],
  ...['Transfer-Encoding: gzip, chunked\r\n', 'Transfer-Encoding: chunked, gzip\r\n'],
  ...['Transfer-Encoding: identity\r\n', 'Transfer-Encoding\r\n: chunked\r\n'],
  ...['Transfer-Encoding: \x0bchunked\r\n', 'Transfer-Encoding : chunked\r\n', 'TE: trailers\r\n'],
  ...['Connection: close\r\n', 'Connection: keep-alive\r\n', 'Connection: close, x\r\n'],
  ...['Connection: upgrade\r\n', 'Upgrade: h2c\r\n', 'Expect: 100-continue\r\n', 'Expect: x\r\n'],
  ...[
    '0\r\n',
    '0\r\n\r\n',
    '5\r\nhello\r\n',
    '-1\r\n',
    '0x5',
    'a\r\n',
    '5;\r\n',
    '5 ;a\r\n',
    '5\n',
  ],
  ...['ffffffffffffffff\r\n', '10000000000000005\r\n', '00000000000000005\r\n', ';a=b', ';a="b"'],
  ...[
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET ',
    ' HTTP/1.1',
    ' HTTP/1.0',
    'HTTP/2.0',
    'HTTP/0.9',
  ],
  ...['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'CONNECT a:80', 'http://', 'https://b', 'me@', '%00'],
]

/** One octet per letter. */
export function mutatedRequest(random: Random): string {
  let text = random.pick(requests)
  while (random.chance(0.35)) text += random.pick(requests)
  for (let left = random.int(1, 3); left > 0; left -= 1) text = mutated(text, random)
  return text
}

function mutated(text: string, random: Random): string {
  const at = random.int(0, text.length)
  const to = Math.min(text.length, at + random.int(1, random.chance(0.1) ? 40 : 3))
  const before = text.slice(0, at)
  switch (random.int(0, 7)) {
    case 0:
      return before + flipped(text.charCodeAt(at), random) + text.slice(at + 1)
    case 1:
      return before + String.fromCharCode(random.int(0, 255)) + text.slice(at)
    case 2:
      return before + text.slice(to)
    case 3:
      return before + text.slice(at, to) + text.slice(at)
    case 4:
      return before + random.pick(tokens) + text.slice(at)
    case 5:
      return before + random.pick(tokens) + text.slice(to)
    case 6:
      return asLine(text, random, random.pick(tokens))
    default:
      return asLine(text, random, `${random.pick(tokens)}${random.pick(tokens)}`)
  }
}

function flipped(octet: number, random: Random): string {
  return Number.isNaN(octet) ? '' : String.fromCharCode(octet ^ (1 << random.int(0, 7)))
}

/** Where a line begins, which is where a field or a chunk would. */
function asLine(text: string, random: Random, token: string): string {
  const starts = [...text.matchAll(/\r\n/g)].map(({ index }) => index + 2)
  const at = starts.length === 0 ? 0 : random.pick(starts)
  return text.slice(0, at) + token + text.slice(at)
}
