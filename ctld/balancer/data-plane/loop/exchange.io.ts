// One request's life: choose an instance or wait for one, send, try another where that does no
// harm, hand the answer to the client piece by piece. It ends exactly once, and then it is counted.

import type { ResponseHead } from '#ctld/balancer/data-plane/http1/response-head.ts'
import { Account } from './account.ts'
import { answerTo, maintenanceAnswer, type Problem, problemAnswer } from './answers.ts'
import type { Asked } from './ask.ts'
import type { ClientConnection } from './client-connection.io.ts'
import type { Engine } from './engine.ts'
import type { InstanceConnection } from './instance-connection.io.ts'
import { Quest, type Seeker } from './quest.ts'
import { Reply } from './reply.ts'
import type { EndedBy, Phase } from './tally.ts'
import { cookieLine, interimToClient, switchToClient } from './to-client.ts'
import { endOfHead } from './to-instance.ts'
import { Upload } from './upload.ts'
import type { Batched, Lane, Upstream } from './upstream.ts'
import type { Failure } from './verdict.ts'

export class Exchange implements Batched, Seeker {
  readonly asked: Asked
  readonly lane: Lane
  readonly account: Account
  readonly isRepeatable: boolean
  mayShare: boolean
  upstream: Upstream | undefined
  isOver = false
  readonly upload: Upload | undefined
  readonly #engine: Engine
  readonly #client: ClientConnection
  readonly #quest: Quest
  #connection: InstanceConnection | undefined
  #reply: Reply | undefined
  #phase: Phase = 'request'
  #trailers = ''
  #saidContinue = false

  constructor(engine: Engine, client: ClientConnection, lane: Lane, asked: Asked) {
    this.#engine = engine
    this.#client = client
    this.lane = lane
    this.asked = asked
    this.account = new Account(lane, asked, engine.clock.now())
    this.#quest = new Quest(engine, this.account, this)
    const hasBody = asked.bodyLength !== 0
    this.isRepeatable = asked.isSafe && !hasBody
    // Programs that answer HEAD with a body all the same would answer the next client with it.
    this.mayShare = this.isRepeatable && asked.protocol === '' && asked.method !== 'HEAD'
    if (hasBody) this.upload = new Upload(asked.bodyLength, lane.route.bodyMax)
  }

  get wantsFresh(): boolean {
    return this.#quest.attempts.wantsFresh
  }

  get hasBody(): boolean {
    return this.upload !== undefined
  }

  /** Is the client slower than its answer? */
  get isClientBehind(): boolean {
    return this.#client.isBehind
  }

  /** A part of the body has not gone to the instance. */
  get owesBody(): boolean {
    return this.upload !== undefined && !this.upload.isWhole
  }

  start(): void {
    this.lane.budget.request(this.account.startedAt)
    const problem = this.upload?.problem
    if (problem !== undefined) this.refuse(problem, 'request')
    else this.#quest.dispatch()
  }

  found(upstream: Upstream): void {
    this.upstream = upstream
    this.#phase = 'connect'
    this.#engine.dispatcher.submit(this)
  }

  waits(): void {
    this.#phase = 'queue'
  }

  sentOn(connection: InstanceConnection): void {
    this.#connection = connection
    this.account.wasReused = connection.wasUsed
  }

  /** The head, as it goes on the wire now. */
  headText(now: number): string {
    this.#phase = 'head'
    this.#quest.attempts.sent()
    this.#quest.connected(now)
    return this.asked.lines + endOfHead((this.upstream as Upstream).instance)
  }

  /** The instance takes (more of) the body. */
  instanceWritable(): void {
    const { upload } = this
    const connection = this.#connection
    if (upload === undefined || connection === undefined || upload.isWhole) return
    upload.to(connection.outlet)
    upload.writable()
    if (this.asked.expectContinue && !this.#saidContinue) {
      this.#saidContinue = true
      this.#client.text('HTTP/1.1 100 Continue\r\n\r\n')
      this.#client.flush()
    }
    this.#client.sendBody(upload)
  }

  /** After the client's octets went through the upload. */
  uploaded({ state, problem }: Upload): void {
    if (state === 'full') this.#connection?.watchBody()
    else if (state === 'whole') this.#connection?.watch()
    else if (problem !== undefined) this.bodyFault(problem)
  }

