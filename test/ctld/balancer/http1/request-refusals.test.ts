// What is no request: one case for each rule of RFC 9110 and RFC 9112. Each is refused in whatever
// pieces it comes.

import { expect, test } from 'vitest'
import { readRequest } from './readings.ts'

const host = 'Host: a.example\r\n'

function requestOf(line: string, fields = host): string {
  return `${line}\r\n${fields}\r\n`
}

const lines: [string, number][] = [
  ['\x16\x03\x01\x02\x00\x01\x00', 400],
  ['\n', 400],
  ['\ra', 400],
  ['\r\n\r\nGET / HTTP/1.1', 400],
  [' GET / HTTP/1.1', 400],
  ['GET\t/ HTTP/1.1', 400],
  ['GET  / HTTP/1.1', 400],
  ['GET /  HTTP/1.1', 400],
  ['GET /\tHTTP/1.1', 400],
  ['G\x00T / HTTP/1.1', 400],
  ['GET: / HTTP/1.1', 400],
  ['GET\r', 400],
  ['GET /\r\n', 400],
  ['GET / \r\n', 400],
  ['GET /a#b HTTP/1.1', 400],
  ['GET /a\x00b HTTP/1.1', 400],
  ['GET /a\x7fb HTTP/1.1', 400],
  ['GET /\x80 HTTP/1.1', 400],
  ['GET /\xff HTTP/1.1', 400],
  ['GET /\x0bHTTP/1.1', 400],
  ['GET / http/1.1', 400],
  ['GET / HTTP /1.1', 400],
  ['GET / HTTP/1.1 ', 400],
  ['GET / HTTP/1.1\n', 400],
  ['GET / HTTP/1.1\r\r', 400],
  ['GET / HTTP/11', 400],
  ['GET / HTTP/01.1', 505],
  ['GET / HTTP/.1', 400],
  ['GET / HTTP/1.a', 400],
  ['GET / HTTP/1,1', 400],
  ['GET / HTTP/1.12', 400],
  ['GET / XTTP/1.1', 400],
  ['GET / HTTP/0.9', 505],
  ['GET / HTTP/1.2', 505],
  ['GET / HTTP/2.0', 505],
  ['GET / HTTP/2', 505],
  ['PRI * HTTP/2.0', 505],
  ['CONNECT a.example:80 HTTP/1.1', 405],
  ['CONNECT / HTTP/1.1', 405],
  ['TRACE / HTTP/1.1', 405],
  [`${'A'.repeat(33)} / HTTP/1.1`, 501],
]
test.each(lines)('at once: the line %j', (line, status) => {
  const { end, ...read } = readRequest(line)
  expect(read.reason).not.toBe('')
  expect([end, read.status]).toEqual([-status, status])
})

test.each([
  'GET * HTTP/1.1',
  'OPTIONS ** HTTP/1.1',
  'OPTIONS *? HTTP/1.1',
  'GET a HTTP/1.1',
  'GET a.example HTTP/1.1',
  'GET a.example:80 HTTP/1.1',
  'GET ?a HTTP/1.1',
  'GET http:/a.example/ HTTP/1.1',
  'GET http:///b HTTP/1.1',
  'GET http://?b HTTP/1.1',
  'GET ftp://a.example/ HTTP/1.1',
  'GET ws://a.example/ HTTP/1.1',
  'GET http://me@a.example/ HTTP/1.1',
  'GET http://me:a@a.example/ HTTP/1.1',
  'GET http://a.example:b/ HTTP/1.1',
  'GET http://a.example:80:80/ HTTP/1.1',
  'GET http://a.example\\b/ HTTP/1.1',
  'GET http://b.example/ HTTP/1.1',
  'GET http://a.example:81/ HTTP/1.1',
  'GET https://a.example:80/ HTTP/1.1',
  'GET http://[::1/ HTTP/1.1',
])('for its target: %s', (line) => {
  expect(readRequest(requestOf(line)).end).toBe(-400)
})

