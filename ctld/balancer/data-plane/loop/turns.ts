// The requests on one connection to an instance that have no answer yet, in the order in which they
// were sent, and how long the first one makes the others wait.

import type { Exchange } from './exchange.io.ts'
import { QUEUE_PATIENCE_MS } from './quickness.ts'

export class Turns {
  #queue: Exchange[] = []
  /** When the first became the first. */
  #since = 0
  /** The first stood behind another one, which was answered. */
  #isBehind = false

  get first(): Exchange | undefined {
    return this.#queue[0]
  }

  get count(): number {
    return this.#queue.length
  }

  get isBehind(): boolean {
    return this.#isBehind
  }

  all(): readonly Exchange[] {
    return this.#queue
  }

  set(group: Exchange[]): void {
    this.#queue = group
    this.#isBehind = false
  }

  sent(now: number): void {
    this.#since = now
  }

  /** The first is answered, and the next one's turn begins. */
  pass(now: number): void {
    this.#queue.shift()
    this.#since = now
    this.#isBehind = this.#queue.length > 0
  }

  /** Takes out all but the first. */
  takeOthers(): Exchange[] {
    return this.#queue.splice(1)
  }

  /** Takes out all. */
  takeAll(): Exchange[] {
    return this.#queue.splice(0)
  }

  remove(exchange: Exchange): void {
    const at = this.#queue.indexOf(exchange)
    if (at !== -1) this.#queue.splice(at, 1)
  }

  /** Takes out those whose client left. */
  removeOver(): void {
    this.#queue = this.#queue.filter(({ isOver }) => !isOver)
  }

  waitedMs(now: number): number {
    return now - this.#since
  }

  /** How long to wait for the first, of `ms` that it may take when nobody waits behind it. */
  patienceMs(ms: number, isShared: boolean): number {
    return isShared ? Math.min(QUEUE_PATIENCE_MS, ms) : ms
  }
}
