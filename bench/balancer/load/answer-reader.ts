// Reads answers on one connection and believes none: status, length and, where wanted, each byte
// are what they must be, and nothing follows them. Cheap, because it shares a core with the origin.

/** What the proxy sent is not the answer. */
export class WrongAnswer extends Error {}

/** `take`: true when an answer is whole; throws WrongAnswer. The bytes are used at once. */
export type Reader = { take(bytes: Buffer, size: number): boolean }

const HEAD_BYTES_MAX = 4_096

/** Reads status 200 with Content-Length and `body`, over and over. */
export function createAnswerReader(body: Buffer): Reader {
  const length = lengthField(body.length)
  let head = ''
  let at = -1
  return {
    take(bytes, size) {
      let from = 0
      if (at === -1) {
        const before = head.length
        head += bytes.toString('latin1', 0, Math.min(size, HEAD_BYTES_MAX))
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) {
          if (head.length >= HEAD_BYTES_MAX) throw new WrongAnswer('head without an end')
          return false
        }
        if (!head.startsWith('HTTP/1.1 200 ')) throw new WrongAnswer(statusOf(head))
        if (!length.isIn(head)) throw new WrongAnswer('wrong or no Content-Length')
        from = end + 4 - before
        at = 0
        head = ''
      }
      const count = size - from
      if (count > body.length - at) throw new WrongAnswer('more bytes than the answer has')
      if (body.compare(bytes, from, size, at, at + count) !== 0) {
        throw new WrongAnswer('wrong body')
      }
      at += count
      if (at < body.length) return false
      at = -1
      return true
    },
  }
}

/** Reads `101` of a handshake; a frame may not follow before one was sent. */
export function createHandshakeReader(accept: string): Reader {
  let head = ''
  return {
    take(bytes, size) {
      head += bytes.toString('latin1', 0, size)
      if (!head.includes('\r\n\r\n')) return false
      if (!head.startsWith('HTTP/1.1 101 ')) throw new WrongAnswer(statusOf(head))
      if (!head.includes(accept)) throw new WrongAnswer('wrong Sec-WebSocket-Accept')
      if (!head.endsWith('\r\n\r\n')) throw new WrongAnswer('bytes after the handshake')
      return true
    },
  }
}

/** Reads the same bytes over and over. */
export function createEchoReader(echo: Buffer): Reader {
  let at = 0
  return {
    take(bytes, size) {
      if (size > echo.length - at) throw new WrongAnswer('more bytes than the echo has')
      if (echo.compare(bytes, 0, size, at, at + size) !== 0) throw new WrongAnswer('wrong echo')
      at = (at + size) % echo.length
      return at === 0
    },
  }
}

/** A proxy sends its fields in one order and one spelling: they are found where they were. */
function lengthField(length: number): { isIn(head: string): boolean } {
  const pattern = new RegExp(`\\r\\ncontent-length: *${length} *\\r\\n`, 'i')
  let known = ''
  let at = 0
  return {
    isIn(head) {
      if (known !== '' && head.startsWith(known, at)) return true
      const match = pattern.exec(head)
      if (match === null) return false
      known = match[0]
      at = match.index
      return true
    },
  }
}

function statusOf(head: string): string {
  return `answer ${head.slice(0, head.indexOf('\r\n')).slice(0, 60)}`
}
