// Requests at a fixed rate, whether or not the former ones were answered, and what became of each.

import { Agent, request } from 'node:http'

export type Seen = { at: number; status: number; body: string; error: string | undefined }

export type OpenLoop = {
  seen: Seen[]
  bad(isGood?: (one: Seen) => boolean): Seen[]
  /** Resolves when so many requests have been answered since the call. */
  answered(count: number): Promise<void>
  /** No more requests; resolves when all are answered. */
  stop(): Promise<void>
}

const TIMEOUT_MS = 15_000
const BODY_MAX = 4_096

export function startOpenLoop(options: {
  url: string
  host: string
  perSecond: number
  method?: string
}): OpenLoop {
  const { url, host, perSecond, method = 'GET' } = options
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const seen: Seen[] = []
  const pending = new Set<Promise<void>>()
  const waiting: { count: number; resolve: () => void }[] = []
  const startedAt = performance.now()
  let sent = 0

  function note(one: Seen): void {
    seen.push(one)
    for (const waiter of waiting.splice(0)) {
      if (seen.length >= waiter.count) waiter.resolve()
      else waiting.push(waiter)
    }
  }

  function ask(): void {
    const at = performance.now()
    const one = new Promise<void>((resolve) => {
      const done = (status: number, body: string, error?: string) => {
        note({ at, status, body, error })
        resolve()
      }
      const call = request(
        url,
        { agent, method, headers: { host }, timeout: TIMEOUT_MS },
        (response) => {
          let body = ''
          response.on('data', (chunk: Buffer) => {
            if (body.length < BODY_MAX) body += chunk
          })
          response.on('end', () => done(response.statusCode ?? 0, body))
          response.on('error', (error) => done(0, '', error.message))
        },
      )
      call.on('timeout', () => call.destroy(new Error('timeout')))
      call.on('error', (error) => done(0, '', error.message))
      call.end()
    })
    pending.add(one)
    one.finally(() => pending.delete(one))
  }

  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * perSecond)
    for (; sent < due; sent += 1) ask()
  }, 5)

  return {
    seen,
    bad: (isGood = ({ status }) => status === 200) => seen.filter((one) => !isGood(one)),
    answered: (count) =>
      new Promise((resolve) => {
        waiting.push({ count: seen.length + count, resolve })
      }),
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
      agent.destroy()
    },
  }
}
