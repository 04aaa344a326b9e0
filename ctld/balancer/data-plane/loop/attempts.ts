// Decides whether there is another try of a request, by what became of the others: which failed,
// who is to blame, and whether the service's budget of retries allows it.

import type { Engine } from './engine.ts'
import type { Lane, Upstream } from './upstream.ts'
import { type Failure, judge, lastWord, type Tries, type Verdict } from './verdict.ts'

/** No other try is begun after that: whoever waits has given up or should be told. */
export const TRIES_MS_MAX = 10_000

export class Attempts {
  /** Instances that are not asked again. */
  tried: Set<Upstream> | undefined
  /** The connection that it was on died of having been idle: the next one is a new one. */
  wantsFresh = false
  count = 0
  readonly #tries: Tries = { sent: 0, unsent: 0 }
  readonly #lane: Lane

  constructor(lane: Lane) {
    this.#lane = lane
  }

  sent(): void {
    this.#tries.sent += 1
  }

  get wasSent(): boolean {
    return this.#tries.sent > 0
  }

  /** When no instance is left to try. */
  get lastWord() {
    return lastWord(this.#tries)
  }

  /** true: it took the request and did not answer it; that is counted against it. */
  blame(
    { registry }: Pick<Engine, 'registry'>,
    upstream: Upstream,
    failure: Failure,
    hasBegun: boolean,
  ): boolean {
    const isToBlame = failure.wasSent && (hasBegun || !isRace(failure))
    if (isToBlame) registry.failedHard(upstream, failure.error)
    else if (failure.wasSent) registry.reuseDied(upstream)
    else registry.unreachable(upstream, failure.error)
    return isToBlame
  }

  /** `another`: it may be tried again, and that is counted. */
  after(
    failure: Failure,
    upstream: Upstream,
    is: { repeatable: boolean; now: number; triedForMs: number },
  ): Verdict {
    const { tally, budget } = this.#lane
    if (!failure.wasSent) this.#tries.unsent += 1
    const verdict = judge(failure, is.repeatable, this.#tries)
    if (verdict !== 'another') return verdict
    if (is.triedForMs > TRIES_MS_MAX) return lastWord(this.#tries)
    // After a connection that was closed as idle comes a new one, so that this doubles no load.
    if (failure.wasSent && !isRace(failure) && !budget.mayRetry(is.now)) {
      tally.counters.retriesDenied += 1
      return lastWord(this.#tries)
    }
    this.count += 1
    tally.counters.retries += 1
    this.tried ??= new Set()
    this.tried.add(upstream)
    this.wantsFresh = failure.wasReused
    return 'another'
  }

  /**
   * All were tried: may they be asked once more? A connection that was closed while it was idle
   * says nothing of its instance.
   */
  startsAnew(): boolean {
    if (!this.wantsFresh || this.tried === undefined) return false
    this.tried.clear()
    return true
  }
}

function isRace(failure: Failure): boolean {
  return failure.kind === 'lost' && failure.wasReused
}
