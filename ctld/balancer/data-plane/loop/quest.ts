// A request's search for an instance: claims one, waits for one where that helps, or says why there
// is none. It is asked again after each failure that does no harm to repeat.

import type { Account } from './account.ts'
import type { Problem } from './answers.ts'
import { Attempts } from './attempts.ts'
import type { Engine } from './engine.ts'
import { inVain, PlaceInQueue, type WaitReason } from './place-in-queue.ts'
import type { Wish } from './registry.ts'
import { scoreAnswer, scoreCut, scoreNoAnswer } from './score.ts'
import type { EndedBy, Phase } from './tally.ts'
import type { Lane, Upstream, Waiter } from './upstream.ts'
import type { Failure } from './verdict.ts'

/** Whoever needs an instance. */
export type Seeker = {
  readonly isOver: boolean
  found(upstream: Upstream): void
  waits(): void
  /** The service is under maintenance. */
  turnedAway(): void
  refuse(problem: Problem, phase: Phase, endedBy: EndedBy): void
}

export class Quest implements Waiter, Wish {
  readonly attempts: Attempts
  readonly #engine: Engine
  readonly #seeker: Seeker
  readonly #account: Account
  #place: PlaceInQueue | undefined
  /** When an instance was given the request. */
  #givenAt = 0

  constructor(engine: Engine, account: Account, seeker: Seeker) {
    this.#engine = engine
    this.#account = account
    this.#seeker = seeker
    this.attempts = new Attempts(account.lane)
  }

  get key(): string | undefined {
    return this.#account.asked.key
  }

  get token(): string | undefined {
    return this.#account.asked.token
  }

  get tried(): Set<Upstream> | undefined {
    return this.attempts.tried
  }

  connected(now: number): void {
    this.#account.connectMs = now - this.#givenAt
  }

  /** The head of an answer is there. */
  answered(upstream: Upstream, status: number, now: number): void {
    this.#engine.registry.succeeded(upstream)
    this.#account.status = status
    this.#account.firstByteMs = now - this.#account.startedAt
    scoreAnswer(upstream, status, now - this.#givenAt)
  }

  /** `hasBegun`: the client has seen a part of the answer. */
  blame(upstream: Upstream, failure: Failure, hasBegun: boolean): void {
    const engine = this.#engine
    this.#account.error = failure.error
    if (!this.attempts.blame(engine, upstream, failure, hasBegun)) return
    if (hasBegun) scoreCut(upstream, this.#account.status)
    else scoreNoAnswer(upstream, engine.clock.now() - this.#givenAt)
  }

  /** Tells the seeker what came of it, now or later. */
  dispatch(isFirst = false): void {
    const seeker = this.#seeker
    const { lane } = this.#account
    if (seeker.isOver) return
    const isPaused = lane.route.traffic === 'paused' && this.#place?.isPauseOver !== true
    this.#place?.woken()
    // Who failed before may be another program by now; and to wait for the others alone would keep
    // those behind it waiting, too.
    if (isFirst) this.attempts.tried?.clear()
    if (lane.isGone) seeker.refuse(gone(), 'queue', 'balancer')
    else if (lane.route.traffic === 'maintenance') seeker.turnedAway()
    else if (isPaused) this.#wait('paused', isFirst)
    else if (lane.upstreams.length === 0) this.#wait('none', isFirst)
    else if (this.#standsBehind(lane)) this.#wait('full', isFirst)
    else this.#claim(lane, isFirst)
  }

  /** The time to wait is over. */
  inVain(): void {
    this.#noteWait()
    const detail = inVain(this.#place?.reason, this.#account.lane)
    this.#seeker.refuse({ status: 503, detail }, 'queue', 'balancer')
  }

  /** Nobody wants an instance any more. */
  leave(): void {
    this.#place?.leave()
  }

  // Nobody overtakes those who wait already. An instance that was skipped may be back since, which
  // nobody tells them: the first of them tries it.
  #standsBehind(lane: Lane): boolean {
    if (this.#place !== undefined || lane.waiting.size === 0) return false
    this.#engine.registry.wake(lane)
    return lane.waiting.size > 0
  }

  #claim(lane: Lane, isFirst: boolean): void {
    const upstream = this.#engine.registry.claim(lane, this)
    if (upstream !== undefined) {
      this.#noteWait()
      this.#givenAt = this.#engine.clock.now()
      this.#seeker.found(upstream)
    } else if (lane.upstreams.every((one) => this.tried?.has(one))) this.#allTried()
    else this.#wait('full', isFirst)
  }

  #wait(reason: WaitReason, isFirst: boolean): void {
    this.#seeker.waits()
    this.#place ??= new PlaceInQueue(this.#engine, this.#account.lane, this)
    switch (this.#place.wait(reason, isFirst)) {
      case 'waits':
        return
      case 'pause_over':
        this.dispatch(isFirst)
        return
      case 'too_long':
        this.inVain()
        return
      case 'too_many': {
        const detail = 'too many requests wait for the service'
        this.#seeker.refuse({ status: 503, detail }, 'queue', 'balancer')
      }
    }
  }

  #noteWait(): void {
    const account = this.#account
    if (this.#place?.hasWaited === true) {
      if (account.queueMs <= 0) account.queueMs = this.#engine.clock.now() - account.startedAt
    } else account.queueMs = 0
  }

  #allTried(): void {
    const { attempts } = this
    if (attempts.startsAnew()) this.dispatch()
    else {
      this.#seeker.refuse(attempts.lastWord, attempts.wasSent ? 'head' : 'connect', 'instance')
    }
  }
}

function gone(): Problem {
  return { status: 404, detail: 'no service is known by this host or path' }
}
