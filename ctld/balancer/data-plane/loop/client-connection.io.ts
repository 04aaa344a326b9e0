// One connection of a client: reads requests one after the other, keeps what comes too early, and
// writes answers no faster than the client takes them. What is not HTTP ends it with a refusal.

import type { Socket } from 'node:net'
import { HEAD_LIMITS } from '#ctld/balancer/data-plane/http1/limits.ts'
import { parseRequestHead, type RequestHead } from '#ctld/balancer/data-plane/http1/request-head.ts'
import { LATE_BODY, LATE_HEAD, type Problem } from './answers.ts'
import { ClientSocket, type ClientSocketOwner } from './client-socket.io.ts'
import { type Deadline, newDeadline } from './deadlines.ts'
import type { Engine } from './engine.ts'
import { Exchange } from './exchange.io.ts'
import type { Outlet } from './outlet.io.ts'
import { receive, refusal } from './reception.ts'
import type { Peer } from './to-instance.ts'
import { type FarEnd, openTunnel, type Tunnel } from './tunnel.io.ts'
import type { Upload } from './upload.ts'

/** For a whole head, however slowly it drips; from its first octet. */
export const HEAD_MS = 5_000
export const IDLE_MS = 60_000
/** What came too early and is kept until its turn. */
const REST_MAX = 64 * 1024
/** A refused client may still be sending; closed at once, it would not see the answer. */
const LINGER_MS = 2_000

type WaitingFor = 'head' | 'request' | 'body' | 'client' | 'farewell'

export class ClientConnection implements ClientSocketOwner {
  readonly peer: Peer
  readonly #engine: Engine
  readonly #socket: ClientSocket
  /** The port that it came in on. */
  readonly #port: number
  readonly #deadline: Deadline
  readonly #onLeft: () => void
  readonly #outlet: Outlet
  #waitingFor: WaitingFor = 'request'
  #exchange: Exchange | undefined
  #rest: Buffer | undefined
  #isReading = false
  #state: 'open' | 'leaving' | 'joined' | 'closed' = 'open'
  #tunnel: Tunnel | undefined

  constructor(engine: Engine, socket: Socket, at: { peer: Peer; port: number; onLeft(): void }) {
    this.#engine = engine
    this.peer = at.peer
    this.#port = at.port
    this.#onLeft = at.onLeft
    this.#deadline = newDeadline(() => this.#due())
    this.#socket = new ClientSocket(engine, socket, this)
    this.#outlet = this.#socket.outlet
    this.#wait('request', IDLE_MS)
  }

  text(text: string): void {
    this.#outlet.text(text)
  }

  /** As of an `Outlet`: a large piece has to stay as it is while the client is behind. */
  octets(octets: Buffer, from: number, to: number): void {
    this.#outlet.octets(octets, from, to)
  }

  get isBehind(): boolean {
    return this.#outlet.isBehind
  }

