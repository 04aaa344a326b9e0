// Clients that each send the next request when the last one is answered, on connections that stay.
// What each of them saw is counted by kind: a status, an answer cut off, a connection cut off, or
// an answer to another one's request.

import { Agent, request } from 'node:http'

export type Outcome = {
  requests: number
  /** How often each kind was seen: `200`, `502`, `cut` (in the answer), `closed` (before it). */
  saw: Record<string, number>
  /** Paths by kind of those that were not 200. */
  failed: Map<string, string>
}

export type LoadOptions = {
  port: number
  /** Whose requests they are; absent: `api`. */
  host?: string
  clients?: number
  /** All in all; absent: until `stop`. */
  requests?: number
  method?: (n: number) => string
  path?: (n: number) => string
  /** Does the answer's body fit the path? */
  isRight?: (body: string, path: string) => boolean
  /** New connection for each request. */
  isFresh?: boolean
}

export type Load = {
  outcome: Outcome
  done: Promise<Outcome>
  /** Resolves when so many more were answered. */
  answered(count: number): Promise<void>
  stop(): Promise<Outcome>
}

const TIMEOUT_MS = 60_000

export function startLoad(options: LoadOptions): Load {
  const { clients = 8, requests = Number.POSITIVE_INFINITY } = options
  const outcome: Outcome = { requests: 0, saw: {}, failed: new Map() }
  const waiting = new Map<number, () => void>()
  const abort = new AbortController()
  let sent = 0

  function note(kind: string, path: string): void {
    outcome.requests += 1
    outcome.saw[kind] = (outcome.saw[kind] ?? 0) + 1
    if (kind !== '200') outcome.failed.set(path, kind)
    waiting.get(outcome.requests)?.()
  }

  async function client(): Promise<void> {
    const agent = new Agent({ keepAlive: options.isFresh !== true, maxSockets: 1 })
    while (sent < requests && !abort.signal.aborted) {
      const n = sent
      sent += 1
      const path = options.path?.(n) ?? `/n${n}`
      note(await ask(options, agent, options.method?.(n) ?? 'GET', path), path)
    }
    agent.destroy()
  }

  const all = Promise.all(Array.from({ length: clients }, client))
  const done = all.then(() => outcome)
  return {
    outcome,
    done,
    answered: (count) =>
      new Promise((resolve) => void waiting.set(outcome.requests + count, resolve)),
    stop() {
      abort.abort()
      return done
    },
  }
}

function ask(
  { port, host = 'api', isRight = (body, path) => body === path }: LoadOptions,
  agent: Agent,
  method: string,
  path: string,
): Promise<string> {
  return new Promise((resolve) => {
    const hasBody = method === 'POST'
    const sent = request({
      host: '127.0.0.1',
      port,
      path,
      method,
      agent,
      timeout: TIMEOUT_MS,
      headers: { host, ...(hasBody ? { 'content-length': path.length } : {}) },
    })
    sent.once('timeout', () => {
      resolve('timeout')
      sent.destroy()
    })
    let hasBegun = false
    sent.once('error', () => resolve(hasBegun ? 'cut' : 'closed'))
    sent.once('response', (answer) => {
      let body = ''
      hasBegun = true
      answer.setEncoding('latin1')
      answer.on('data', (piece) => {
        body += piece
      })
      answer.once('error', () => resolve('cut'))
      answer.once('end', () => {
        const { statusCode = 0 } = answer
        resolve(statusCode === 200 && !isRight(body, path) ? 'wrong' : String(statusCode))
      })
    })
    sent.end(hasBody ? path : undefined)
  })
}
