// One health check of a program on this machine: an HTTP GET that must answer 200..399, or a TCP
// connect. No redirect is followed, and little of the answer is read.

import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { ProbeAnswer } from '#agentd/ports.ts'

const BODY_BYTES_MAX = 4 * 1024

export type Check = { host: string; port: number; path: string | undefined; timeoutMs: number }

/** Resolves to words either way, within `timeoutMs`. */
export function probe(check: Check): Promise<ProbeAnswer> {
  return check.path === undefined ? probeTcp(check) : probeHttp(check, check.path)
}

function probeHttp({ host, port, timeoutMs }: Check, path: string): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const headers = { 'user-agent': 'tucano_agentd', connection: 'close' }
    const request = get({ host, port, path, headers, agent: false })
    const timer = setTimeout(() => {
      resolve({ ok: false, words: `no answer from ${path} within ${timeoutMs} ms` })
      request.destroy()
    }, timeoutMs)
    request.once('response', (response) => {
      const status = response.statusCode ?? 0
      resolve({ ok: status >= 200 && status <= 399, words: `HTTP ${status} from ${path}` })
      readLittle(response)
    })
    request.once('close', () => {
      clearTimeout(timer)
      // Also without an error: an answer that changes the protocol is none to Node.
      resolve({ ok: false, words: `no usable answer from ${path}` })
    })
    request.once('error', (error) => resolve({ ok: false, words: wordsOf(error) }))
  })
}

/** Up to a limit, so that an honest program sees its answer taken; the timer ends a slow one. */
function readLittle(response: IncomingMessage): void {
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) response.destroy()
  })
  response.on('error', () => response.destroy())
}

function probeTcp({ host, port, timeoutMs }: Check): Promise<ProbeAnswer> {
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
