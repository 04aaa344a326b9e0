// One request's life: choose an instance or wait for one, send, try another where that does no
// harm, hand the answer to the client piece by piece. It ends exactly once, and then it is counted.

import { setCookie, tokenOf } from '#ctld/balancer/data-plane/choose/sticky.ts'
import type { ResponseHead } from '#ctld/balancer/data-plane/http1/response-head.ts'
import { maintenanceAnswer, type Problem, problemAnswer } from './answers.ts'
import type { Asked } from './ask.ts'
import type { ClientConnection } from './client-connection.io.ts'
import type { Engine } from './engine.ts'
import type { InstanceConnection } from './instance-connection.io.ts'
import { inVain, PlaceInQueue, type WaitReason } from './place-in-queue.ts'
import type { Wish } from './registry.ts'
import { connectionLine, Reply } from './reply.ts'
import type { EndedBy, Phase } from './tally.ts'
import { interimToClient, switchToClient } from './to-client.ts'
import { endOfHead } from './to-instance.ts'
import { Upload } from './upload.ts'
import type { Batched, Lane, Upstream, Waiter } from './upstream.ts'
import { type Failure, judge, lastWord, type Tries } from './verdict.ts'

export class Exchange implements Waiter, Batched, Wish {
  readonly asked: Asked
  readonly lane: Lane
  readonly startedAt: number
  readonly isRepeatable: boolean
  mayShare: boolean
  upstream: Upstream | undefined
  tried: Set<Upstream> | undefined
  /** The connection that it was on died of having been idle: the next one is a new one. */
  wantsFresh = false
  isOver = false
  retries = 0
  queueMs = -1
  connectMs = -1
  firstByteMs = -1
  wasReused = false
  status = 0
  error = ''
  readonly upload: Upload | undefined
  readonly #engine: Engine
  readonly #client: ClientConnection
  readonly #tries: Tries = { sent: 0, unsent: 0 }
  #connection: InstanceConnection | undefined
  #reply: Reply | undefined
  #submittedAt = 0
  #phase: Phase = 'request'
  #place: PlaceInQueue | undefined
  #trailers = ''
  #saidContinue = false

  constructor(engine: Engine, client: ClientConnection, lane: Lane, asked: Asked) {
    this.#engine = engine
    this.#client = client
    this.lane = lane
    this.asked = asked
    this.startedAt = engine.clock.now()
    const hasBody = asked.bodyLength !== 0
    this.isRepeatable = asked.isSafe && !hasBody
    this.mayShare = this.isRepeatable && asked.protocol === ''
    if (hasBody) this.upload = new Upload(asked.bodyLength, lane.route.bodyMax)
  }

  get key(): string | undefined {
    return this.asked.key
  }

  get token(): string | undefined {
    return this.asked.token
  }

  get method(): string {
    return this.asked.method
  }

  get protocol(): string {
    return this.asked.protocol
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
    this.lane.budget.request(this.startedAt)
    if (this.upload?.state === 'too_large') {
      this.#refuse(tooLarge(this.lane), 'request')
      return
    }
    this.dispatch()
  }

