// What the controller's loop is told, in order of arrival. Bounded: a request or a report that does
// not fit is refused at once, with words, instead of being waited for.

import type { ControllerConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Ack, OrderAnswer, Report } from '#shared/wire.ts'
import type { DataPlaneCounters } from './balancer/data-plane/counters.ts'
import type { Command, CommandResult } from './commands.ts'
import type { Copy } from './foresight.ts'
import type { Observation } from './ports.ts'

export const INBOX_MAX = 10_000

export type Answer<T> = { resolve: (value: T) => void; reject: (error: unknown) => void }

/** A request changes what is declared; it is answered when that is on disk. */
export type Request = {
  kind: 'request'
  command: Command
  /** The parsed text of a put_config. */
  config: ControllerConfig | undefined
  answer: Answer<CommandResult>
}

export type Inbound =
  | Request
  | { kind: 'report'; report: Report; answer: Answer<Ack> }
  | { kind: 'probed'; node: string; ok: boolean }
  | { kind: 'restarted'; node: string; error: string | null }
  | { kind: 'ordered'; node: string; answer: OrderAnswer }
  | { kind: 'observed'; observation: Observation }
  /** What the data plane counted; undefined: it did not answer. */
  | { kind: 'counted'; counters: DataPlaneCounters | undefined }
  | { kind: 'copied'; answer: Answer<Copy> }
  | { kind: 'mailed'; id: string; error: string | null }

export type Inbox = { put(inbound: Inbound): void; drain(): Inbound[] }

export function createInbox(wake: () => void): Inbox {
  let waiting: Inbound[] = []
  return {
    put(inbound) {
      const isFull = waiting.length >= INBOX_MAX
      if (isFull && (inbound.kind === 'request' || inbound.kind === 'report')) {
        const text = `more than ${INBOX_MAX} requests wait; try again later`
        inbound.answer.reject(new TucanoError('too_many_requests', text))
        return
      }
      // All else is an end that somebody waits for, of something that was begun in bounded number.
      waiting.push(inbound)
      wake()
    },
    drain() {
      const drained = waiting
      waiting = []
      return drained
    },
  }
}
