// One connection to an instance: sends requests, reads their answers in order, and goes back to its
// pool only when nothing about it was odd. It is dropped when anything comes while it is idle, when
// an answer ends by closing, when the program wants it closed, or when a body was not sent whole.

import type { Socket } from 'node:net'
import type { ResponseHead } from '#ctld/balancer/data-plane/http1/response-head.ts'
import { AnswerReader } from './answer-reader.ts'
import { type Deadline, newDeadline } from './deadlines.ts'
import type { Engine } from './engine.ts'
import type { Exchange } from './exchange.io.ts'
import { InstanceSocket, type InstanceSocketOwner } from './instance-socket.io.ts'
import { Keeping } from './keeping.ts'
import type { Outlet } from './outlet.io.ts'
import { noteQuickness, noteStuck, QUEUE_PATIENCE_MS } from './quickness.ts'
import { Turns } from './turns.ts'
import type { Pooled, Upstream } from './upstream.ts'

type State = 'connecting' | 'open' | 'closed'

export class InstanceConnection implements Pooled, InstanceSocketOwner {
  readonly upstream: Upstream
  idleSince = 0
  idleUntil = 0
  /** Answers that it has brought whole. */
  served = 0
  readonly #engine: Engine
  readonly #socket: InstanceSocket
  readonly #deadline: Deadline
  readonly #reader: AnswerReader
  readonly #turns = new Turns()
  #state: State = 'connecting'
  readonly #keeping: Keeping
  readonly #startedAt: number
  #error = 'the connection was closed'