const fields: [string, string, number][] = [
  ['no Host', '', 400],
  ['two Hosts', `${host}${host}`, 400],
  ['an empty Host', 'Host: \r\n', 400],
  ['a list of Hosts', 'Host: a, b\r\n', 400],
  ['two words in Host', 'Host: a b\r\n', 400],
  ['a path in Host', 'Host: a/b\r\n', 400],
  ['somebody in Host', 'Host: me@a\r\n', 400],
  ['a port of letters', 'Host: a:b\r\n', 400],
  ['a port that is none', 'Host: a:65536\r\n', 400],
  ['a port of six digits', 'Host: a:000080\r\n', 400],
  ['two ports', 'Host: a:80:80\r\n', 400],
  ['a port alone', 'Host: :80\r\n', 400],
  ['an address without brackets', 'Host: ::1\r\n', 400],
  ['an address that is none', 'Host: [::g]\r\n', 400],
  ['IPv4 in brackets', 'Host: [1.2.3.4]\r\n', 400],
  ['a zone', 'Host: [fe80::1%eth0]\r\n', 400],
  ['an open bracket', 'Host: [::1\r\n', 400],
  ['text behind the bracket', 'Host: [::1]a\r\n', 400],
  ['obs-text in Host', 'Host: \xe9\r\n', 400],
  ['a blank before the first field', ` ${host}`, 400],
  ['obs-fold', `${host}X: a\r\n b\r\n`, 400],
  ['obs-fold with a tab', `${host}X: a\r\n\tb\r\n`, 400],
  ['a blank line of blanks', `${host} \r\n`, 400],
  ['a blank before the colon', `${host}X : a\r\n`, 400],
  ['a tab before the colon', `${host}X\t: a\r\n`, 400],
  ['no colon', `${host}X\r\n`, 400],
  ['no name', `${host}: a\r\n`, 400],
  ['a blank in a name', `${host}X Y: a\r\n`, 400],
  ['NUL in a name', `${host}X\x00: a\r\n`, 400],
  ['obs-text in a name', `${host}X\xe9: a\r\n`, 400],
  ['NUL in a value', `${host}X: a\x00b\r\n`, 400],
  ['a control character in a value', `${host}X: a\x01b\r\n`, 400],
  ['a vertical tab in a value', `${host}X:\x0b\r\n`, 400],
  ['DEL in a value', `${host}X: \x7f\r\n`, 400],
  ['LF alone', `${host}X: a\nY: b\r\n`, 400],
  ['LF alone after Host', 'Host: a\nX: b\r\n', 400],
  ['CR alone', `${host}X: a\rb\r\n`, 400],
  ['CR CR LF', `${host}X: a\r\r\n`, 400],
  ['LF alone at the end', `${host}\n`, 400],
  ['CR alone at the end', `${host}\ra`, 400],
  ['a length beside chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', 400],
  ['chunks beside a length', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', 400],
  ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n', 400],
  ['a length twice', 'Content-Length: 5\r\nContent-Length: 5\r\n', 400],
  ['a list of lengths', 'Content-Length: 5, 5\r\n', 400],
  ['an empty length', 'Content-Length: \r\n', 400],
  ['a length with a sign', 'Content-Length: +5\r\n', 400],
  ['a negative length', 'Content-Length: -5\r\n', 400],
  ['a hexadecimal length', 'Content-Length: 0x5\r\n', 400],
  ['a length with an exponent', 'Content-Length: 5e1\r\n', 400],
  ['a length with a blank', 'Content-Length: 5 5\r\n', 400],
  ['a fraction', 'Content-Length: 5.0\r\n', 400],
  ['a length that cannot be counted', 'Content-Length: 9007199254740992\r\n', 400],
  ['a length beyond 64 bits', 'Content-Length: 18446744073709551621\r\n', 400],
  ['chunks twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', 400],
  ['chunks twice in a list', 'Transfer-Encoding: chunked, chunked\r\n', 400],
  ['chunks and then another coding', 'Transfer-Encoding: chunked, gzip\r\n', 400],
  ['an empty coding', 'Transfer-Encoding:\r\n', 400],
  ['an empty member', 'Transfer-Encoding: ,chunked\r\n', 400],
  ['identity', 'Transfer-Encoding: identity\r\n', 400],
  ['another coding alone', 'Transfer-Encoding: gzip\r\n', 400],
  ['a word that begins so', 'Transfer-Encoding: chunkedx\r\n', 400],
  ['a quoted coding', 'Transfer-Encoding: "chunked"\r\n', 400],
  ['a coding with a parameter', 'Transfer-Encoding: chunked;a=b\r\n', 400],
  ['another coding inside', 'Transfer-Encoding: gzip, chunked\r\n', 501],
  ['another expectation', 'Expect: 200-ok\r\n', 417],
  ['two expectations', 'Expect: 100-continue, a\r\n', 417],
  ['an empty expectation', 'Expect:\r\n', 417],
  ['a Connection of two words', 'Connection: a b\r\n', 400],
  ['a Connection with a quote', 'Connection: "close"\r\n', 400],
  ['a Connection with a parameter', 'Connection: close;\r\n', 400],
]
test.each(fields)('with %s', (_, some, status) => {
  const isComplete = some.includes('Host') || some === ''
  const read = readRequest(requestOf('POST / HTTP/1.1', isComplete ? some : host + some))
  expect(read.reason).not.toBe('')
  expect([read.end, read.status]).toEqual([-status, status])
})

test.each([
  ['Transfer-Encoding', `${host}Transfer-Encoding: chunked\r\n`],
  ['two Hosts', `${host}${host}`],
  ['an empty Host', 'Host:\r\n'],
])('of HTTP/1.0 too, with %s', (_, some) => {
  expect(readRequest(requestOf('POST / HTTP/1.0', some)).end).toBe(-400)
})
