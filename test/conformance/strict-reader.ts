// Reads a stream of requests as RFC 9112 writes them and nothing else. It shares no line with the
// parser of the data plane: it is what that parser is measured by. Slow, and short.

export type StrictMessage = {
  method: string
  target: string
  minor: string
  /** Names in small letters. */
  fields: [string, string][]
  body: string
}

/**
 * `end`: all was read, there is something behind a message that said that it is the last one, a
 * message is not complete, or it is not HTTP, and then `why`.
 */
export type StrictReading = {
  messages: StrictMessage[]
  end: 'empty' | 'rest' | 'incomplete' | 'malformed'
  why: string
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const REQUEST_LINE = new RegExp(`^(${token}) ([\\x21\\x22\\x24-\\x7e]+) HTTP/1\\.([01])$`)
const TARGET = /^(?:\/.*|\*|https?:\/\/[\w.~:[\]-]+(?:[/?].*)?)$/i
const FIELD = new RegExp(`^(${token}):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*?)[ \\t]*$`)
const HOST = /^(?:[\w.~!$&'()*+;=-]+|\[[0-9a-f:.]+\])(?::\d*)?$/i
const quoted = '"(?:[^"\\\\\\x00-\\x08\\x0a-\\x1f\\x7f]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*"'
const CHUNK_LINE = new RegExp(
  `([0-9A-Fa-f]{1,13})(?:;${token}(?:=(?:${token}|${quoted}))?)*\\r\\n`,
  'y',
)
const IN_TRAILERS = /^(?:host|content-length|transfer-encoding|trailer|connection)$/

class Malformed extends Error {}
class Incomplete extends Error {}

/** `text`: one letter per octet. */
export function readStrictly(text: string): StrictReading {
  const messages: StrictMessage[] = []
  let at = 0
  try {
    while (at < text.length) {
      if (text.startsWith('\r\n', at)) at += 2
      if (at >= text.length) break
      const { message, end } = messageAt(text, at)
      messages.push(message)
      at = end
      if (isLast(message) && at < text.length) return { messages, end: 'rest', why: '' }
    }
    return { messages, end: 'empty', why: '' }
  } catch (error) {
    if (error instanceof Incomplete) return { messages, end: 'incomplete', why: '' }
    if (error instanceof Malformed) return { messages, end: 'malformed', why: error.message }
    throw error
  }
}

export function valuesIn(message: StrictMessage, name: string): string[] {
  return message.fields.filter(([one]) => one === name).map(([, value]) => value)
}

function messageAt(text: string, start: number): { message: StrictMessage; end: number } {
  const headEnd = text.indexOf('\r\n\r\n', start)
  if (headEnd < 0) throw new Incomplete()
  const [line = '', ...lines] = text.slice(start, headEnd).split('\r\n')
  const [, method = '', target = '', minor = ''] = REQUEST_LINE.exec(line) ?? []
  if (method === '' || !TARGET.test(target)) throw new Malformed(`request line ${say(line)}`)
  if (target === '*' && method !== 'OPTIONS') throw new Malformed(`${method} *`)
  const message = { method, target, minor, fields: fieldsOf(lines), body: '' }
  const hosts = valuesIn(message, 'host')
  if (hosts.length > 1 || (hosts.length === 0 && minor === '1')) throw new Malformed('Host')
  if (!hosts.every((host) => HOST.test(host))) throw new Malformed(`Host ${say(hosts.join())}`)
  const { body, end } = bodyAt(text, headEnd + 4, message)
  return { message: { ...message, body }, end }
}

function fieldsOf(lines: readonly string[]): [string, string][] {
  return lines.map((line) => {
    const [, name, value] = FIELD.exec(line) ?? []
    if (name === undefined || value === undefined) throw new Malformed(`field ${say(line)}`)
    return [name.toLowerCase(), value]
  })
}

function bodyAt(text: string, start: number, head: StrictMessage): { body: string; end: number } {
  const codings = valuesIn(head, 'transfer-encoding')
  const lengths = valuesIn(head, 'content-length')
  if (codings.length + lengths.length > 1) throw new Malformed('framed twice')
  if (codings.length === 1) {
    if (codings[0]?.toLowerCase() !== 'chunked' || head.minor === '0') throw new Malformed('coding')
    return chunksAt(text, start)
  }
  const [length = '0'] = lengths
  if (!/^\d{1,15}$/.test(length)) throw new Malformed(`length ${say(length)}`)
  const end = start + Number(length)
  if (end > text.length) throw new Incomplete()
  return { body: text.slice(start, end), end }
}

function chunksAt(text: string, start: number): { body: string; end: number } {
  let body = ''
  let at = start
  for (;;) {
    CHUNK_LINE.lastIndex = at
    const [line, digits = ''] = CHUNK_LINE.exec(text) ?? []
    if (line === undefined)
      throw text.includes('\n', at) ? new Malformed('chunk') : new Incomplete()
    at += line.length
    const size = Number.parseInt(digits, 16)
    if (size === 0) return { body, end: trailersEnd(text, at) }
    if (at + size > text.length) throw new Incomplete()
    body += text.slice(at, at + size)
    at += size
    if (text.length < at + 2) throw new Incomplete()
    if (!text.startsWith('\r\n', at)) throw new Malformed('end of a chunk')
    at += 2
  }
}

function trailersEnd(text: string, start: number): number {
  if (text.startsWith('\r\n', start)) return start + 2
  const end = text.indexOf('\r\n\r\n', start)
  if (end < 0)
    throw text.length > start + 1 && badLine(text, start)
      ? new Malformed('trailers')
      : new Incomplete()
  const fields = fieldsOf(text.slice(start, end).split('\r\n'))
  if (fields.some(([name]) => IN_TRAILERS.test(name))) throw new Malformed('framing in trailers')
  return end + 4
}

function badLine(text: string, start: number): boolean {
  const lines = text.slice(start).split('\r\n').slice(0, -1)
  return lines.some((line) => !FIELD.test(line))
}

function isLast(message: StrictMessage): boolean {
  const options = valuesIn(message, 'connection').join().toLowerCase()
  if (/(^|,)[ \t]*close[ \t]*(,|$)/.test(options)) return true
  return message.minor === '0' && !/(^|,)[ \t]*keep-alive[ \t]*(,|$)/.test(options)
}

function say(text: string): string {
  return JSON.stringify(text.slice(0, 60))
}
