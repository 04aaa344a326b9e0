// A request's place among those that wait: because the service is paused, because every instance is
// full, or because there is none for a moment. Whatever wakes it, its time runs from the first
// wait for the same reason, and it loses its place to nobody.

import type { Ticket } from '#ctld/balancer/data-plane/choose/queue.ts'
import { type Deadline, newDeadline } from './deadlines.ts'
import type { Engine } from './engine.ts'
import type { Lane, Waiter } from './upstream.ts'

export type WaitReason = 'paused' | 'full' | 'none'

export class PlaceInQueue {
  reason: WaitReason | undefined
  hasWaited = false
  /** It waited for as long as was declared: for this request the service is open. */
  isPauseOver = false
  readonly #engine: Pick<Engine, 'clock' | 'deadlines' | 'registry'>
  readonly #lane: Lane
  readonly #waiter: Waiter
  readonly #deadline: Deadline
  #until = 0
  #ticket: Ticket<Waiter> | undefined

  /** `inVain` is called when the time of a wait is over. */
  constructor(
    engine: Pick<Engine, 'clock' | 'deadlines' | 'registry'>,
    lane: Lane,
    waiter: Waiter & { inVain(): void },
  ) {
    this.#engine = engine
    this.#lane = lane
    this.#waiter = waiter
    this.#deadline = newDeadline(() => {
      if (this.reason === 'paused') {
        this.#openAfterPause()
        return
      }
      this.leave()
      waiter.inVain()
    })
  }

  wait(reason: WaitReason, isFirst: boolean): 'waits' | 'pause_over' | 'too_long' | 'too_many' {
    const { clock, deadlines, registry } = this.#engine
    const { waiting } = this.#lane
    const now = clock.now()
    if (this.reason !== reason) {
      this.reason = reason
      this.#until = waitUntil(reason, this.#lane, now)
    }
    if (this.#until <= now && reason === 'paused') {
      this.isPauseOver = true
      return 'pause_over'
    }
    if (this.#until <= now) return 'too_long'
    this.#ticket = isFirst
      ? waiting.putBack(this.#waiter, this.#until)
      : waiting.push(this.#waiter, this.#until)
    if (this.#ticket === undefined) return 'too_many'
    this.hasWaited = true
    deadlines.set(this.#deadline, Math.ceil(this.#until - now), now)
    // A place that came free since the claim was announced to nobody: look once more.
    if (reason === 'full' && registry.listenForRoom(this.#lane)) registry.wake(this.#lane)
    return 'waits'
  }

  /** Its turn came: it stands in the queue no more. */
  woken(): void {
    this.#ticket = undefined
    this.#engine.deadlines.clear(this.#deadline)
  }

  // Whoever would end the pause may be dead. It keeps its place: those before it came earlier, so
  // their pauses are over too.
  #openAfterPause(): void {
    const { clock, deadlines, registry } = this.#engine
    const now = clock.now()
    this.isPauseOver = true
    this.reason = 'full'
    this.#until = waitUntil('full', this.#lane, now)
    deadlines.set(this.#deadline, Math.max(1, Math.ceil(this.#until - now)), now)
    registry.listenForRoom(this.#lane)
    registry.wake(this.#lane)
  }

  leave(): void {
    if (this.#ticket !== undefined) this.#lane.waiting.remove(this.#ticket)
    this.woken()
  }
}

/** What to say to who waited in vain. */
export function inVain(reason: WaitReason | undefined, { service }: Lane): string {
  switch (reason) {
    case 'paused':
      return `service ${service} is paused`
    case 'full':
      return 'every instance has as many requests as it may have'
    default:
      return `no instance of service ${service} is running`
  }
}

function waitUntil(reason: WaitReason, { route, hadTargetsAt }: Lane, now: number): number {
  switch (reason) {
    case 'paused':
      return now + route.pauseMs
    case 'full':
      return now + route.queueMs
    case 'none':
      return hadTargetsAt + route.holdMs
  }
}
