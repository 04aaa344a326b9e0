// Factors numbers: GET /factors?number=N. The first divisors are tried at once, since they cost
// less than the way to a thread and back; what is left goes to the pool. The work ends with its
// request: answered, out of time, or its client gone.

import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { advance, begin, type Progress } from './factorise.ts'
import { createPool } from './pool.ts'
import { fail, reply, serve } from './serve.ts'
import { readSettings, type Settings } from './settings.ts'

const DIGITS_MAX = 30
/** × 30 divisors: tens of microseconds. */
const INLINE_BLOCKS = 256

const settings = settingsOrEnd()
const pool = createPool(settings.threadCount, settings.queueMax)

serve('number-fact', (request, response) => {
  const [path, query] = cut(request.url ?? '/', '?')
  if (path === '/factors') factor(new URLSearchParams(query).get('number') ?? '', response)
  else if (path === '/hello') hello(request, response)
  else reply(response, 404, 'text/plain', 'Not Found')
})

function cut(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function hello({ socket }: IncomingMessage, response: ServerResponse): void {
  const from = `${socket.remoteAddress}:${socket.remotePort}`
  reply(response, 200, 'text/plain', `Hello, world! (responding for ${from})`)
}

function factor(text: string, response: ServerResponse): void {
  const number = parseNumber(text)
  if (text === '') reply(response, 400, 'text/plain', "Missing 'number' parameter")
  else if (number === undefined) reply(response, 400, 'text/plain', "Invalid 'number' parameter")
  else split(begin(number), response)
}

/** Base 10, 1 up to 30 digits; a plus and zeros may stand before them. */
function parseNumber(text: string): bigint | undefined {
  const digits = /^\+?0*(\d+)$/.exec(text)?.[1]
  if (digits === undefined || digits === '0' || digits.length > DIGITS_MAX) return undefined
  return BigInt(digits)
}

function split(progress: Progress, response: ServerResponse): void {
  if (advance(progress, INLINE_BLOCKS)) {
    answer(response, progress.factors)
  } else if (pool.hasRoom()) {
    splitInThread(progress, response)
  } else {
    response.setHeader('retry-after', '1')
    reply(response, 503, 'text/plain', 'Too many requests are waiting')
  }
}

function splitInThread(progress: Progress, response: ServerResponse): void {
  const wanted = new AbortController()
  const timer = setTimeout(() => {
    wanted.abort()
    reply(response, 408, 'text/plain', 'Request timed out')
  }, settings.timeoutMs)
  response.once('close', () => {
    clearTimeout(timer)
    wanted.abort()
  })
  pool.run(progress, wanted.signal).then(
    (found) => answer(response, found),
    (error) => {
      if (wanted.signal.aborted) return
      console.error('number-fact lost a thread:', error)
      reply(response, 500, 'text/plain', 'Internal error')
    },
  )
}

/** 1 has no factors; its clients read null there, not an empty list. */
function answer(response: ServerResponse, factors: bigint[]): void {
  const fatores = factors.length === 0 ? null : factors.map(String)
  const sha = createHash('sha256').update(factors.join('')).digest('hex')
  reply(response, 200, 'application/json', JSON.stringify({ fatores, sha }))
}

function settingsOrEnd(): Settings {
  try {
    return readSettings(process.env)
  } catch (error) {
    fail('number-fact', (error as Error).message)
  }
}
