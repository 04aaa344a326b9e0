// One request's life: choose an instance, send, try another where that does no harm, hand the
// answer to the client piece by piece as it comes. It is undici's handler itself: an object per
// request and nothing between the two sockets but Node's own buffers.

import type { ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Cancel, Clock } from '#shared/ports.ts'
import { answerProblem } from './answer.io.ts'
import { BODY_IDLE_MS, clientBody } from './client-body.io.ts'
import { type Failure, isRepeatable, judgeFailure, lastWord, type Verdict } from './failure.ts'
import { originOf, requestIdOf, toClient, toProgram } from './headers.ts'
import type { ClientRequest, Door } from './listener.io.ts'
import type { InstancePool } from './pool.io.ts'
import type { ReadHead } from './read-head.ts'
import type { Lane, Upstream, Upstreams } from './upstreams.ts'

export type Engine = {
  clock: Clock
  newRequestId: () => string
  upstreams: Upstreams<InstancePool>
  isTrusted: (address: string) => boolean
}

export type Arrival = {
  request: ClientRequest
  response: ServerResponse
  door: Door
  read: ReadHead
  lane: Lane<InstancePool>
  /** Prefix of the path that the program knows nothing of. */
  strip: string
}

type Settled = (failed: Error | null) => void
type Controller = Dispatcher.DispatchController
type Head = { status: number; text: string | undefined; headers: string[] }

export class Exchange implements Dispatcher.DispatchHandler {
  readonly #engine: Engine
  readonly #arrival: Arrival
  readonly #requestId: string
  readonly #headers: string[]
  readonly #path: string
  #settled: Settled = () => {}
  #tried: Set<Upstream<InstancePool>> | undefined
  #triesSent = 0
  #triesUnsent = 0
  #upstream: Upstream<InstancePool> | undefined
  #controller: Controller | undefined
  #head: Head | undefined
  #verdict: Exclude<Verdict, 'another'> | undefined
  #isClientGone = false
  #cancelWait: Cancel = () => {}
  #hasBytes = false

  constructor(engine: Engine, arrival: Arrival) {
    const { request, read, strip } = arrival
    this.#engine = engine
    this.#arrival = arrival
    this.#requestId = requestIdOf(request.headers, engine.newRequestId)
    const origin = originOf(request.headers, request.socket.remoteAddress ?? '', engine.isTrusted)
    this.#headers = toProgram(request.rawHeaders, origin, { id: this.#requestId, strip })
    const path = read.target.slice(strip.length)
    this.#path = path.startsWith('/') ? path : `/${path}`
  }

  /** Calls back once: with the first byte of an answer, or when there will be none. */
  start(settled: Settled): void {
    this.#settled = settled
    this.#arrival.response.once('close', () => this.#clientClosed())
    this.#try()
  }

  /** After a good start: sends the head on; the body follows by itself. */
  deliver(): void {
    const { response, door, request, read } = this.#arrival
    const head = this.#head
    if (head === undefined) return
    // A connection on which the rest of a body is still to come is of no use to another request.
    const isLast = door.isClosing || (read.hasBody && !request.complete)
    if (isLast) head.headers.push('Connection', 'close')
    if (head.text === undefined || head.text === '') response.writeHead(head.status, head.headers)
    else response.writeHead(head.status, head.text, head.headers)
    // A short answer is one write, head and body; a stream's head waits for no piece of it.
    process.nextTick(flushHead, this)
  }