  /** Claims an instance, or waits for one, or says why there is none. */
  dispatch(isFirst = false): void {
    if (this.isOver) return
    const { lane } = this
    const { route } = lane
    const isPaused = route.traffic === 'paused' && this.#place?.isPauseOver !== true
    this.#place?.woken()
    if (lane.isGone) this.#refuse(gone(), 'queue')
    else if (route.traffic === 'maintenance') this.#maintenance()
    else if (isPaused) this.#wait('paused', isFirst)
    else if (lane.upstreams.length === 0) this.#wait('none', isFirst)
    // Nobody overtakes those who wait already.
    else if (lane.waiting.size > 0 && this.#place === undefined) this.#wait('full', isFirst)
    else this.#claim(isFirst)
  }

  sentOn(connection: InstanceConnection): void {
    this.#connection = connection
    this.wasReused = connection.wasUsed
  }

  /** The head, as it goes on the wire now. */
  headText(now: number): string {
    this.#phase = 'head'
    this.#tries.sent += 1
    this.connectMs = now - this.#submittedAt
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
  uploaded(upload: Upload): void {
    switch (upload.state) {
      case 'goes_on':
        return
      case 'full':
        this.#connection?.requestStands()
        return
      case 'whole':
        this.#connection?.requestSent()
        return
      case 'invalid':
        this.bodyFault({ status: 400, detail: upload.reason })
        return
      case 'too_large':
        this.bodyFault(tooLarge(this.lane))
        return
    }
  }

  /** The body cannot go on: what the instance has of it must not look whole. */
  bodyFault(problem: Problem): void {
    this.#connection?.abandon(this)
    this.#connection = undefined
    if (this.upstream !== undefined) this.#engine.registry.undecided(this.upstream)
    this.#release()
    if (this.#reply === undefined) this.#refuse(problem, 'body', 'client')
    else this.#cut('client', 'body')
  }

  /** The head of a 101, for the client. */
  switchText(head: ResponseHead): string {
    const { requestId } = this.asked
    const upstream = this.upstream as Upstream
    const to = { requestId, instance: upstream.instance, framing: '', connection: '' }
    return switchToClient(head, { ...to, cookie: this.#cookie(upstream) }, head.upgrade)
  }

  interim(head: ResponseHead): void {
    // 100 was said by us; a client of HTTP/1.0 knows no interim answers.
    if (head.status === 100 || this.asked.minor === 0 || this.isOver) return
    this.#client.text(interimToClient(head))
    this.#client.flush()
  }

  begin(head: ResponseHead, length: number, now: number): void {
    if (this.isOver) return
    const upstream = this.upstream as Upstream
    this.#engine.registry.succeeded(upstream)
    this.firstByteMs = now - this.startedAt
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
    this.status = head.status
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
    this.#phase = 'tunnel'
    this.status = 101
    this.#engine.registry.succeeded(this.upstream as Upstream)
    this.firstByteMs = this.#engine.clock.now() - this.startedAt
    this.#connection = undefined
    this.#client.join(this, head, connection.handOver(), first)
  }

  tunnelEnded(endedBy: EndedBy, bytes: { in: number; out: number }, error: string): void {
    this.error = error
    this.#release()
    const hasEndedWell = error === ''
    this.#count(hasEndedWell ? '' : endedBy, hasEndedWell ? '' : 'tunnel', bytes)
  }

  /** The connection that it was on is gone or of no use, and there is no answer, or half of one. */
  failed(failure: Failure): void {
    if (this.isOver) return
    const upstream = this.upstream as Upstream
    this.#connection = undefined
    this.error = failure.error
    this.#blame(upstream, failure)
    this.#release()
    if (this.#reply !== undefined) {
      this.#cut('instance', 'body')
      return
    }
    if (!failure.wasSent) this.#tries.unsent += 1
    const verdict = judge(failure, this.isRepeatable, this.#tries)
    const phase = failure.wasSent ? 'head' : 'connect'
    if (verdict !== 'another') {
      this.#refuse(verdict, phase, 'instance')
      return
    }
    // After a connection that was closed as idle comes a new one, so that this doubles no load.
    const isRace = failure.kind === 'lost' && failure.wasReused
    const isBudgeted = failure.wasSent && !isRace
    if (isBudgeted && !this.lane.budget.mayRetry(this.#engine.clock.now())) {
      this.lane.tally.counters.retriesDenied += 1
      this.#refuse(lastWord(this.#tries), phase, 'instance')
      return
    }
    this.retries += 1
    this.lane.tally.counters.retries += 1
    this.tried ??= new Set()
    this.tried.add(upstream)
    this.wantsFresh = failure.wasReused
    this.mayShare = false
    this.dispatch()
  }

  /** The client left, or took nothing for too long. */
  clientGone(error: string): void {
    if (this.isOver) return
    this.isOver = true
    this.error = error
    this.#connection?.abandon(this)
    this.#connection = undefined
    this.#place?.leave()
    const phase = this.owesBody && this.upload?.isConnected === true ? 'body' : this.#phase
    if (this.upstream !== undefined) this.#engine.registry.undecided(this.upstream)
    this.#release()
    this.#count('client', phase, { in: this.upload?.bytes ?? 0, out: this.#reply?.bytes ?? 0 })
  }

  #cookie(upstream: Upstream): string {
    const name = this.lane.route.stickyCookie
    if (name === undefined) return ''
    const token = tokenOf(upstream.instance)
    return token === this.asked.token ? '' : `Set-Cookie: ${setCookie(name, token)}\r\n`
  }

  #submit(upstream: Upstream): void {
    const now = this.#engine.clock.now()
    this.upstream = upstream
    if (this.queueMs < 0) this.queueMs = this.#place?.hasWaited === true ? now - this.startedAt : 0
    this.#submittedAt = now
    this.#phase = 'connect'
    this.#engine.dispatcher.submit(this)
  }

  #claim(isFirst: boolean): void {
    const { lane } = this
    const upstream = this.#engine.registry.claim(lane, this)
    if (upstream !== undefined) this.#submit(upstream)
    else if (lane.upstreams.every((one) => this.tried?.has(one))) this.#allTried()
    else this.#wait('full', isFirst)
  }

  #wait(reason: WaitReason, isFirst: boolean): void {
    this.#phase = 'queue'
    this.#place ??= new PlaceInQueue(this.#engine, this.lane, this)
    switch (this.#place.wait(reason, isFirst)) {
      case 'waits':
        return
      case 'pause_over':
        this.dispatch(isFirst)
        return
      case 'too_long':
        this.inVain()
        return
      case 'too_many':
        this.#refuse({ status: 503, detail: 'too many requests wait for the service' }, 'queue')
    }
  }

  /** The time to wait is over. */
  inVain(): void {
    if (this.#place?.hasWaited === true) this.queueMs = this.#engine.clock.now() - this.startedAt
    this.#refuse({ status: 503, detail: inVain(this.#place?.reason, this.lane) }, 'queue')
  }

  // A connection that was closed while it was idle says nothing of its instance.
  #allTried(): void {
    if (this.wantsFresh && this.tried !== undefined) {
      this.tried.clear()
      this.dispatch()
      return
    }
    this.#refuse(lastWord(this.#tries), this.#tries.sent === 0 ? 'connect' : 'head', 'instance')
  }

  #blame(upstream: Upstream, failure: Failure): void {
    const { registry } = this.#engine
    if (!failure.wasSent) registry.unreachable(upstream, failure.error)
    else if (failure.kind === 'lost' && failure.wasReused && this.#reply === undefined) {
      registry.reuseDied(upstream)
    } else registry.failedHard(upstream, failure.error)
  }

  #release(): void {
    const { upstream } = this
    this.upstream = undefined
    if (upstream === undefined) return
    this.#lastInstance = upstream.instance
    this.#engine.registry.release(upstream)
  }

  #lastInstance = ''

  #maintenance(): void {
    const page = this.lane.route.maintenancePage
    if (page === undefined) {
      this.#refuse({ status: 503, detail: 'the service is under maintenance' }, 'request')
      return
    }
    this.status = 503
    this.#client.text(maintenanceAnswer(page, this.#answerTo()))
    this.#finish('balancer', 'request', this.#mayKeepAfterRefusal())
  }

