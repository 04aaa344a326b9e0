// The other end of the handover: the program before this one, which is its parent and speaks over
// the channel that it was born with.

import { TucanoError } from '#shared/errors.ts'
import { hearPredecessor, type ToPredecessor, type ToSuccessor } from './handover.ts'

export type Predecessor = {
  /** The next message of this kind. Rejects with `unavailable` when the other one is gone. */
  next<K extends ToSuccessor['kind']>(kind: K): Promise<Extract<ToSuccessor, { kind: K }>>
  on(listener: (message: ToSuccessor) => void): void
  onGone(listener: () => void): void
  send(message: ToPredecessor): void
}

/** Throws `usage` when this process was not started by one. */
export function findPredecessor(): Predecessor {
  if (process.send === undefined) {
    throw new TucanoError('usage', '--inherit is for a program that its predecessor starts')
  }
  const listeners = new Set<(message: ToSuccessor) => void>()
  const gone = new Set<() => void>()
  let isGone = false
  // Messages that came before anybody asked for them.
  const unread: ToSuccessor[] = []
  process.on('message', (message) => {
    const heard = hearPredecessor(message)
    if (heard === undefined) return
    if (listeners.size === 0) unread.push(heard)
    for (const listener of listeners) listener(heard)
  })
  process.once('disconnect', () => {
    isGone = true
    for (const listener of gone) listener()
  })

  return {
    next(kind) {
      return new Promise((resolve, reject) => {
        const take = (message: ToSuccessor) => {
          if (message.kind !== kind) return
          listeners.delete(take)
          resolve(message as never)
        }
        listeners.add(take)
        const refuse = () => reject(new TucanoError('unavailable', 'the predecessor is gone'))
        gone.add(refuse)
        for (const message of unread.splice(0)) take(message)
        if (isGone) refuse()
      })
    },
    on(listener) {
      listeners.add(listener)
      for (const message of unread.splice(0)) listener(message)
    },
    onGone(listener) {
      gone.add(listener)
      if (isGone) listener()
    },
    send(message) {
      // It may be gone: then nobody needs to hear it.
      if (process.connected) process.send?.(message, undefined, undefined, () => {})
    },
  }
}
