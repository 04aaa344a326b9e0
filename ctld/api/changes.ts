// Lets requests wait for something to become true of the controller, for a bounded time and in a
// bounded number. Woken by each step of the controller, never by a tick.

import type { Ctld } from '#ctld/snapshot.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Clock } from '#shared/ports.ts'

export const WAITERS_MAX = 1_000
export const WAIT_MS_MAX = 60_000

export type Changes = {
  /**
   * What `find` gives as soon as it is not undefined; undefined after `waitMs` (at most
   * WAIT_MS_MAX) or when the signal aborts. Throws `unavailable` when too many wait.
   */
  until<T>(find: () => T | undefined, waitMs: number, signal: AbortSignal): Promise<T | undefined>
  /** How many wait now. */
  waiting(): number
}

export function createChanges(ctld: Pick<Ctld, 'onChange'>, clock: Clock): Changes {
  const waiters = new Set<() => void>()
  let unsubscribe: (() => void) | undefined

  const join = (waiter: () => void): void => {
    waiters.add(waiter)
    unsubscribe ??= ctld.onChange(() => {
      for (const wake of [...waiters]) wake()
    })
  }
  const leave = (waiter: () => void): void => {
    waiters.delete(waiter)
    if (waiters.size > 0) return
    unsubscribe?.()
    unsubscribe = undefined
  }

  return {
    waiting: () => waiters.size,
    async until(find, waitMs, signal) {
      const now = find()
      if (now !== undefined || waitMs <= 0 || signal.aborted) return now
      if (waiters.size >= WAITERS_MAX) {
        throw new TucanoError('unavailable', 'too many requests wait for a change')
      }
      return new Promise((resolve, reject) => {
        const finish = (settle: () => void): void => {
          cancel()
          leave(look)
          signal.removeEventListener('abort', giveUp)
          settle()
        }
        const giveUp = () => finish(() => resolve(undefined))
        const look = () => {
          try {
            const found = find()
            if (found !== undefined) finish(() => resolve(found))
          } catch (error) {
            finish(() => reject(error))
          }
        }
        const cancel = clock.after(Math.min(waitMs, WAIT_MS_MAX), giveUp)
        signal.addEventListener('abort', giveUp)
        join(look)
      })
    },
  }
}