  /** After a failed start. */
  refuse(): void {
    const { response, door } = this.#arrival
    const verdict = this.#verdict
    if (verdict === undefined || response.headersSent || response.destroyed) return
    const close = door.isClosing || verdict.status === 408
    answerProblem(response, { ...verdict, requestId: this.#requestId, close })
  }

  flush(): void {
    if (!this.#hasBytes && !this.#isClientGone) this.#arrival.response.flushHeaders()
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.#isClientGone) controller.abort(new Error('the client has gone'))
  }

  onResponseStart(
    _controller: Controller,
    status: number,
    headers: Parameters<typeof toClient>[0],
    text?: string,
  ): void {
    const upstream = this.#upstream
    if (status < 200 || upstream === undefined) return
    this.#engine.upstreams.succeeded(upstream)
    const from = { requestId: this.#requestId, instance: upstream.instance }
    this.#head = { status, text, headers: toClient(headers, from) }
    this.#settled(null)
  }

  onResponseData(controller: Controller, piece: Buffer): void {
    const { response } = this.#arrival
    this.#hasBytes = true
    if (response.write(piece) || response.destroyed) return
    controller.pause()
    this.#cancelWait = this.#engine.clock.after(BODY_IDLE_MS, () => response.destroy())
    response.once('drain', () => {
      this.#cancelWait()
      controller.resume()
    })
  }

  onResponseEnd(): void {
    this.#hasBytes = true
    this.#arrival.response.end()
    this.#release()
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    const upstream = this.#release()
    if (this.#head !== undefined) {
      // Cut, not ended: the client must see that the answer is not whole.
      this.#arrival.response.destroy()
      return
    }
    if (this.#isClientGone || this.#verdict !== undefined) {
      this.#settled(error)
      return
    }
    const failure = this.#failureOf(error)
    if (upstream !== undefined && failure.kind === 'lost') {
      const { upstreams } = this.#engine
      if (failure.wasSent) upstreams.lost(upstream, error.message)
      else upstreams.unreachable(upstream, error.message)
    }
    const verdict = judgeFailure(failure)
    if (verdict === 'another') this.#try()
    else this.#give(verdict)
  }

  #try(): void {
    const { engine, lane } = { engine: this.#engine, lane: this.#lane() }
    const upstream = engine.upstreams.claim(lane, this.#tried)
    if (upstream === undefined) {
      this.#give(lastWord({ triesSent: this.#triesSent }))
      return
    }
    this.#upstream = upstream
    this.#controller = undefined
    this.#headers[this.#headers.length - 1] = upstream.instance
    upstream.pool.dispatch(
      {
        path: this.#path,
        method: this.#arrival.request.method as Dispatcher.HttpMethod,
        headers: this.#headers,
        body: this.#body() as never,
        headersTimeout: lane.responseMs,
        bodyTimeout: 0,
      },
      this,
    )
  }

  #lane(): Lane<InstancePool> {
    const { lane } = this.#arrival
    return this.#tried === undefined ? lane : (this.#engine.upstreams.laneOf(lane.service) ?? lane)
  }

  #body(): AsyncIterable<Buffer> | null {
    const { read, request } = this.#arrival
    if (!read.hasBody) return null
    return clientBody(request, this.#engine.clock, {
      ms: BODY_IDLE_MS,
      onIdle: () => this.#bodyIdle(),
    })
  }

  #bodyIdle(): void {
    this.#verdict ??= {
      status: 408,
      title: 'request timeout',
      detail: 'the rest of the body did not come',
    }
    this.#controller?.abort(new Error('the client stopped sending'))
  }

  #failureOf(error: Error): Failure {
    const wasSent = this.#controller !== undefined
    if (wasSent) this.#triesSent += 1
    else this.#triesUnsent += 1
    const { request, read } = this.#arrival
    return {
      wasSent,
      kind: kindOf(error),
      isRepeatable: isRepeatable(request.method ?? '', read.hasBody),
      triesSent: this.#triesSent,
      triesUnsent: this.#triesUnsent,
    }
  }

  #give(verdict: Exclude<Verdict, 'another'>): void {
    this.#verdict = verdict
    this.#settled(new Error(verdict.detail))
  }

  /** Once per claim; who answered or failed is no longer busy with this request. */
  #release(): Upstream<InstancePool> | undefined {
    const upstream = this.#upstream
    if (upstream === undefined) return undefined
    this.#upstream = undefined
    this.#tried ??= new Set()
    this.#tried.add(upstream)
    this.#engine.upstreams.release(upstream)
    return upstream
  }

  #clientClosed(): void {
    this.#cancelWait()
    if (this.#upstream === undefined) return
    this.#isClientGone = true
    this.#controller?.abort(new Error('the client has gone'))
  }
}

function flushHead(exchange: Exchange): void {
  exchange.flush()
}

function kindOf(error: Error): Failure['kind'] {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return 'headers_timeout'
  const isInvalid =
    code.startsWith('HPE_') ||
    code === 'UND_ERR_HEADERS_OVERFLOW' ||
    code === 'UND_ERR_INVALID_ARG' ||
    code === 'UND_ERR_NOT_SUPPORTED'
  return isInvalid ? 'invalid' : 'lost'
}
