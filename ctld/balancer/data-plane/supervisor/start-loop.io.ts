// Starts the thread of a loop, with a bound on its memory, and says once when it has ended and of
// what. All threads share one buffer of counts and one channel.

import { BroadcastChannel, Worker } from 'node:worker_threads'
import type { FromLoop, LoopBirth } from '#ctld/balancer/data-plane/loop/thread-messages.ts'
import type { StartLoop } from './loops.ts'

/** A loop needs some ten; one that needs more has a fault and is replaced before others suffer. */
const HEAP_MB_MAX = 512
const CHANNEL = 'tucano-freed'

/** `entry`: the module that runs in the thread. */
export function loopStarter(entry: URL, given: Omit<LoopBirth, 'index' | 'channel'>): StartLoop {
  return (index, on) => {
    const birth: LoopBirth = { ...given, index, channel: CHANNEL }
    const worker = new Worker(entry, {
      workerData: birth,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    })
    let why: string | undefined
    worker.on('message', (message) => on.message(message as FromLoop))
    worker.once('error', (error) => {
      why = error instanceof Error ? (error.stack ?? error.message) : String(error)
    })
    worker.once('exit', (code) => on.ended(why ?? `its thread ended with code ${code}`))
    return {
      post: (message) => worker.postMessage(message),
      terminate: () => void worker.terminate(),
    }
  }
}

/** Requests of a loop that died held these slots: the other loops' waiting ones may have them. */
export function tellOfRoom(slots: readonly number[]): void {
  if (slots.length === 0) return
  const channel = new BroadcastChannel(CHANNEL)
  for (const slot of slots) channel.postMessage(slot)
  channel.close()
}
