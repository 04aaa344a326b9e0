// One connection to an instance: sends requests, reads their answers in order, and goes back to its
// pool only when nothing about it was odd. It is dropped when anything comes while it is idle, when
// an answer ends by closing, when the program wants it closed, or when a body was not sent whole.

import { connect, type Socket } from 'node:net'
import { type ResponseHead, UNTIL_CLOSE } from '#ctld/balancer/data-plane/http1/response-head.ts'
import type { Target } from '#ctld/ports.ts'
import { AnswerReader } from './answer-reader.ts'
import { type Deadline, newDeadline } from './deadlines.ts'
import type { Engine } from './engine.ts'
import type { Exchange } from './exchange.io.ts'
import { Outlet } from './outlet.ts'
import { noteQuickness, noteStuck, QUEUE_PATIENCE_MS } from './quickness.ts'
import { ReadBuffer } from './read-buffer.ts'
import { Turns } from './turns.ts'
import type { Pooled, Upstream } from './upstream.ts'

/** Below the 5 s after which Node programs close theirs; for a program that does not say. */
const IDLE_DEFAULT_MS = 4_000
const IDLE_MAX_MS = 60_000
/** A program that says N seconds may count from a moment before ours. */
const IDLE_MARGIN_MS = 1_000
export const READ_SIZE = 64 * 1024

type State = 'connecting' | 'open' | 'closed'

export class InstanceConnection implements Pooled {
  readonly upstream: Upstream
  readonly outlet: Outlet
  idleSince = 0
  idleUntil = 0
  /** Answers that it has brought whole. */
  served = 0
  readonly #target: Target
  readonly #engine: Engine
  readonly #socket: Socket
  readonly #deadline: Deadline
  readonly #reader: AnswerReader
  readonly #turns = new Turns()
  #state: State = 'connecting'
  readonly #buffer: ReadBuffer
  #mustClose = false
  #idleMs = IDLE_DEFAULT_MS
  #startedAt: number
  #error = 'the connection was closed'

