// One check of a program on this machine by HTTP or by a TCP connect. No redirect is followed, and
// only the beginning of an answer is read.

import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { ProbeAnswer } from '#agentd/ports.ts'
import type { HttpWay } from '#shared/wire-checks.ts'
import { createBodyMatch } from './body-match.ts'

/** So much of a body that does not matter is read: an honest program sees its answer taken. */
const UNREAD_BYTES_MAX = 4 * 1024

export type Place = { host: string; port: number; timeoutMs: number }

/** Resolves to words either way, within `timeoutMs`. */
export function probeHttp({ host, port, timeoutMs }: Place, way: HttpWay): Promise<ProbeAnswer> {
  const { path } = way
  return new Promise((resolve) => {
    const headers = { 'user-agent': 'tucano_agentd', ...way.headers, connection: 'close' }
    const request = get({ host, port, path, headers, agent: false })
    const timer = setTimeout(() => {
      resolve({ ok: false, words: `no answer from ${path} within ${timeoutMs} ms` })
      request.destroy()
    }, timeoutMs)
    request.once('response', (response) => judge(response, way, resolve))
    request.once('close', () => {
      clearTimeout(timer)
      // Also without an error: an answer that changes the protocol is none to Node.
      resolve({ ok: false, words: `no usable answer from ${path}` })
    })
    request.once('error', (error) => resolve({ ok: false, words: wordsOf(error) }))
  })
}

function judge(
  response: IncomingMessage,
  way: HttpWay,
  resolve: (answer: ProbeAnswer) => void,
): void {
  const words = `HTTP ${response.statusCode ?? 0} from ${way.path}`
  const fault = headFault(response, way)
  response.on('error', () => response.destroy())
  if (fault !== undefined || way.answer_body.length === 0) {
    resolve({ ok: fault === undefined, words: `${words}${fault ?? ''}` })
    readLittle(response)
    return
  }
  const match = createBodyMatch(way.answer_body)
  const done = () => {
    const missing = match.missing()
    const without = missing === undefined ? '' : ` without ${JSON.stringify(missing)} in its body`
    resolve({ ok: missing === undefined, words: `${words}${without}` })
    response.destroy()
  }
  response.on('data', (chunk: Buffer) => {
    if (match.add(chunk)) done()
  })
  response.once('end', done)
}

/** undefined: status and headers are as wanted. */
function headFault({ statusCode = 0, headers }: IncomingMessage, way: HttpWay): string | undefined {
  const isWanted = way.status.some(([from, to]) => statusCode >= from && statusCode <= to)
  if (!isWanted) return ''
  for (const [name, text] of Object.entries(way.answer_headers)) {
    const value = headers[name.toLowerCase()]
    const has = Array.isArray(value) ? value.some((one) => one.includes(text)) : value
    if (has === undefined || has === false) return ` without the header ${name}`
    if (has !== true && !has.includes(text)) {
      return ` with the header ${name} without ${JSON.stringify(text)}`
    }
  }
  return undefined
}

/** Up to a limit; the timer ends a slow one. */
function readLittle(response: IncomingMessage): void {
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > UNREAD_BYTES_MAX) response.destroy()
  })
}

export function probeTcp({ host, port, timeoutMs }: Place): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const done = (ok: boolean, words: string) => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ ok, words })
    }
    const timer = setTimeout(() => done(false, `no connection within ${timeoutMs} ms`), timeoutMs)
    socket.once('connect', () => done(true, 'connected'))
    socket.once('error', (error) => done(false, wordsOf(error)))
  })
}

function wordsOf(error: Error & { code?: string }): string {
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'connection reset',
    EHOSTUNREACH: 'host unreachable',
  }
  return words[error.code ?? ''] ?? error.message
}