  #refuse(problem: Problem, phase: Phase, endedBy: EndedBy = 'balancer'): void {
    this.status = problem.status
    this.#client.text(problemAnswer(problem, this.#answerTo()))
    this.#finish(endedBy, phase, this.#mayKeepAfterRefusal())
  }

  #answerTo() {
    return {
      requestId: this.asked.requestId,
      isHead: this.asked.method === 'HEAD',
      connection: connectionLine(this.#mayKeepAfterRefusal(), this.asked.minor),
    }
  }

  // A connection on which the rest of a body is still to come is of no use to another request.
  #mayKeepAfterRefusal(): boolean {
    return this.asked.keepAlive && !this.hasBody && !this.#engine.isDraining
  }

  #cut(endedBy: EndedBy, phase: Phase): void {
    this.#count(endedBy, phase, { in: this.upload?.bytes ?? 0, out: this.#reply?.bytes ?? 0 })
    this.#client.cut()
  }

  #finish(endedBy: EndedBy, phase: Phase, isKept: boolean): void {
    this.#count(endedBy, phase, { in: this.upload?.bytes ?? 0, out: this.#reply?.bytes ?? 0 })
    this.#client.finished(isKept)
  }

  #count(endedBy: EndedBy, phase: Phase, bytes: { in: number; out: number }): void {
    this.isOver = true
    this.#engine.journal.ended(
      this,
      {
        status: this.status,
        endedBy,
        phase,
        queueMs: this.queueMs,
        firstByteMs: this.firstByteMs,
        totalMs: this.#engine.clock.now() - this.startedAt,
        bytesIn: bytes.in,
        bytesOut: bytes.out,
      },
      this.#lastInstance,
    )
  }
}

function gone(): Problem {
  return { status: 404, detail: 'no service is known by this host or path' }
}

function tooLarge({ route }: Lane): Problem {
  return { status: 413, detail: `the body is larger than ${route.bodyMax} bytes` }
}
