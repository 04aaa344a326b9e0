// Runs pieces of work one after another, in the order they were handed in.

import { TucanoError } from './errors.ts'

const WAITING_MAX = 1_000

export type OneAtATime = {
  /** Settles as the work does. Rejects with `unavailable` when `waitingMax` are waiting already. */
  run<T>(work: () => Promise<T>): Promise<T>
  /** Nothing runs and nothing waits. */
  isIdle(): boolean
}

export function createOneAtATime(what: string, waitingMax = WAITING_MAX): OneAtATime {
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  return {
    async run(work) {
      if (waiting >= waitingMax) {
        throw new TucanoError('unavailable', `${waiting} writes of ${what} wait already: try later`)
      }
      waiting++
      // Whoever handed in the former work has heard of its failure; it must not stop the next.
      const mine = last.then(work, work)
      last = mine
      try {
        return await mine
      } finally {
        waiting--
      }
    },
    isIdle: () => waiting === 0,
  }
}
