// A request's body, on its way to the instance. Nothing is read before the instance's connection
// stands, so a request whose connection failed can still go, whole, to another instance.

import type { IncomingMessage } from 'node:http'
import type { Clock } from '#shared/ports.ts'

/** Between two pieces of a body that the instance is ready to take. */
export const BODY_IDLE_MS = 60_000

/**
 * The pieces as they come, no faster than they are taken. `onIdle` is called when the client has
 * sent nothing for `idleMs`; the body then never ends by itself.
 */
export function clientBody(
  request: IncomingMessage,
  clock: Clock,
  idle: { ms: number; onIdle: () => void },
): AsyncIterable<Buffer> {
  return {
    [Symbol.asyncIterator]() {
      // Destroying the request would take the connection along on which the answer must go.
      const pieces = request.iterator({ destroyOnReturn: false })
      return {
        async next() {
          const cancel = clock.after(idle.ms, idle.onIdle)
          try {
            return await pieces.next()
          } finally {
            cancel()
          }
        },
        async return() {
          await pieces.return?.()
          return { done: true, value: undefined }
        },
      }
    },
  }
}
