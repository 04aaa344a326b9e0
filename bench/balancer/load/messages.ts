// The bytes that travel in the benchmark: what a client asks, what the origin answers, and frames
// of a WebSocket. All of them are known before, so that each answer can be compared.

import { createHash } from 'node:crypto'

export const HOST = 'bench.example'
export const SMALL_BYTES = 100
export const MEDIUM_BYTES = 16 * 1024
export const LARGE_BYTES = 1024 * 1024
export const POST_BYTES = 4 * 1024
export const SIZES: readonly number[] = [SMALL_BYTES, MEDIUM_BYTES, LARGE_BYTES]

const SOCKET_KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const SOCKET_SALT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const TEXT_FRAME = 0x81
const MASKED = 0x80
const MASK = [0x37, 0xfa, 0x21, 0x3d] as const

/** Text that repeats nowhere soon: a piece at the wrong place is seen. */
export function bodyOf(bytes: number): Buffer {
  let text = ''
  for (let line = 0; text.length < bytes; line++) text += `${line.toString(36)} tucano\n`
  return Buffer.from(text.slice(0, bytes), 'latin1')
}

export const postBody = bodyOf(POST_BYTES).toString('latin1').replaceAll('tucano', 'onacut')

/** About what a program sends that is no browser. */
const FIELDS = [
  `Host: ${HOST}`,
  'User-Agent: tucano-bench/1.0 (Linux x86_64)',
  'Accept: application/json, text/plain, */*',
  'Accept-Encoding: gzip, deflate, br',
  'Accept-Language: en-GB,en;q=0.9',
]

export function getOf(bytes: number, { close }: { close: boolean }): string {
  return headOf(`GET /${bytes}?page=1`, close ? ['Connection: close'] : [])
}

export function postOf({ chunked }: { chunked: boolean }): string {
  const type = 'Content-Type: text/plain'
  if (!chunked) return headOf('POST /post', [type, `Content-Length: ${POST_BYTES}`]) + postBody
  const cut = 1_000
  const chunks = [postBody.slice(0, cut), postBody.slice(cut)]
  const framed = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
  return `${headOf('POST /post', [type, 'Transfer-Encoding: chunked'])}${framed.join('')}0\r\n\r\n`
}

export function handshake(): string {
  return headOf('GET /echo', [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${SOCKET_KEY}`,
  ])
}

/** RFC 6455 4.2.2. */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}${SOCKET_SALT}`).digest('base64')
}

export const expectedAccept = acceptOf(SOCKET_KEY)

/** A text frame with a mask, as a client has to send it; at most 125 bytes. */
export function clientFrame(text: Buffer): Buffer {
  const masked = text.map((byte, index) => byte ^ (MASK[index % MASK.length] as number))
  return Buffer.concat([Buffer.from([TEXT_FRAME, MASKED | text.length, ...MASK]), masked])
}

export function serverFrame(text: Buffer): Buffer {
  return Buffer.concat([Buffer.from([TEXT_FRAME, text.length]), text])
}

function headOf(line: string, fields: readonly string[]): string {
  return `${[`${line} HTTP/1.1`, ...FIELDS, ...fields].join('\r\n')}\r\n\r\n`
}
