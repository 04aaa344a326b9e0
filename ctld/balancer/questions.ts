// Asks the data plane what it counts: a question, its answer, and what stands for one when there
// is none in time or nobody to ask.

import { TucanoError } from '#shared/errors.ts'
import type { Clock } from '#shared/ports.ts'
import type { DataPlaneCounters } from './data-plane/counters.ts'
import type { FromDataPlane, ToDataPlane } from './data-plane/supervisor/protocol.ts'

const ANSWER_MS_MAX = 3_000

type Answer = Extract<FromDataPlane, { kind: 'counters' | 'counters_failed' }>

export type Questions = {
  /** Rejects with `unavailable`. `send` undefined: nobody is there. */
  ask(send: ((message: ToDataPlane) => void) | undefined): Promise<DataPlaneCounters>
  heard(answer: Answer): void
  /** Who was asked is away. */
  cut(): void
}

export function createQuestions(clock: Clock): Questions {
  const asked = new Map<number, (answer: Answer) => void>()
  let lastId = 0

  return {
    ask(send) {
      lastId += 1
      const id = lastId
      return new Promise((resolve, reject) => {
        const refuse = (why: string) => {
          asked.delete(id)
          cancel()
          reject(new TucanoError('unavailable', `the balancer does not say what it counts: ${why}`))
        }
        const cancel = clock.after(ANSWER_MS_MAX, () => refuse('it does not answer'))
        asked.set(id, (answer) => {
          if (answer.kind === 'counters_failed') return refuse(answer.error)
          asked.delete(id)
          cancel()
          resolve(answer.counters)
        })
        if (send === undefined) refuse('it is not there')
        else send({ kind: 'counters', id })
      })
    },
    heard: (answer) => asked.get(answer.id)?.(answer),
    cut() {
      for (const take of asked.values())
        take({ kind: 'counters_failed', id: 0, error: 'it is away' })
    },
  }
}
