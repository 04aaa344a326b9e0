// Puts tables on disk one after the other; of those that come meanwhile only the newest counts. A
// disk that is full now is tried again, while the traffic goes on by what is in memory.

import { messageOf } from '#shared/errors.ts'
import type { Cancel, Clock, Log } from '#shared/ports.ts'

const RETRY_MS = 1_000

export type KeepNewest<T> = {
  /** Serials grow. `isKept`: it lies there already. */
  put(serial: number, value: T, isKept: boolean): void
  /** All up to this one is on disk, or was tried once. */
  tried(): number
  /** Why the newest is not on disk. */
  failure(): string | undefined
  /** Resolves when nothing is being written. */
  settled(): Promise<void>
  /** Writes nothing any more. */
  stop(): void
}

export function createKeepNewest<T>(ports: {
  clock: Clock
  log: Log
  save(value: T): Promise<void>
  onTried(): void
}): KeepNewest<T> {
  const { clock, log } = ports
  let newest: { serial: number; value: T } | undefined
  let tried = -1
  let failure: string | undefined
  let writing: Promise<void> | undefined
  let isStopped = false
  let cancelRetry: Cancel = () => {}

  async function write(): Promise<void> {
    while (newest !== undefined && newest.serial > tried && !isStopped) {
      const { serial, value } = newest
      await ports.save(value).then(saved, notSaved)
      tried = serial
      ports.onTried()
    }
    writing = undefined
  }

  function saved(): void {
    if (failure !== undefined) log.info({}, 'the route table is on disk again')
    failure = undefined
  }

  function notSaved(error: unknown): void {
    const words = messageOf(error)
    if (words !== failure) log.error({ error: words }, 'the route table is not on disk')
    failure = words
    cancelRetry()
    cancelRetry = clock.after(RETRY_MS, () => {
      tried -= 1
      start()
    })
  }

  function start(): void {
    writing ??= write()
  }

  return {
    put(serial, value, isKept) {
      newest = { serial, value }
      if (isKept && failure === undefined && writing === undefined) tried = serial
      else start()
    },
    tried: () => tried,
    failure: () => failure,
    settled: async () => writing,
    stop() {
      isStopped = true
      cancelRetry()
    },
  }
}