  constructor(engine: Engine, upstream: Upstream) {
    this.#engine = engine
    this.upstream = upstream
    this.#deadline = newDeadline(() => this.#due())
    this.#reader = new AnswerReader(this, engine)
    this.#startedAt = engine.clock.now()
    upstream.openConnections += 1
    upstream.counters.connectAttempts += 1
    this.#keeping = new Keeping(upstream)
    this.#socket = new InstanceSocket(engine, upstream.target, this)
    engine.deadlines.set(this.#deadline, upstream.lane.route.connectMs, this.#startedAt)
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  get outlet(): Outlet {
    return this.#socket.outlet
  }

  get isInBody(): boolean {
    return !this.#reader.isAtHead
  }

  /** Whose answer is to come next. */
  get first(): Exchange | undefined {
    return this.#turns.first
  }

  get wasUsed(): boolean {
    return this.served > 0
  }

  /** Only on a new connection or one out of the pool. All but a single one are without a body. */
  send(group: Exchange[]): void {
    this.#turns.set(group)
    if (this.#state === 'open') this.#sendAll()
  }

  /** The request is whole, or the client takes more: what comes next is waited for. */
  watch(): void {
    if (this.#reader.isAtHead) this.#watchAnswer(this.#engine.clock.now())
    else this.watchBody()
  }

  pause(): void {
    this.takeBack()
    this.#socket.pause()
    this.#engine.deadlines.clear(this.#deadline)
  }

  resume(): void {
    if (this.#state === 'closed' || !this.#socket.isPaused) return
    this.#socket.resume()
    this.watch()
  }

  /**
   * Nobody wants this answer any more. Alone, or begun, it ends the connection; among others it is
   * read and dropped when its turn comes.
   */
  abandon(exchange: Exchange): void {
    const turns = this.#turns
    if (!turns.all().includes(exchange)) return
    if (turns.count > 1 && (turns.first !== exchange || this.#reader.isAtHead)) return
    turns.remove(exchange)
    this.#retire()
  }

  /** Those behind the first are sent again, each by itself: they are all safe to repeat. */
  takeBack(): void {
    if (this.#turns.count < 2) return
    this.#keeping.mustClose = true
    this.#sendOthers(this.#turns.takeOthers())
  }

  /** The socket, to be joined with the client's. Nothing here touches it any more. */
  handOver(): Socket {
    this.#turns.set([])
    this.#leave()
    return this.#socket.handOver()
  }

  destroy(): void {
    this.#turns.set([])
    this.#leave()
    this.#socket.destroy()
  }

  drained(): void {
    const { first } = this.#turns
    if (first?.owesBody !== true) return
    this.#engine.deadlines.clear(this.#deadline)
    first.instanceWritable()
  }

  read(octets: Buffer, size: number): void {
    this.#reader.read(octets, size)
  }

  connected(): void {
    if (this.#state !== 'connecting') return
    this.#state = 'open'
    const now = this.#engine.clock.now()
    this.#engine.registry.connected(this.upstream, now - this.#startedAt)
    this.#engine.deadlines.clear(this.#deadline)
    // Clients that left while it was being made are not asked for.
    this.#turns.removeOver()
    if (this.#turns.count > 0) this.#sendAll()
    else this.#goIdle(now)
  }

  #sendAll(): void {
    const now = this.#engine.clock.now()
    const turns = this.#turns
    let text = ''
    for (const exchange of turns.all()) text += exchange.headText(now)
    turns.sent(now)
    this.outlet.text(text)
    const { first } = turns
    if (first?.hasBody !== true) {
      this.outlet.flush()
      this.#watchAnswer(now)
      return
    }
    // The time to the answer begins with the end of the request.
    this.#engine.deadlines.clear(this.#deadline)
    first.instanceWritable()
    this.outlet.flush()
  }

  #watchAnswer(now: number): void {
    const { responseMs } = this.upstream.lane.route
    const isShared = this.#turns.count > 1 || this.#turns.isBehind
    this.#engine.deadlines.set(this.#deadline, this.#turns.patienceMs(responseMs, isShared), now)
  }

  /** A body that goes on and on makes those behind it wait no longer than a late head does. */
  watchBody(): void {
    const turns = this.#turns
    const now = this.#engine.clock.now()
    if (turns.count > 1 && turns.waitedMs(now) >= QUEUE_PATIENCE_MS) this.takeBack()
    const ms = turns.patienceMs(this.upstream.lane.route.idleMs, turns.count > 1)
    this.#engine.deadlines.set(this.#deadline, ms, now)
  }

  #due(): void {
    const turns = this.#turns
    const { first } = turns
    if (first === undefined) this.destroy()
    else if (this.#state === 'connecting') this.lost(false, 'no connection in time')
    else if (!this.#reader.isAtHead) this.#bodyStands()
    else if (turns.isBehind) {
      // Slow, or the program has answered the first and never saw the others.
      noteStuck(this.upstream, this.#engine.clock.now())
      this.#retire()
    } else if (turns.count > 1) this.#waitOn()
    else {
      this.destroy()
      first.failed({ kind: 'timeout', wasSent: true, wasReused: false, error: 'timeout' })
    }
  }

  #bodyStands(): void {
    if (this.#turns.count < 2) {
      this.lost(false, 'the answer stood still')
      return
    }
    this.takeBack()
    this.watchBody()
  }

  /** For the first alone, for as long as the service lets it. */
  #waitOn(): void {
    this.takeBack()
    const now = this.#engine.clock.now()
    const left = this.upstream.lane.route.responseMs - this.#turns.waitedMs(now)
    this.#engine.deadlines.set(this.#deadline, Math.max(1, left), now)
  }

  /** An answer has begun: may this connection bring another one after it? */
  noteHead(head: ResponseHead, length: number, now: number): void {
    noteQuickness(this.upstream, head, { tookMs: this.#turns.waitedMs(now), length })
    this.#keeping.noteHead(head, length, this.#turns.count > 1)
  }

  /** The answer of the first in the queue is whole. `isAll`: nothing follows it. */
  ended(exchange: Exchange, isAll: boolean): void {
    this.served += 1
    const now = this.#engine.clock.now()
    this.#turns.pass(now)
    // An answer before the end of the request: what is left of the body would follow it here.
    if (exchange.owesBody) this.#keeping.mustClose = true
    const isWanted = this.#state === 'open' && this.#keeping.isWanted
    if (this.#turns.count > 0) {
      if (isWanted) this.#watchAnswer(now)
      else this.#retire()
    } else if (!isWanted || !isAll) {
      // More octets than were asked for: nothing of this connection can be believed.
      this.destroy()
    } else {
      this.#goIdle(now)
    }
    exchange.done()
    this.#socket.answered(exchange.isClientBehind)
  }

  #goIdle(now: number): void {
    this.idleSince = now
    this.idleUntil = now + this.#keeping.idleMs
    this.upstream.idle.push(this)
    this.#engine.deadlines.set(this.#deadline, this.#keeping.idleMs, now)
  }

  /** No more requests here; those without an answer are sent again elsewhere. */
  #retire(): void {
    const waiting = this.#turns.takeAll()
    this.destroy()
    this.#engine.dispatcher.sendAgain(waiting)
  }

  invalid(exchange: Exchange, error: string): void {
    this.#turns.remove(exchange)
    const others = this.#turns.takeAll()
    // Octets behind an answer, such as a second end of its chunks, are no answer to the next: it is
    // as if the connection had been closed.
    const isLeftOver = this.wasUsed && this.#reader.isAtHead
    this.destroy()
    const kind = isLeftOver ? 'lost' : 'invalid'
    exchange.failed({ kind, wasSent: true, wasReused: this.wasUsed, error })
    this.#sendOthers(others)
  }

  lost(isEnd: boolean, error = ''): void {
    if (this.#state === 'closed') return
    if (error !== '') this.#error = error
    const wasSent = this.#state === 'open'
    const isWhole = isEnd && this.#reader.isUntilClose
    const [first, ...others] = this.#turns.takeAll()
    this.destroy()
    const failure = { wasSent, wasReused: this.wasUsed, error: this.#error }
    if (isWhole) first?.done()
    else first?.failed({ kind: 'lost', ...failure })
    if (wasSent) this.#sendOthers(others)
    else for (const one of others) one.failed({ kind: 'lost', ...failure })
  }

  /** Sharing did them no good: it is no retry that a budget could refuse. */
  #sendOthers(others: Exchange[]): void {
    if (others.length === 0) return
    noteStuck(this.upstream, this.#engine.clock.now())
    this.#engine.dispatcher.sendAgain(others)
  }

  #leave(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    const { upstream } = this
    upstream.openConnections -= 1
    this.#engine.deadlines.clear(this.#deadline)
    const at = upstream.idle.lastIndexOf(this)
    if (at !== -1) upstream.idle.splice(at, 1)
  }
}
