// Decides whether a connection to an instance may be used once more, and how long it is kept idle:
// a little less long than its program keeps it.

import { type ResponseHead, UNTIL_CLOSE } from '#ctld/balancer/data-plane/http1/response-head.ts'
import type { Target } from '#ctld/ports.ts'
import type { Upstream } from './upstream.ts'

/** Below the 5 s after which Node programs close theirs; for a program that does not say. */
const IDLE_DEFAULT_MS = 4_000
const IDLE_MAX_MS = 60_000
/** A program that says N seconds may count from a moment before ours. */
const IDLE_MARGIN_MS = 1_000

export class Keeping {
  idleMs = IDLE_DEFAULT_MS
  /** Something about it was odd, or its program wants it closed. */
  mustClose = false
  readonly #upstream: Upstream
  readonly #target: Target

  constructor(upstream: Upstream) {
    this.#upstream = upstream
    this.#target = upstream.target
  }

  /** An answer has begun. `length`: as of `bodyOf`; `isShared`: others wait behind it. */
  noteHead(head: ResponseHead, length: number, isShared: boolean): void {
    // What follows an answer that has no body by its status could be a body all the same, and would
    // be taken for the answer to the next client's request.
    if (isShared && (head.status === 204 || head.status === 304)) this.mustClose = true
    const said = head.keepAliveTimeoutMs
    const ms = said < 0 ? IDLE_DEFAULT_MS : Math.min(said - IDLE_MARGIN_MS, IDLE_MAX_MS)
    if (ms <= 0 || !head.keepAlive || length === UNTIL_CLOSE) this.mustClose = true
    this.idleMs = ms
  }

  get isWanted(): boolean {
    return !this.mustClose && !this.#upstream.isLeaving && this.#isAtHome
  }

  /** Does it lead to where the instance is now? */
  get #isAtHome(): boolean {
    const { target } = this.#upstream
    const { host, port } = this.#target
    return target === this.#target || (target.host === host && target.port === port)
  }
}