  constructor(engine: Engine, upstream: Upstream) {
    this.#engine = engine
    this.upstream = upstream
    this.#deadline = newDeadline(() => this.#due())
    this.#reader = new AnswerReader(this, engine)
    const now = engine.clock.now()
    this.#startedAt = now
    upstream.openConnections += 1
    upstream.counters.connectAttempts += 1
    const { host, port } = upstream.target
    this.#target = upstream.target
    let isFirst = true
    const buffer = new ReadBuffer(engine.readBuffer, engine.bulk)
    this.#buffer = buffer
    const onread = {
      buffer: () => (isFirst ? buffer.first : buffer.next(!this.#reader.isAtHead)) as Uint8Array,
      callback: (size: number, bytes: Uint8Array) => {
        buffer.filled(size, bytes.length)
        this.#reader.read(bytes as Buffer, size)
        return true
      },
    }
    this.#socket = connect({ host, port, noDelay: true, onread })
    isFirst = false
    this.#socket.on('connect', () => this.#connected())
    this.#socket.on('error', this.#onError)
    this.#socket.on('end', this.#onEnd)
    this.#socket.on('close', this.#onClose)
    this.#socket.on('drain', this.#onDrain)
    this.outlet = new Outlet(this.#socket, engine.scratch, () => this.#onDrain())
    engine.deadlines.set(this.#deadline, upstream.lane.route.connectMs, now)
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Whose answer is to come next. */
  get first(): Exchange | undefined {
    return this.#turns.first
  }

  /** Does it lead to where the instance is now? */
  get #isAtHome(): boolean {
    const { target } = this.upstream
    const { host, port } = this.#target
    return target === this.#target || (target.host === host && target.port === port)
  }

  get wasUsed(): boolean {
    return this.served > 0
  }

  /** Only on a new connection or one out of the pool. All but a single one are without a body. */
  send(group: Exchange[]): void {
    this.#turns.set(group)
    if (this.#state === 'open') this.#sendAll()
  }

  /** The request is whole, and its answer may be waited for. */
  requestSent(): void {
    if (this.#reader.isAtHead) this.#watchAnswer(this.#engine.clock.now())
  }

  /** The instance takes nothing more of the request for the moment. */
  requestStands(): void {
    this.watchBody()
  }

  pause(): void {
    this.takeBack()
    this.#socket.pause()
    this.#engine.deadlines.clear(this.#deadline)
  }

  resume(): void {
    if (this.#state === 'closed') return
    this.#socket.resume()
    this.watchBody()
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
    const waiting = this.#turns.takeOthers()
    this.#mustClose = true
    noteStuck(this.upstream, this.#engine.clock.now())
    this.#engine.dispatcher.sendAgain(waiting)
  }

  /** The socket, to be joined with the client's. Nothing here touches it any more. */
  handOver(): Socket {
    this.#turns.set([])
    this.#leave()
    const socket = this.#socket
    socket.off('error', this.#onError)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    socket.off('drain', this.#onDrain)
    return socket
  }

  destroy(): void {
    this.#turns.set([])
    this.#leave()
    this.#socket.destroy()
  }

  readonly #onError = (error: Error & { code?: string }): void => {
    this.#error = error.code ?? error.message
    this.#lost(false)
  }

  readonly #onEnd = (): void => this.#lost(true)

  readonly #onClose = (): void => this.#lost(false)

  readonly #onDrain = (): void => {
    const { first } = this.#turns
    if (first?.owesBody !== true) return
    this.#engine.deadlines.clear(this.#deadline)
    first.instanceWritable()
  }

  #connected(): void {
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
    const ms = this.#turns.patienceMs(responseMs, isShared)
    this.#engine.deadlines.set(this.#deadline, ms, now)
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
    if (first === undefined) {
      this.destroy()
      return
    }
    if (this.#state === 'connecting') {
      this.#error = 'no connection in time'
      this.#lost(false)
      return
    }
    if (!this.#reader.isAtHead && turns.count > 1) {
      this.takeBack()
      this.watchBody()
      return
    }
    if (!this.#reader.isAtHead) {
      this.#error = 'the answer stood still'
      this.#lost(false)
      return
    }
    if (turns.isBehind) {
      // Slow, or the program has answered the first and never saw the others.
      noteStuck(this.upstream, this.#engine.clock.now())
      this.#retire()
      return
    }
    if (turns.count > 1) {
      this.takeBack()
      const { responseMs } = this.upstream.lane.route
      const now = this.#engine.clock.now()
      const left = Math.max(1, responseMs - turns.waitedMs(now))
      this.#engine.deadlines.set(this.#deadline, left, now)
      return
    }
    this.destroy()
    first.failed({ kind: 'timeout', wasSent: true, wasReused: false, error: 'timeout' })
  }

  /** An answer has begun: may this connection bring another one after it? */
  noteHead(head: ResponseHead, length: number, now: number): void {
    noteQuickness(this.upstream, head, { tookMs: this.#turns.waitedMs(now), length })
    const said = head.keepAliveTimeoutMs
    const ms = said < 0 ? IDLE_DEFAULT_MS : Math.min(said - IDLE_MARGIN_MS, IDLE_MAX_MS)
    if (ms <= 0 || !head.keepAlive || length === UNTIL_CLOSE) this.#mustClose = true
    this.#idleMs = ms
  }

  /** The answer of the first in the queue is whole. `isAll`: nothing follows it. */
  ended(exchange: Exchange, isAll: boolean): void {
    this.served += 1
    const now = this.#engine.clock.now()
    this.#turns.pass(now)
    // An answer before the end of the request: what is left of the body would follow it here.
    if (exchange.owesBody) this.#mustClose = true
    const isWanted =
      this.#state === 'open' && !this.#mustClose && !this.upstream.isLeaving && this.#isAtHome
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
    this.#buffer.ended(exchange.isClientBehind)
  }

  #goIdle(now: number): void {
    this.idleSince = now
    this.idleUntil = now + this.#idleMs
    this.upstream.idle.push(this)
    this.#engine.deadlines.set(this.#deadline, this.#idleMs, now)
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

  #lost(isEnd: boolean): void {
    if (this.#state === 'closed') return
    const { first } = this.#turns
    const others = this.#turns.takeOthers()
    const wasSent = this.#state === 'open'
    if (first === undefined) {
      this.destroy()
      return
    }
    if (isEnd && this.#reader.isUntilClose) {
      this.destroy()
      first.done()
      return
    }
    const wasReused = this.wasUsed
    this.destroy()
    first.failed({ kind: 'lost', wasSent, wasReused, error: this.#error })
    if (wasSent) {
      this.#sendOthers(others)
      return
    }
    for (const one of others) {
      one.failed({ kind: 'lost', wasSent, wasReused, error: this.#error })
    }
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
