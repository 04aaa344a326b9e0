// The connections of one measurement. Broken ones are replaced and what broke them is counted; too
// many failures end the measurement, because then nothing it says is worth anything.

import { type Client, type Dialogue, openClient } from './client.ts'

const FAILURES_MAX = 50
const PATIENCE_MS = 10_000

export type Crowd = {
  /** Resolves when all are connected; rejects when too much failed or it took too long. */
  ready: Promise<void>
  /** Resolves when no answer is awaited any more. */
  quiet(): Promise<void>
  send(client: Client): void
  failures(): Map<string, number>
  close(): void
}

export function createCrowd(options: {
  port: number
  dialogue: Dialogue
  connections: number
  /** Free to send: at first, after an answer, and in place of one that broke. */
  free(client: Client): void
  answered(client: Client): void
}): Crowd {
  const { port, dialogue, connections, free, answered } = options
  const clients = new Set<Client>()
  const awaited = new Set<Client>()
  const failures = new Map<string, number>()
  const ready = Promise.withResolvers<void>()
  let silent: PromiseWithResolvers<void> | undefined
  let readyCount = 0
  let failed = 0
  let isClosed = false
  ready.promise.catch(() => {
    // Whoever waits for it is told; nobody has to.
  })
  const late = setTimeout(() => tooMuch(`not connected in ${PATIENCE_MS} ms`), PATIENCE_MS)

  function add(): void {
    if (isClosed) return
    clients.add(
      openClient(port, dialogue, {
        ready(client) {
          readyCount += 1
          if (readyCount === connections) {
            clearTimeout(late)
            ready.resolve()
          }
          free(client)
        },
        answered(client) {
          awaited.delete(client)
          answered(client)
          if (dialogue.isLast) {
            clients.delete(client)
            if (silent === undefined) add()
          } else if (silent === undefined) free(client)
          if (awaited.size === 0) silent?.resolve()
        },
        failed(client, why) {
          clients.delete(client)
          awaited.delete(client)
          count(why)
          if (failed > FAILURES_MAX) tooMuch(`${failed} failures, the last: ${why}`)
          else if (silent === undefined) add()
          if (awaited.size === 0) silent?.resolve()
        },
      }),
    )
  }

  function count(why: string): void {
    failed += 1
    failures.set(why, (failures.get(why) ?? 0) + 1)
  }

  function tooMuch(why: string): void {
    clearTimeout(late)
    ready.reject(new Error(why))
    isClosed = true
  }

  for (let index = 0; index < connections; index++) add()
  return {
    ready: ready.promise,
    send(client) {
      awaited.add(client)
      client.send()
    },
    async quiet() {
      silent = Promise.withResolvers()
      if (awaited.size === 0) return
      const timer = setTimeout(() => {
        count(`no answer in ${PATIENCE_MS} ms`)
        silent?.resolve()
      }, PATIENCE_MS)
      await silent.promise
      clearTimeout(timer)
    },
    failures: () => failures,
    close() {
      isClosed = true
      clearTimeout(late)
      for (const client of clients) client.close()
    },
  }
}