  /** The body cannot go on: what the instance has of it must not look whole. */
  bodyFault(problem: Problem): void {
    this.#connection?.abandon(this)
    this.#connection = undefined
    if (this.upstream !== undefined) this.#engine.registry.undecided(this.upstream)
    this.#release()
    if (this.#reply === undefined) this.refuse(problem, 'body', 'client')
    else this.#cut('client', 'body')
  }

  interim(head: ResponseHead): void {
    // 100 was said by us; a client of HTTP/1.0 knows no interim answers.
    if (head.status === 100 || this.asked.minor === 0 || this.isOver) return
    this.#client.text(interimToClient(head))
    this.flush()
  }

  begin(head: ResponseHead, length: number, now: number): void {
    if (this.isOver) return
    const upstream = this.upstream as Upstream
    this.#quest.answered(upstream, head.status, now)
    this.#phase = 'body'
    const { asked } = this
    this.#reply = new Reply(this.#client, head, length, {
      method: asked.method,
      minor: asked.minor,
      requestId: asked.requestId,
      instance: upstream.instance,
      cookie: this.#cookie(upstream),
      mayKeep: asked.keepAlive && !this.#engine.isDraining && !this.owesBody,
    })
  }

  piece(octets: Buffer, from: number, to: number): void {
    if (!this.isOver) this.#reply?.piece(octets, from, to)
  }

  flush(): void {
    if (this.isOver || this.#client.flush()) return
    this.#connection?.pause()
  }

  /** The client took what was written. */
  clientWritable(): void {
    this.#connection?.resume()
  }

  trailers(lines: string): void {
    this.#trailers = lines
  }

  /** The answer is whole, and the instance's connection looks after itself. */
  done(): void {
    if (this.isOver) return
    this.#connection = undefined
    this.#reply?.end(this.#trailers)
    this.#release()
    this.#finish('', '', this.#reply?.isKept === true)
  }

  switched(head: ResponseHead, connection: InstanceConnection, first: Buffer): void {
    const { account, asked, upstream } = this
    if (upstream === undefined) return
    this.#quest.answered(upstream, 101, this.#engine.clock.now())
    this.#connection = undefined
    const facts = { requestId: asked.requestId, instance: upstream.instance }
    this.#client.join({
      head: switchToClient(head, { ...facts, cookie: this.#cookie(upstream) }),
      socket: connection.handOver(),
      first,
      account,
      onEnd: (endedBy, phase) => {
        this.#release()
        this.#close(endedBy, phase)
      },
    })
  }

  /** The connection that it was on is gone or of no use, and there is no answer, or half of one. */
  failed(failure: Failure): void {
    if (this.isOver) return
    const upstream = this.upstream as Upstream
    this.#connection = undefined
    this.#quest.blame(upstream, failure, this.#reply !== undefined)
    this.#release()
    if (this.#reply !== undefined) {
      this.#cut('instance', 'body')
      return
    }
    const now = this.#engine.clock.now()
    const triedForMs = now - this.account.startedAt - Math.max(0, this.account.queueMs)
    const is = { repeatable: this.isRepeatable, now, triedForMs }
    const verdict = this.#quest.attempts.after(failure, upstream, is)
    if (verdict !== 'another') {
      this.refuse(verdict, failure.wasSent ? 'head' : 'connect', 'instance')
      return
    }
    this.mayShare = false
    this.#quest.dispatch()
  }

  /** The client left, or took nothing for too long. */
  clientGone(error: string): void {
    if (this.isOver) return
    this.isOver = true
    this.account.error = error
    this.#connection?.abandon(this)
    this.#connection = undefined
    this.#quest.leave()
    const phase = this.owesBody && this.upload?.isConnected === true ? 'body' : this.#phase
    if (this.upstream !== undefined) this.#engine.registry.undecided(this.upstream)
    this.#release()
    this.#close('client', phase)
  }

  #cookie({ instance }: Upstream): string {
    return cookieLine(this.lane.route.stickyCookie, instance, this.asked.token)
  }

  #release(): void {
    const { upstream } = this
    this.upstream = undefined
    if (upstream === undefined) return
    this.account.instance = upstream.instance
    this.#engine.registry.release(upstream)
  }

  turnedAway(): void {
    const page = this.lane.route.maintenancePage
    if (page === undefined) {
      this.refuse({ status: 503, detail: 'the service is under maintenance' }, 'request')
      return
    }
    this.account.status = 503
    this.#client.text(maintenanceAnswer(page, answerTo(this.asked, this.#mayKeepAfterRefusal())))
    this.#finish('balancer', 'request', this.#mayKeepAfterRefusal())
  }

  /** No instance answers it: we do. */
  refuse(problem: Problem, phase: Phase, endedBy: EndedBy = 'balancer'): void {
    this.account.status = problem.status
    this.#client.text(problemAnswer(problem, answerTo(this.asked, this.#mayKeepAfterRefusal())))
    this.#finish(endedBy, phase, this.#mayKeepAfterRefusal())
  }

  // A connection on which the rest of a body is still to come is of no use to another request.
  #mayKeepAfterRefusal(): boolean {
    return this.asked.keepAlive && !this.hasBody && !this.#engine.isDraining
  }

  #cut(endedBy: EndedBy, phase: Phase): void {
    this.#close(endedBy, phase)
    this.#client.cut()
  }

  #finish(endedBy: EndedBy, phase: Phase, isKept: boolean): void {
    this.#close(endedBy, phase)
    this.#client.finished(isKept)
  }

  #close(endedBy: EndedBy, phase: Phase): void {
    this.isOver = true
    const { account, upload } = this
    account.close(endedBy, phase, this.#engine.clock.now())
    if (account.status !== 101) {
      account.bytesIn = upload?.bytes ?? 0
      account.bytesOut = this.#reply?.bytes ?? 0
    }
    account.retries = this.#quest.attempts.count
    this.#engine.journal.ended(account)
  }
}