  /** false: the client is slower; `clientWritable` of its exchange tells when it took all. */
  flush(): boolean {
    this.#outlet.flush()
    if (!this.#outlet.isBehind) return true
    const exchange = this.#exchange
    if (exchange !== undefined) this.#wait('client', exchange.lane.route.idleMs)
    return false
  }

  /** The instance takes (more of) the body: what came early first. */
  sendBody(upload: Upload): void {
    const rest = this.#rest
    if (rest !== undefined) {
      this.#rest = undefined
      this.#upload(upload, rest, rest.length)
    }
    if (this.#exchange?.upload !== upload || upload.state !== 'goes_on') return
    this.#socket.resume()
    this.#wait('body', this.#exchange.lane.route.idleMs)
  }

  /** Joins the client's connection and the instance's into one; both sides know the protocol. */
  join(far: FarEnd): void {
    const { clock, deadlines } = this.#engine
    deadlines.clear(this.#deadline)
    this.#state = 'joined'
    this.text(far.head)
    this.#outlet.flush()
    const near = { socket: this.#socket.handOver(), early: this.#rest }
    const onEnd: FarEnd['onEnd'] = (endedBy, phase) => {
      far.onEnd(endedBy, phase)
      this.#left()
    }
    this.#tunnel = openTunnel(clock, near, { ...far, onEnd })
  }

  /** The answer is written; `isKept`: another request may follow. */
  finished(isKept: boolean): void {
    const owesBody = this.#exchange?.owesBody === true
    this.#exchange = undefined
    this.#outlet.flush()
    if (!isKept && this.#rest === undefined && !owesBody && this.#socket.isWritten) {
      // All was read, and the kernel has all of the answer: closing resets nothing.
      this.gone('')
      return
    }
    if (!isKept || this.#engine.isDraining) {
      this.#sayFarewell()
      return
    }
    if (this.#outlet.isBehind) this.#wait('client', IDLE_MS)
    else this.#next()
  }

  /** Breaks off, so that the client sees that the answer is not whole. */
  cut(): void {
    this.#exchange = undefined
    this.#socket.reset()
    this.#left()
  }

  /** Idle ones end at once, the others with their answer. */
  drain(): void {
    if (this.#state === 'open' && this.#exchange === undefined && this.#rest === undefined) {
      this.#sayFarewell()
    }
  }

  destroy(): void {
    this.#tunnel?.cut()
    this.gone('the balancer stops')
  }

  /** The first `size` octets, which are not ours to keep. */
  take(octets: Buffer, size: number): void {
    if (this.#state !== 'open') return
    const upload = this.#exchange?.upload
    if (this.#rest === undefined && this.#exchange === undefined) this.#read(octets, size)
    else if (this.#rest === undefined && upload?.state === 'goes_on' && upload.isConnected) {
      this.#upload(upload, octets, size)
    } else {
      const more = octets.subarray(0, size)
      this.#rest = this.#rest === undefined ? Buffer.from(more) : Buffer.concat([this.#rest, more])
      if (this.#exchange === undefined) this.#readRest()
      else if (this.#rest.length > REST_MAX) this.#socket.pause()
    }
  }

  drained(): void {
    if (this.#state !== 'open') return
    const isAwaited = this.#waitingFor === 'client'
    if (isAwaited) this.#stopWaiting()
    // Whatever else is waited for: more of a body may be coming in the meantime.
    if (this.#exchange !== undefined) this.#exchange.clientWritable()
    else if (isAwaited) this.#next()
  }

  #next(): void {
    if (this.#isReading) return
    if (this.#rest !== undefined) this.#readRest()
    if (this.#exchange !== undefined || this.#state !== 'open') return
    if (this.#waitingFor === 'client') return
    this.#socket.resume()
    if (this.#rest === undefined) this.#wait('request', IDLE_MS)
  }

  #readRest(): void {
    const rest = this.#rest as Buffer
    this.#rest = undefined
    this.#read(rest, rest.length)
  }

  /** Reads as many requests as are whole and answered at once; keeps what is left. */
  #read(octets: Buffer, size: number): void {
    const { requestHead } = this.#engine
    let from = 0
    this.#isReading = true
    while (from < size && this.#exchange === undefined && this.#state === 'open') {
      if (this.#outlet.isBehind) {
        // Who takes no answers asks nothing more: it would all have to be kept.
        this.#socket.pause()
        this.#wait('client', IDLE_MS)
        break
      }
      const end = parseRequestHead(octets, from, size, requestHead, HEAD_LIMITS)
      if (end === 0) {
        if (this.#waitingFor !== 'head') this.#wait('head', HEAD_MS)
        break
      }
      if (end < 0) {
        this.#refuse({ status: requestHead.status, detail: requestHead.reason })
        return
      }
      from = end
      this.#begin(requestHead)
    }
    this.#isReading = false
    if (from < size && this.#state === 'open') this.#rest = Buffer.from(octets.subarray(from, size))
    else if (this.#exchange === undefined && this.#state === 'open') this.#wait('request', IDLE_MS)
  }

  #begin(head: RequestHead): void {
    const engine = this.#engine
    this.#stopWaiting()
    const asked = receive(engine, head, this.peer, this.#port)
    if ('text' in asked) {
      this.text(asked.text)
      if (asked.owesBody) this.#outlet.flush()
      if (asked.owesBody) this.#sayFarewell()
      else this.finished(asked.isKept)
      return
    }
    const exchange = new Exchange(engine, this, asked.lane, asked.asked)
    this.#exchange = exchange
    exchange.start()
  }

  #refuse(problem: Problem): void {
    this.#isReading = false
    this.text(refusal(this.#engine, this.peer, problem))
    this.#outlet.flush()
    this.#sayFarewell()
  }

  #upload(upload: Upload, octets: Buffer, size: number): void {
    const exchange = this.#exchange as Exchange
    const end = upload.take(octets, 0, size)
    if (end < size) this.#rest = Buffer.from(octets.subarray(end, size))
    if (upload.state === 'goes_on') {
      this.#wait('body', exchange.lane.route.idleMs)
      return
    }
    if (this.#outlet.isBehind) this.#wait('client', exchange.lane.route.idleMs)
    else this.#stopWaiting()
    // Of a client whose request is whole only its leaving is of interest.
    if (upload.state === 'full') this.#socket.pause()
    else if (upload.state === 'whole') this.#socket.resume()
    exchange.uploaded(upload)
  }

  #wait(what: WaitingFor, ms: number): void {
    this.#waitingFor = what
    if (what === 'client') this.#outlet.hasMoved()
    this.#engine.deadlines.set(this.#deadline, ms, this.#engine.clock.now())
  }

  #stopWaiting(): void {
    this.#waitingFor = 'request'
    this.#engine.deadlines.clear(this.#deadline)
  }

  #due(): void {
    const what = this.#waitingFor
    if (what === 'head') this.#refuse(LATE_HEAD)
    else if (what === 'body') this.#exchange?.bodyFault(LATE_BODY)
    else if (what === 'request') this.#sayFarewell()
    else if (what !== 'client') this.gone('')
    // Slow is not silent.
    else if (this.#outlet.hasMoved()) {
      this.#wait('client', this.#exchange?.lane.route.idleMs ?? IDLE_MS)
    } else this.gone('the client took nothing for too long')
  }

  // Half closed first: what the client is still sending would reset the connection, and the answer
  // with it.
  #sayFarewell(): void {
    if (this.#state !== 'open') return
    this.#state = 'leaving'
    this.#rest = undefined
    // A slow client has yet to take the end of its answer.
    this.#wait('farewell', IDLE_MS)
    this.#socket.end(() => {
      if (this.#state === 'leaving') this.#wait('farewell', LINGER_MS)
    })
  }

  gone(error: string): void {
    if (this.#state === 'closed' || this.#state === 'joined') return
    const exchange = this.#exchange
    this.#exchange = undefined
    this.#socket.destroy()
    this.#left()
    exchange?.clientGone(error)
  }

  #left(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#engine.deadlines.clear(this.#deadline)
    this.#engine.clients.delete(this)
    this.#onLeft()
  }
}
